"""The arena on the board, from TFLM's on this 64-bit host or from the model file alone. Pure.

The head (activations, scratch buffers) is the same on both. The tail holds structures with pointers, which shrink with
the pointers; what they shrink by was fitted to 35 models that were run on an emulated Cortex-M4F and on x86-64 with
TFLM of August 2026 (worst error 69 bytes; 150 for a model left out of the fit).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sandbox.graph.dataflow import LEFT_OUT, Dataflow, Step, Value
from sandbox.metrics import Metric, Mode, Quantity, Unavailable

from .board import Cpu
from .outcome import Arena, Kernels
from .planner import ALIGNMENT, plan_head

FIT_SOURCE = "fitted to 35 models on an emulated Cortex-M4F, TFLM of August 2026"
MARGIN_BYTES = 160
"""Of a figure for the board, either way: a model left out of the fit, and the rounding."""
_SMALL_BYTES, _SMALL_MARGIN_BYTES = 6 << 10, 512
"""Below this size temporary allocations decide, which add up to so much."""
_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})
_FITTED = _CONVOLUTIONS | {"FULLY_CONNECTED", "AVERAGE_POOL_2D", "MAX_POOL_2D", "ADD", "RESHAPE", "SOFTMAX"}
"""Operators of the models that the static tail was fitted to."""
_MVE_CHANNELS = 124
"""arm_nnsupportfunctions.h, CH_IN_BLOCK_MVE."""


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What of a model decides how large TFLM's structures are."""

    tensors: int
    operators: int
    fully_connected: int
    convolutions: int
    channels: int
    """Output channels of all convolutions: each has a multiplier and a shift in the tail."""
    float_channels: int
    """Of those, in float convolutions, for which only the reference kernels keep such numbers."""
    quantised: bool
    unusual: int
    """Operators of kinds that the static tail was not fitted to."""


@dataclass(frozen=True, kw_only=True)
class HostArena:
    """TFLM's arena on this 64-bit host, in bytes."""

    minimum: int
    recorded: int
    head: int
    tail: int
    mode: Mode
    source: str
    margin: int = 0
    refusal: str | None = None
    """What TFLM says of an arena that is one step smaller than the minimum."""


def structure(flows: Sequence[Dataflow]) -> Structure:
    """Of all subgraphs together."""
    steps = [(flow, step) for flow in flows for step in flow.steps]
    outputs = [(step, _output(flow, step)) for flow, step in steps if step.type in _CONVOLUTIONS]
    channels = [(value.shape or (0,))[-1] for _step, value in outputs if value is not None]
    floats = [(v.shape or (0,))[-1] for _step, v in outputs if v is not None and v.dtype == "float32"]
    return Structure(
        tensors=sum(len(flow.values) for flow in flows),
        operators=len(steps),
        fully_connected=sum(step.type == "FULLY_CONNECTED" for _flow, step in steps),
        convolutions=len(outputs),
        channels=sum(channels),
        float_channels=sum(floats),
        quantised=any((v := _output(flow, step)) is not None and v.dtype == "int8" for flow, step in steps),
        unusual=sum(step.type not in _FITTED for _flow, step in steps),
    )


def static_arena(flows: Sequence[Dataflow]) -> HostArena | str:
    """What TFLM would take on a 64-bit host, without running it; or why that cannot be told.

    The tail is a line through 30 models run with the locked wheel, which it meets within 20 bytes.
    """
    if len(flows) > 1:
        return "the model has control flow: what its subgraphs share, only TFLM itself tells"
    head = plan_head(flows[0])
    if isinstance(head, str):
        return head
    parts = structure(flows)
    tail = round(692 + (32 if parts.quantised else -32) + 7.41 * parts.tensors + 153.1 * parts.operators)
    tail += round(71.4 * parts.fully_connected + 69.3 * parts.convolutions) + 8 * parts.channels
    recorded = head.size_bytes + tail
    return HostArena(
        minimum=_up(max(recorded, tail + _planning(parts.tensors, head.buffers, entry_bytes=32))),
        recorded=recorded,
        head=head.size_bytes,
        tail=tail,
        mode="predicted",
        source="TFLM's planner over the model file",
        margin=32 + 128 * parts.unusual,
    )


def host_arena(arena: HostArena) -> Arena:
    """The figures of this host as a part of the result."""

    def size(value: int) -> Metric:
        return Metric(value=value, unit="byte", mode=arena.mode, source=arena.source)

    return Arena(
        where="host",
        kernels="reference",
        minimum=size(arena.minimum),
        recorded=size(arena.recorded),
        head=size(arena.head),
        tail=size(arena.tail),
        refusal=arena.refusal,
    )


