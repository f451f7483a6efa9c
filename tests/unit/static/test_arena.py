"""Placing buffers: nothing overlaps, nothing is wasted that lifetimes do not force, the order is TFLite's."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.static.arena import ALIGNMENT, FOREVER, LARGEST_PLAN, Buffer, place
from sandbox.static.lifetimes import live_bytes

STEPS = 12


@st.composite
def buffers(draw: st.DrawFn) -> Buffer:
    first = draw(st.integers(0, STEPS - 1))
    last = draw(st.just(FOREVER) | st.integers(first, STEPS - 1))
    return Buffer(size_bytes=draw(st.integers(0, 5000)), first=first, last=last)


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


@given(st.lists(buffers(), max_size=40))
def test_buffers_that_live_together_do_not_overlap(some: list[Buffer]) -> None:
    arena = place(some)
    spans = [(b, offset) for b, offset in zip(some, arena.offsets, strict=True) if b.size_bytes]
    for number, (one, at) in enumerate(spans):
        assert at % ALIGNMENT == 0
        for other, there in spans[:number]:
            if one.first <= other.last and other.first <= one.last:
                assert at + one.size_bytes <= there or there + other.size_bytes <= at


@given(st.lists(buffers(), max_size=40))
def test_the_block_is_no_smaller_than_what_lives_and_no_larger_than_all(some: list[Buffer]) -> None:
    size = place(some).size_bytes
    assert max(live_bytes(some, STEPS), default=0) <= size <= sum(aligned(buffer.size_bytes) for buffer in some)


@given(st.lists(buffers(), max_size=40))
def test_the_same_buffers_get_the_same_places(some: list[Buffer]) -> None:
    assert place(some) == place(some)


def test_a_chain_needs_its_largest_pair() -> None:
    sizes = (640, 6400, 3200, 128)
    chain = [Buffer(size_bytes=size, first=step, last=step + 1) for step, size in enumerate(sizes)]
    assert place(chain).size_bytes == 6400 + 3200


def test_the_largest_comes_first_and_small_ones_fill_the_tightest_gap() -> None:
    large = Buffer(size_bytes=1024, first=0, last=2)
    early, late = Buffer(size_bytes=512, first=0, last=0), Buffer(size_bytes=256, first=2, last=2)
    last = Buffer(size_bytes=200, first=1, last=2)
    assert place([last, late, early, large]).offsets == (1280, 1024, 1024, 0)


def test_what_lives_throughout_lies_at_the_start() -> None:
    whole = Buffer(size_bytes=10, first=0, last=FOREVER)
    assert place([Buffer(size_bytes=4096, first=0, last=3), whole]).offsets == (64, 0)


def test_empty_buffers_take_no_place() -> None:
    assert place([Buffer(size_bytes=0, first=0, last=9)]).size_bytes == 0
    assert place([]).size_bytes == 0


def test_a_large_graph_is_placed_at_once_and_an_absurd_one_refused() -> None:
    step = Buffer(size_bytes=100, first=0, last=1)
    started = time.monotonic()
    place([Buffer(size_bytes=100 + n % 7, first=n, last=n + 2) for n in range(10_000)])
    assert time.monotonic() - started < 5
    with pytest.raises(ValueError, match="too many"):
        place([step] * (LARGEST_PLAN + 1))
