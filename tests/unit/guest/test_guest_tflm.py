"""The search for the smallest arena: monotone on success, whatever the attempts say. TFLM itself runs in the contract
suite; here attempts are a rule over sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.guest.guest_modules import load


def search(works: Callable[[int], bool], enough: int = 65536) -> int:
    backend: Any = object.__new__(load("tflm_backend").TflmBackend)
    backend._arena = {"enough": enough}
    backend._create = None
    backend._works = lambda size, _attempt: works(size)
    return int(backend._smallest(0, enough, None))


@given(st.integers(min_value=1, max_value=65536))
def test_the_smallest_that_works_in_steps_of_16(needed: int) -> None:
    assert search(lambda size: size >= needed) == -(-needed // 16) * 16


@pytest.mark.parametrize("hole", [(4096, 4352), (2064, 2080), (3000, 6000)])
def test_a_size_above_that_fails_moves_the_answer_above_it(hole: tuple[int, int]) -> None:
    """tflite-micro #1249: with a larger arena less was left."""

    def works(size: int) -> bool:
        return size >= 2048 and not hole[0] <= size < hole[1]

    found = search(works)
    assert all(works(size) for size in (found + (16 << shift) for shift in range(9)))
    assert works(found)


def test_nothing_beyond_the_largest_is_tried() -> None:
    assert load("tflm_backend").LARGEST == 256 << 20
