"""The least number that is enough, by few trials, wherever it lies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.bisection import next_trial


def search(truth: int, guess: int, tolerance: float = 0.01, most: int = 1000) -> tuple[int | None, int | None, int]:
    """(largest that failed, smallest that fitted, trials)."""
    failed = fitted = None
    for trials in range(most):
        trial = next_trial(guess=guess, failed=failed, fitted=fitted, tolerance=tolerance)
        if trial is None:
            return failed, fitted, trials
        assert failed is None or trial > failed
        assert fitted is None or trial < fitted
        if trial >= truth:
            fitted = trial
        else:
            failed = trial
    return failed, fitted, most


@given(truth=st.integers(1, 2**40), guess=st.integers(1, 2**40))
def test_it_is_found_to_the_tolerance(truth: int, guess: int) -> None:
    failed, fitted, _trials = search(truth, guess)
    assert fitted is not None
    assert truth <= fitted
    if failed is None:
        assert fitted == truth == 1
    else:
        assert failed < truth
        assert fitted <= failed * 1.01 or fitted - failed == 1


@pytest.mark.parametrize("off", [0.86, 0.9, 0.97, 1.0, 1.02, 1.1, 1.15])
def test_a_guess_that_is_nearly_right_takes_few_trials(off: float) -> None:
    _failed, _fitted, trials = search(50_000_000, round(50_000_000 * off))
    assert trials <= 9


def test_a_guess_of_nothing_is_no_trial_of_nothing() -> None:
    assert next_trial(guess=0, failed=None, fitted=None, tolerance=0.01) == 1
    assert next_trial(guess=1, failed=None, fitted=1, tolerance=0.01) is None
