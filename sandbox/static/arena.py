"""Where buffers with known lifetimes go in one block of memory, so that the block is small. Pure.

The strategy is that of TFLite's ``ArenaPlanner`` (tensorflow/lite/arena_planner.cc, CreateTensorAllocationVector) over
``SimpleMemoryArena`` (simple_memory_arena.cc, Allocate): buffers that live throughout come first, then the largest
first, each into the tightest gap between those that live at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALIGNMENT = 64
"""Bytes; tensorflow/lite/util.h, kDefaultTensorAlignment."""
FOREVER = 1 << 31
"""A last step for what is never freed."""
LARGEST_PLAN = 60_000
"""Buffers; the time to place them grows with the square: some 2 s for so many."""


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """Bytes that are needed from step ``first`` to step ``last``, both included."""

    size_bytes: int
    first: int
    last: int

    @property
    def lives_throughout(self) -> bool:
        """Whether it is there in every step."""
        return self.first == 0 and self.last == FOREVER


@dataclass(frozen=True, kw_only=True)
class Arena:
    """A plan: offsets in bytes in the order of the buffers, and the size of the block."""

    offsets: tuple[int, ...]
    size_bytes: int


def place(buffers: Sequence[Buffer], alignment: int = ALIGNMENT) -> Arena:
    """Give every buffer an offset such that no two that live in the same step overlap.

    Raises `ValueError` for more than `LARGEST_PLAN` buffers.
    """
    if len(buffers) > LARGEST_PLAN:
        raise ValueError(f"{len(buffers)} buffers are too many to place")
    count = len(buffers)
    first, last = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    offsets, block = [0] * count, 0
    order = sorted((i for i in range(count) if buffers[i].size_bytes), key=lambda i: _rank(buffers[i], i))
    for place_in_order, index in enumerate(order):
        buffer = buffers[index]
        seen = slice(place_in_order)
        alive = np.flatnonzero((last[seen] >= buffer.first) & (first[seen] <= buffer.last))
        others = sorted((offsets[order[i]], buffers[order[i]].size_bytes) for i in alive.tolist())
        offsets[index] = _tightest_gap(others, buffer.size_bytes, alignment)
        block = max(block, offsets[index] + buffer.size_bytes)
        first[place_in_order], last[place_in_order] = buffer.first, buffer.last
    return Arena(offsets=tuple(offsets), size_bytes=block)


def _rank(buffer: Buffer, index: int) -> tuple[int, int, int, int]:
    if buffer.lives_throughout:
        return (0, 0, 0, index)
    return (1, -buffer.size_bytes, buffer.first, index)


def _tightest_gap(others: Sequence[tuple[int, int]], size_bytes: int, alignment: int) -> int:
    """The offset of the smallest gap that fits between ``others`` (offset, size), which are in order; else the end."""
    best, best_fit = None, FOREVER * FOREVER
    end = 0
    for offset, size in others:
        start = _aligned(end, alignment)
        if start + size_bytes <= offset and offset - start < best_fit:
            best, best_fit = start, offset - end
        end = max(end, offset + size)
    return _aligned(end, alignment) if best is None else best


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment
