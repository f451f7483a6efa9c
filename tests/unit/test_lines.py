"""Sums of costs: the numbers that made the times come back, and a cost that is not there is not invented."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.calibration import TERMS, Term
from sandbox.errors import DataFileError
from sandbox.lines import Line, Point, solve

COSTS: dict[Term, float] = {"weight_byte": 2e-10, "operator": 1e-5, "activation_byte": 4e-10, "im2col_byte": 3e-9}


def points(costs: dict[Term, float], count: int = 20) -> list[Point]:
    made = []
    for n in range(1, count + 1):
        amounts: dict[Term, float] = {
            term: 1e6 * (1 + (n * (7 + 4 * place)) % (11 + place)) for place, term in enumerate(TERMS)
        }
        amounts["operator"] = 20 + n * 13 % 17
        slots = 1e8 * (1 + n * 5 % 9)
        seconds = 3e-10 * slots + math.fsum(cost * amounts[term] for term, cost in costs.items())
        made.append(Point(model=f"m{n}", dtype="fp32", seconds=seconds, slots=slots, amounts=amounts, instructions=n))
    return made


def test_the_costs_that_made_the_times_come_back() -> None:
    line = solve(points(COSTS), "x", TERMS)
    assert line.slot == pytest.approx(3e-10, rel=1e-6)
    assert {term: cost for term, cost in line.costs.items() if cost > 1e-15} == pytest.approx(COSTS, rel=1e-6)
    assert all(line.predict(p) == pytest.approx(p.seconds) for p in points(COSTS))


def test_a_cost_that_would_be_negative_is_left_out() -> None:
    shrunk = [Point(**{**vars(p), "seconds": p.seconds - 1e-12 * p.amounts["weight_byte"]}) for p in points({})]
    assert solve(shrunk, "x", ["weight_byte"]).costs == {}


def test_a_term_that_no_model_has_costs_nothing() -> None:
    none = [Point(**{**vars(p), "amounts": {**p.amounts, "im2col_byte": 0.0}}) for p in points({})]
    assert solve(none, "x", ["im2col_byte"]).costs == {}


def test_fewer_models_than_numbers_are_refused() -> None:
    with pytest.raises(DataFileError, match="6 models for 6 numbers to fit"):
        solve(points(COSTS, 6), "x", TERMS)


@pytest.mark.parametrize("slots", [-1.0, 0.0, math.nan, math.inf])
def test_slots_that_are_none_are_refused(slots: float) -> None:
    broken = [Point(**{**vars(p), "slots": slots}) for p in points({})]
    with pytest.raises(DataFileError, match=r"do not follow from these counts|no finite number"):
        solve(broken, "x", [])


@given(st.lists(st.floats(1e-4, 10), min_size=8, max_size=20))
def test_no_times_give_a_negative_cost(times: list[float]) -> None:
    made = [Point(**{**vars(p), "seconds": seconds}) for p, seconds in zip(points({}), times, strict=False)]
    try:
        line = solve(made, "x", TERMS)
    except DataFileError:
        return
    assert line.slot > 0
    assert all(cost > 0 for cost in line.costs.values())
    assert isinstance(line, Line)
