"""The few statistics that reports need, each with the number of samples below which it says nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

P95_SAMPLES = 20
"""Below 20 samples the 95th percentile is the maximum or beyond it."""


def mean(samples: Sequence[float]) -> float:
    """Arithmetic mean of at least one sample."""
    return math.fsum(samples) / len(samples)


def p95(samples: Sequence[float]) -> float | None:
    """The nearest-rank 95th percentile, or None for fewer than `P95_SAMPLES`."""
    if len(samples) < P95_SAMPLES:
        return None
    return sorted(samples)[math.ceil(0.95 * len(samples)) - 1]
