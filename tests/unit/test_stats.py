"""Means and percentiles."""

from __future__ import annotations

import random

import pytest

from sandbox import stats


def test_mean() -> None:
    assert stats.mean([3.0]) == 3.0
    assert stats.mean([1.0, 2.0, 6.0]) == 3.0


def test_mean_loses_nothing_to_rounding() -> None:
    assert stats.mean([0.1] * 10) == 0.1
    assert stats.mean([1e16, 1.0, -1e16, 1.0]) == 0.5


@pytest.mark.parametrize("count", [0, 1, 5, 19])
def test_too_few_samples_have_no_95th_percentile(count: int) -> None:
    assert stats.p95([1.0] * count) is None


@pytest.mark.parametrize(("count", "expected"), [(20, 19), (21, 20), (40, 38), (100, 95), (101, 96), (1000, 950)])
def test_95th_percentile_by_nearest_rank(count: int, expected: int) -> None:
    """The smallest sample that at least 95 of 100 do not exceed."""
    samples = [float(n) for n in range(1, count + 1)]
    random.Random(1).shuffle(samples)
    assert stats.p95(samples) == expected


def test_samples_are_left_as_they_are() -> None:
    samples = [float(n) for n in range(30, 0, -1)]
    stats.p95(samples)
    assert samples[0] == 30.0
