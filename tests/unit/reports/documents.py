"""Results that no recorded run has: hostile texts everywhere, nothing known, all optional parts, many operators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import ValidationError

from sandbox.compatibility_result import (
    AbiFinding,
    Accelerator,
    AcceleratorOperator,
    Compatibility,
    CpuFinding,
    Delegation,
    Install,
    KnownVersion,
    OperatorFinding,
    TableUse,
)
from sandbox.metrics import Metric, Unavailable
from sandbox.parity import Departure, Parity, Side, SideName, compare
from sandbox.regression import Thresholds, against
from sandbox.result import Result
from tests.unit.recorded import NAMES, microcontroller, result

HOSTILE = (
    "</script></title></style><script>window.owned=1</script><img src=x onerror=window.owned=1>"
    "\"'`|*_[a](javascript:alert(1))@everyone #1 https://evil.example www.evil.example"
    "{{7*7}}<!--]]>&amp;\u2028\u202e\x00\x1b[2J\r\n- x"
)
"""Breaks out of whatever does not escape."""


def _changed(value: Any, change: Callable[[str], str], where: tuple[str | int, ...] = ()) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _changed(each, change, (*where, key)) for key, each in value.items()}
    if isinstance(value, list):
        return [_changed(each, change, (*where, place)) for place, each in enumerate(value)]
    return value


@functools.cache
def hostile() -> Result:
    """`whole` with a hostile text in every place that takes any text."""
    return _made_hostile(whole())


@functools.cache
def hostile_microcontroller() -> Result:
    """The same of a microcontroller."""
    return _made_hostile(microcontroller())


def _made_hostile(result: Result) -> Result:
    plain = result.model_dump(mode="json")
    document = _changed(plain, lambda text: HOSTILE + text)
    while True:
        try:
            return Result.model_validate(document)
        except ValidationError as error:
            for each in error.errors():
                _put_back(document, plain, each["loc"])


def _put_back(document: Any, plain: Any, where: tuple[str | int, ...]) -> None:
    """Restore the value at a place that takes no other text; unions add their members' names to its path."""
    steps = [step for step in where if step not in {"Metric", "Unavailable"}]
    for step in steps[:-1]:
        document, plain = document[step], plain[step]
    if steps[-1] in plain:  # else it is a key of the union's other member
        document[steps[-1]] = plain[steps[-1]]


@functools.cache
def bare() -> Result:
    """A real run that ended at once, less every number that it has: all is unavailable."""
    document = result("illegal_instruction").model_dump(mode="json")

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            if set(value) == set(Metric.model_fields):
                return {"unavailable": "it was not measured"}
            return {key: without(each) for key, each in value.items()}
        return [without(each) for each in value] if isinstance(value, list) else value

    document = without(document)
    document["memory"].update(timeline=[], phases=[])
    document["ops"] = []
    return Result.model_validate(document)


@functools.cache
def whole() -> Result:
    """A real run with all optional parts: compatibility, parity and a baseline."""
    calibrated = result("calibrated")
    with_parts = calibrated.model_copy(update={"compatibility": compatibility(), "parity": _parity()})
    return against(with_parts, calibrated, Thresholds(latency=0.05, memory=0.05, operator=0.05))


def _parity() -> Parity:
    right, wrong = [("scores", np.array([[1.0, 2.0]]))], [("scores", np.array([[1.0, 2.5]]))]
    sides: dict[SideName, Any] = {"device": wrong, "host": right, "reference": "no such kernel"}
    compared = compare("device", "host", sides, mode="emulated")
    return Parity(
        inputs="random (seed 0)",
        sides=tuple(
            Side(side=side, what=f"build of the {side}", unavailable=each if isinstance(each, str) else None)
            for side, each in sides.items()
        ),
        comparisons=(compared, compare("device", "reference", sides, mode="emulated")),
        first_departure=Departure(index=3, type="CONV_2D", name="conv", against="host", difference=compared.outputs[0]),
    )


def large(operators: int) -> Result:
    """A run of a model with so many operators, in its table of compatibility too."""
    calibrated = result("calibrated")
    found = compatibility()
    ops = calibrated.ops[:-1]
    rows = tuple(
        ops[n % len(ops)].model_copy(update={"index": n, "name": f"block_{n // 7}/layer_{n}/convolution"})
        for n in range(operators)
    )
    needs = tuple(
        calibrated.operator_memory[n % len(ops)].model_copy(update={"index": n, "name": row.name})
        for n, row in enumerate(rows)
    )
    findings = tuple(found.operators[0].model_copy(update={"index": n}) for n in range(operators))
    return calibrated.model_copy(
        update={
            "ops": rows,
            "operator_memory": needs,
            "compatibility": found.model_copy(update={"operators": findings}),
        }
    )


def compatibility() -> Compatibility:
    """Findings of every kind."""
    return Compatibility(
        install=Install(
            status="pass",
            wheel="tflite_runtime-2.14.0-cp311-cp311-manylinux2014_aarch64.whl",
            reason="pip takes this wheel",
            versions=(KnownVersion(version="2.14.0", fits=True, reason="tflite_runtime-2.14.0.whl"),),
        ),
        abi=(AbiFinding(file="tflite/a.so", need="GLIBC_2.17", has="2.36", status="pass", reason="is there"),),
        cpu=(
            CpuFinding(
                feature="asimddp", instruction="sdot", symbol="xnn_kernel", library="a.so", count=12, reached=False,
                status="unreached", reason="no run reached it",
            ),
        ),
        operators=(
            OperatorFinding(
                index=0, type="CONV_2D", version=3, dtype="int8", status="too_new", library=None,
                detail="this build has version 2", instructions=Unavailable(unavailable="nothing was run"),
            ),
        ),
        delegations=(Delegation(name="XNNPACK", operators=29, partitions=2, mode="emulated"),),
        accelerators=(
            Accelerator(
                id="edgetpu", name="Edge TPU", mapped=1, conditional=0, fallback=1, note="by its maker's list",
                operators=(
                    AcceleratorOperator(type="CONV_2D", dtype="int8", count=2, status="mapped", detail="batch of 1"),
                ),
            ),
        ),
        tables=(TableUse(name="schema", source="the build itself", date="2026-11-21"),),
    )  # fmt: skip


def all_documents() -> dict[str, Result]:
    """Every result that each format must show."""
    recorded = {name: result(name) for name in NAMES}
    made = {"whole": whole(), "bare": bare(), "microcontroller": microcontroller()}
    return {**recorded, **made, "hostile": hostile(), "hostile_microcontroller": hostile_microcontroller()}
