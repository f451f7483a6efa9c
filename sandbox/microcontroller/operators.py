"""Operators of a model on TFLM: which of them it has, and how many multiply-accumulates they do. Pure.

The table of operators is that of the locked wheel, whose resolver holds all that TFLM has; it was asked for each
(``python -m tests.record_tflm_operators``). TFLM does not look at operator versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.errors import DataFileError
from sandbox.graph.dataflow import LEFT_OUT, Dataflow, Step
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.record import OperatorRecord

from .outcome import OperatorWork

FILE = "operators.json"
_UNCOUNTED = frozenset(
    {"SVDF", "RNN", "LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "CONV_3D", "IF", "WHILE"}
)
"""Operators that multiply and accumulate in ways that shapes alone do not tell, or as often as data say."""


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
            macs=_macs(operator, flow, step),
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
    return _count(int(total))


def _macs(operator: OperatorRecord, flow: Dataflow, step: Step) -> Quantity:
    if operator.custom or operator.type in _UNCOUNTED:
        return Unavailable(unavailable=f"the file does not tell how much {operator.type} computes")
    shapes = [flow.values[position].shape if position != LEFT_OUT else () for position in step.inputs]
    output = flow.values[step.outputs[0]].shape if step.outputs and step.outputs[0] != LEFT_OUT else None
    if output is None or any(shape is None for shape in shapes):
        return Unavailable(unavailable=f"the file leaves a shape of {operator.type} open")
    known = [shape or () for shape in shapes]
    weights = known[1] if len(known) > 1 else ()
    match operator.type:
        case "CONV_2D" if len(weights) == 4:
            return _count(prod(output) * prod(weights[1:]))
        case "DEPTHWISE_CONV_2D" if len(weights) == 4:
            return _count(prod(output) * prod(weights[1:3]))
        case "FULLY_CONNECTED" if weights:
            return _count(prod(output) * weights[-1])
        case "TRANSPOSE_CONV" if len(weights) == 4 and len(known) > 2:
            return _count(prod(known[2]) * prod(weights[:3]))
        case "BATCH_MATMUL" if known and known[0]:
            return _count(prod(output) * known[0][-1])
        case "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED" | "TRANSPOSE_CONV" | "BATCH_MATMUL":
            return Unavailable(unavailable=f"the shapes of {operator.type} are not of the usual form")
        case _:
            return _count(0)


def _count(value: int) -> Metric:
    return Metric(value=value, unit="multiply-accumulate", mode="predicted", source="shapes in the model file")