def board_arena(arena: HostArena, flows: Sequence[Dataflow], cpu: Cpu, kernels: Kernels) -> Arena:
    """What a 32-bit build with those kernels needs, predicted."""
    parts = structure(flows)
    shrinks = 22 * parts.tensors + 20 * parts.operators + 38 * parts.fully_connected + 435
    tail, head, margin = arena.tail - shrinks, arena.head, MARGIN_BYTES + arena.margin
    plain = plan_head(flows[0]) if len(flows) == 1 else "control flow"
    buffers = sum(len(step.outputs) for flow in flows for step in flow.steps)
    if not isinstance(plain, str):
        buffers = plain.buffers
    if kernels == "cmsis-nn":
        tail += 31 + 28 * parts.fully_connected + parts.convolutions - 8 * parts.float_channels
        larger = plan_head(flows[0], cmsis_scratch(flows[0], cpu)) if len(flows) == 1 else "control flow"
        if not isinstance(larger, str) and not isinstance(plain, str):
            head += larger.size_bytes - plain.size_bytes
            buffers = larger.buffers
            margin += (larger.size_bytes - plain.size_bytes) // 4
    if tail <= 0:
        return _unknown(kernels, "the model is smaller than any that the figures for boards were fitted to")
    used = head + tail
    minimum = _up(max(used, tail + _planning(parts.tensors, buffers, entry_bytes=24)))
    source = f"{arena.source}; structures with 4-byte pointers, {FIT_SOURCE}"
    temporary = _SMALL_MARGIN_BYTES if minimum < _SMALL_BYTES else 0
    return Arena(
        where="device",
        kernels=kernels,
        minimum=_predicted(minimum, source, margin, temporary),
        recorded=_predicted(used, source, margin),
        head=_predicted(head, source, margin - MARGIN_BYTES),
        tail=_predicted(tail, source, MARGIN_BYTES + arena.margin),
    )


def cmsis_scratch(flow: Dataflow, cpu: Cpu) -> Mapping[int, int]:
    """Bytes that CMSIS-NN's int8 kernels ask for, by step (``arm_*_get_buffer_size`` in CMSIS-NN/Source)."""
    found: dict[int, int] = {}
    for number, step in enumerate(flow.steps):
        output = _output(flow, step)
        operands = [flow.values[position] for position in step.inputs if position != LEFT_OUT]
        if output is None or output.dtype != "int8" or not operands:
            continue
        size = _scratch(step, operands, cpu)
        if size:
            found[number] = size
    return found


def _scratch(step: Step, operands: Sequence[Value], cpu: Cpu) -> int:
    helium = cpu.mve != "none"
    if step.type == "AVERAGE_POOL_2D":
        return (operands[0].shape or (0,))[-1] * 4 if cpu.dsp and not helium else 0
    if step.type not in _CONVOLUTIONS or len(operands) < 2 or len(operands[1].shape or ()) != 4:
        return 0
    _out, height, width, depth = operands[1].shape or (0, 0, 0, 0)
    window = height * width
    dilated = max(step.dilations, default=1) > 1
    if step.type == "CONV_2D":
        if window == 1 and not dilated:
            return 0
        step_bytes = 16 if helium else 4
        columns = -(-window * depth // step_bytes) * step_bytes
        return 4 * columns  # two columns of int16, or four of int8
    if dilated or (window == 9 and height == 3 and not helium) or not (cpu.dsp or helium):
        return 0
    return 4 * _MVE_CHANNELS * window if helium else 2 * depth * window


def _planning(tensors: int, buffers: int, *, entry_bytes: int) -> int:
    """What TFLM needs besides the tail while it plans: an ``AllocationInfo`` for each tensor, and its planner's 40
    bytes for each buffer. Small models need less than that later, so this sets their smallest arena."""
    return entry_bytes * tensors + 40 * buffers + 8


def _output(flow: Dataflow, step: Step) -> Value | None:
    return flow.values[step.outputs[0]] if step.outputs and step.outputs[0] != LEFT_OUT else None


def _predicted(value: int, source: str, margin: int, more: int = 0) -> Quantity:
    low, high = max(value - margin, 0), value + margin + more
    return Metric(value=value, unit="byte", mode="predicted", low=low, high=high, source=source)


def _unknown(kernels: Literal["reference", "cmsis-nn"], reason: str) -> Arena:
    nothing = Unavailable(unavailable=reason)
    return Arena(where="device", kernels=kernels, minimum=nothing, recorded=nothing, head=nothing, tail=nothing)


def _up(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
