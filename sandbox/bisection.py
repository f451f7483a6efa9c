"""The smallest number that is enough, by as few trials as possible. Pure."""

from __future__ import annotations

from math import isqrt

FIRST_STEP = 1.03
"""How far the second trial is from the guess; each further one on that side squares what has been covered."""


def next_trial(*, guess: int, failed: int | None, fitted: int | None, tolerance: float) -> int | None:
    """What to try next, or ``None`` when ``fitted`` is at most ``tolerance`` above ``failed``.

    ``failed`` is the largest number known not to be enough, ``fitted`` the smallest known to be. The guess comes first.
    """
    if failed is None and fitted is None:
        return max(guess, 1)
    if fitted is None:
        assert failed is not None
        return max(round(failed * (failed / guess) * FIRST_STEP), failed + 1)
    if failed is None:
        return max(min(round(fitted * (fitted / guess) / FIRST_STEP), fitted - 1), 1) if fitted > 1 else None
    if fitted <= failed * (1 + tolerance) or fitted - failed <= 1:
        return None
    return max(isqrt(failed * fitted), failed + 1)
