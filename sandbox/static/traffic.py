"""Bytes that the operators of a graph move in one inference, as far as time depends on them. Pure.

Instructions know nothing of these: a core that waits for memory executes none.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.graph.dataflow import LEFT_OUT, Dataflow, Step
from sandbox.record import Traffic

from .workspace import workspaces

_OWN_KERNELS = "without a delegate"
_CONVOLUTIONS = frozenset({"CONV_2D", "TRANSPOSE_CONV"})


def traffic(flow: Dataflow, l2_bytes: int | None) -> Traffic | None:
    """Of a TFLite graph on a core with that L2; None where the file leaves shapes open or the cache is not known."""
    moved = [_activations(flow, step) for step in flow.steps]
    known = [size for size in moved if size is not None]
    if l2_bytes is None or len(known) < len(moved):
        return None
    own = workspaces(flow, _OWN_KERNELS, architecture="arm64")
    return Traffic(
        activation_bytes=sum(known),
        im2col_bytes=sum(each.size_bytes for each in own if each.kind == "im2col"),
        # kernels read weights from a copy in their own order: both must stay in the cache to be there for the next tile
        large_weight_bytes=sum(size for size in _convolved_weights(flow) if 2 * size > l2_bytes),
    )


def _activations(flow: Dataflow, step: Step) -> int | None:
    """What the operator reads and writes, weights left out."""
    read = tuple(i for i in step.inputs if i != LEFT_OUT and not flow.values[i].constant)
    return flow.bytes_of((*read, *step.outputs))


def _convolved_weights(flow: Dataflow) -> Iterable[int]:
    """Bytes of each convolution's weights that many pixels use; those of a single pixel are read once in any case."""
    for step in flow.steps:
        output = flow.values[step.outputs[0]].shape if step.outputs and step.outputs[0] != LEFT_OUT else None
        if step.type in _CONVOLUTIONS and output is not None and len(output) == 4 and output[1] * output[2] > 1:
            constants = tuple(i for i in step.inputs if i != LEFT_OUT and flow.values[i].constant)
            yield flow.bytes_of(constants) or 0
