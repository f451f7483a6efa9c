"""Where TFLM puts activations in the arena's head, from the model file alone. Pure.

The strategy is that of ``GreedyMemoryPlanner`` (tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc): the
largest buffer first, each at the lowest offset where it fits between those that live at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.graph.dataflow import LEFT_OUT, Dataflow

ALIGNMENT = 16
"""Bytes; tensorflow/lite/micro/micro_arena_constants.h, MicroArenaBufferAlignment."""
MOST_BUFFERS = 20_000
"""The time to place them grows with the square: seconds for so many, and no microcontroller's model has them."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """The plan of one graph."""

    size_bytes: int
    buffers: int
    """Tensors and scratch buffers that the planner placed."""


def plan_head(flow: Dataflow, scratch: Mapping[int, int] | None = None) -> Head | str:
    """The head for a graph, or why it cannot be planned. ``scratch``: bytes that kernels ask for, by step."""
    first, last = _lifetimes(flow)
    wanted: list[tuple[int, int, int]] = []
    for position, start in sorted(first.items()):
        size = flow.values[position].size_bytes
        if size is None:
            return f"the file gives no size for tensor {flow.values[position].name!r}: TFLM needs it"
        wanted.append((_aligned(size), start, max(start, last.get(position, start))))
    wanted += [(_aligned(size), step, step) for step, size in (scratch or {}).items() if size]
    if len(wanted) > MOST_BUFFERS:
        return f"{len(wanted)} tensors are more than a microcontroller's planner can place"
    return Head(size_bytes=_place(wanted), buffers=len(wanted))


def _lifetimes(flow: Dataflow) -> tuple[dict[int, int], dict[int, int]]:
    """First and last step of every tensor in the arena (micro_allocation_info.cc, MarkSubgraphLifetimesIfNecessary).

    Variables keep a place of their own in the tail.
    """

    def moves(position: int) -> bool:
        value = flow.values[position] if position != LEFT_OUT else None
        return value is not None and not value.constant and not value.variable

    first = {position: 0 for position in flow.inputs if moves(position)}
    last: dict[int, int] = {}
    for number, step in enumerate(flow.steps):
        for position in filter(moves, step.outputs):
            first.setdefault(position, number)
        for position in filter(moves, (*step.inputs, *step.outputs)):
            last[position] = number
    end = max(len(flow.steps) - 1, 0)
    last.update({position: end for position in flow.outputs if position in first})
    return first, last


def _place(wanted: Sequence[tuple[int, int, int]]) -> int:
    placed: list[tuple[int, int, int, int]] = []  # offset, size, first step, last step; by offset
    highest = 0
    # TFLM fills its list from the end before it sorts it, so of equals the last comes first.
    for index in sorted(range(len(wanted)), key=lambda i: (-wanted[i][0], -i)):
        size, first, last = wanted[index]
        offset = 0
        for start, length, begin, end in placed:
            if begin > last or end < first:
                continue
            if start - offset >= size:
                break
            offset = max(offset, start + length)
        placed.append((offset, size, first, last))
        placed.sort(key=lambda buffer: buffer[0])
        highest = max(highest, offset + size)
    return highest


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
