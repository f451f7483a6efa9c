"""How many multiply-accumulates an operator of a TFLite model does, by the shapes in its file. Pure."""

from __future__ import annotations

from math import prod

from sandbox.metrics import Metric, Quantity, Unavailable

from .dataflow import LEFT_OUT, Dataflow, Step

_UNCOUNTED = frozenset(
    {"SVDF", "RNN", "LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "CONV_3D", "IF", "WHILE"}
)
"""Operators that multiply and accumulate in ways that shapes alone do not tell, or as often as data say."""
COPIES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
"""They give the same bytes in another shape: there is no arithmetic that one kernel could be slower at than another."""


def multiply_accumulates(kind: str, flow: Dataflow, step: Step, *, custom: bool) -> Quantity:
    """Of one execution of an operator of type ``kind``; 0 for operators that only move or map elements."""
    if custom or kind in _UNCOUNTED:
        return Unavailable(unavailable=f"the file does not tell how much {kind} computes")
    shapes = [flow.values[position].shape if position != LEFT_OUT else () for position in step.inputs]
    output = flow.values[step.outputs[0]].shape if step.outputs and step.outputs[0] != LEFT_OUT else None
    if output is None or any(shape is None for shape in shapes):
        return Unavailable(unavailable=f"the file leaves a shape of {kind} open")
    known = [shape or () for shape in shapes]
    weights = known[1] if len(known) > 1 else ()
    match kind:
        case "CONV_2D" if len(weights) == 4:
            return count(prod(output) * prod(weights[1:]))
        case "DEPTHWISE_CONV_2D" if len(weights) == 4:
            return count(prod(output) * prod(weights[1:3]))
        case "FULLY_CONNECTED" if weights:
            return count(prod(output) * weights[-1])
        case "TRANSPOSE_CONV" if len(weights) == 4 and len(known) > 2:
            return count(prod(known[2]) * prod(weights[:3]))
        case "BATCH_MATMUL" if known and known[0]:
            return count(prod(output) * known[0][-1])
        case "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED" | "TRANSPOSE_CONV" | "BATCH_MATMUL":
            return Unavailable(unavailable=f"the shapes of {kind} are not of the usual form")
        case _:
            return count(0)


def count(value: int) -> Metric:
    """A number of multiply-accumulates that shapes give."""
    return Metric(value=value, unit="multiply-accumulate", mode="predicted", source="shapes in the model file")
