"""Operators of a model on TFLM: which of them it has, and how many multiply-accumulates they do. Pure.

The table of operators is that of the locked wheel, whose resolver holds all that TFLM has; it was asked for each
(``python -m tests.record_tflm_operators``). TFLM does not look at operator versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.errors import DataFileError
from sandbox.graph.dataflow import Dataflow
from sandbox.graph.macs import count, multiply_accumulates
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.record import OperatorRecord

from .outcome import OperatorWork

FILE = "operators.json"


class Registered(BaseModel):
    """The operators of a build of TFLM."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    version: str
    """Of the wheel ``tflite-micro``."""
    builtin: tuple[str, ...]
    custom: tuple[str, ...]

    def has(self, operator: OperatorRecord) -> bool:
        """Whether the build has it."""
        return operator.type in (self.custom if operator.custom else self.builtin)


def load_registered(image_id: str, directory: Path) -> Registered:
    """The table of the image with TFLM below ``directory``. Raises `DataFileError`."""
    path = directory / image_id / FILE
    try:
        return Registered.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataFileError(f"{path} is missing or damaged", hint="install edge-sandbox again") from error


def operator_works(
    operators: Sequence[OperatorRecord], flows: Sequence[Dataflow], registered: Registered
) -> tuple[OperatorWork, ...]:
    """One row for each operator of the file, in its order."""
    steps = [(number, flow, step) for number, flow in enumerate(flows) for step in flow.steps]
    nothing = Unavailable(unavailable="nothing was run on the core")
    return tuple(
        OperatorWork(
            index=operator.index,
            subgraph=number,
            type=operator.type,
            version=operator.version,
            registered=registered.has(operator),
            macs=multiply_accumulates(operator.type, flow, step, custom=operator.custom),
            instructions=nothing,
            detail=None if registered.has(operator) else f"TFLM {registered.version} has no such operator",
        )
        for operator, (number, flow, step) in zip(operators, steps, strict=True)
    )


def all_macs(works: Sequence[OperatorWork]) -> Quantity:
    """Of the model; unavailable where one operator's are."""
    unknown = [work for work in works if isinstance(work.macs, Unavailable)]
    if unknown:
        reason = unknown[0].macs.unavailable if isinstance(unknown[0].macs, Unavailable) else ""
        return Unavailable(unavailable=f"operator {unknown[0].index}: {reason}")
    total = sum(work.macs.value for work in works if isinstance(work.macs, Metric))
    return count(int(total))
