"""The allocator by phase: what the runner noted, and what a guest may have made of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.profilers.allocator import (
    allocator_phases,
    calls_of_all,
    calls_of_an_inference,
    last_fragmentation,
)

FUNCTIONS = {"malloc": 0x1000, "realloc": 0x2000, "free": 0x3000}
NAMES = ("import", "load", "inference")
REPORT: dict[str, Any] = {
    "allocator": {
        "functions": FUNCTIONS,
        "phases": [
            {"phase": name, "held": 1000 * place, "free": 300, "releasable": 100}
            for place, name in enumerate(NAMES, start=1)
        ],
    }
}
CALLS = tuple(
    (address, count)
    for counts in ((50, 5, 40), (70, 6, 45), (90, 6, 65))
    for address, count in zip(FUNCTIONS.values(), counts, strict=True)
)


def number(quantity: Quantity) -> float:
    assert isinstance(quantity, Metric), quantity
    return quantity.value


def test_each_phase_has_its_own_calls() -> None:
    rows = allocator_phases(REPORT, CALLS, mode="emulated")
    assert [(row.name, number(row.calls), number(row.frees)) for row in rows] == [
        ("import", 55, 40),
        ("load", 21, 5),
        ("inference", 20, 20),
    ]
    assert [(number(row.held), number(row.fragmentation)) for row in rows] == [(1000, 200), (2000, 200), (3000, 200)]
    assert number(calls_of_all(rows)) == 41, "what the import of the runtime called is not the model's"
    assert number(calls_of_an_inference(rows, 5)) == 4
    fragmentation = last_fragmentation(rows)
    assert isinstance(fragmentation, Metric)
    assert (fragmentation.mode, fragmentation.source) == ("emulated", "glibc's mallinfo at the end of the phase")


def test_without_a_plugin_only_calls_are_unknown() -> None:
    rows = allocator_phases(REPORT, "no emulator ran", mode="measured")
    nothing = Unavailable(unavailable="no emulator ran")
    assert calls_of_all(rows) == calls_of_an_inference(rows, 5) == nothing
    assert number(last_fragmentation(rows)) == 200


def test_a_run_that_noted_nothing() -> None:
    assert allocator_phases(None, CALLS, mode="emulated") == allocator_phases({}, CALLS, mode="emulated") == ()
    assert isinstance(calls_of_all(()), Unavailable)
    assert isinstance(last_fragmentation(()), Unavailable)
    assert isinstance(calls_of_an_inference((), 3), Unavailable)


@pytest.mark.parametrize(
    "calls", [CALLS[:-1], (), tuple((address + 1, count) for address, count in CALLS), tuple(reversed(CALLS))]
)
def test_counts_that_do_not_fit_are_none(calls: tuple[tuple[int, int], ...]) -> None:
    assert isinstance(calls_of_all(allocator_phases(REPORT, calls, mode="emulated")), Unavailable)


def test_counts_that_fall_are_damaged() -> None:
    falling = (*CALLS[6:], *CALLS[3:6], *CALLS[:3])
    rows = allocator_phases(REPORT, falling, mode="emulated")
    assert calls_of_all(rows) == Unavailable(unavailable="the allocator's counts are damaged")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(ANY, ANY, ANY)
def test_whatever_the_guest_writes(whole: Any, phases: Any, size: Any) -> None:
    row = {"phase": "load", "held": size, "free": size, "releasable": 1}
    for written in (whole, {"phases": phases}, {"phases": [row], "functions": whole}, {"phases": [whole, phases]}):
        for each in allocator_phases({"allocator": written}, CALLS, mode="emulated"):
            assert number(each.fragmentation) >= 0
