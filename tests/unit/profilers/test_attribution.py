"""Marks in order and what the runner said of its operators → whose each segment is."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.profilers.attribution import INFERENCE_MARK, inferences, owners
from sandbox.profilers.counts import Segment
from tests.unit.guest.guest_modules import load

END = INFERENCE_MARK


def mark(token: int, *, clock: bool = False) -> Segment:
    """A segment that ends at this mark."""
    return Segment(token=token, by_clock=clock, ticks=1, l2_lines=0, dram_lines=0, entries=np.zeros(0))


def clock(ticks: int) -> Segment:
    return mark(ticks, clock=True)


def marks(*tokens: int) -> list[Segment]:
    return [mark(token) for token in tokens]


def row(**told: Any) -> dict[str, Any]:
    return {"type": "X", "marks": [], "reported": [], "spans_us": [], **told}


def test_the_runner_ends_inferences_with_that_mark() -> None:
    assert load("marks").INFERENCE == INFERENCE_MARK


def test_inferences() -> None:
    segments = [*marks(0, 1, END), mark(END), mark(2), clock(END), *marks(END, 7, 8)]
    found = inferences(segments)
    assert [[segment.token for segment in each] for each in found] == [[0, 1, END], [END], [2, END, END]]
    assert inferences(segments[-2:]) == ()
    assert inferences(()) == ()


def test_operators_one_after_the_other() -> None:
    """What ends at an operator's second mark is its own; before, between and after them nobody's."""
    rows = [row(marks=[[0, 1]]), row(marks=[[2, 3]])]
    assert owners(marks(0, 1, 2, 3, END), rows) == [None, 0, None, 1, None]


def test_an_operator_that_ran_twice() -> None:
    rows = [row(marks=[[0, 1], [4, 5]]), row(marks=[[2, 3]])]
    assert owners(marks(0, 1, 2, 3, 4, 5, END), rows) == [None, 0, None, 1, None, 0, None]


def test_other_marks_inside_an_operator_divide_nothing() -> None:
    segments = [mark(0), clock(500), clock(501), mark(9), mark(1), mark(END)]
    assert owners(segments, [row(marks=[[0, 1]])]) == [None, 0, 0, 0, 0, None]


def test_operators_inside_others_take_their_part() -> None:
    """A WHILE with an ADD that runs twice in it, which has an IF's branch in it once."""
    loop, add, branch = row(marks=[[0, 7]]), row(marks=[[1, 4], [5, 6]]), row(marks=[[2, 3]])
    expected = ["-", "loop", "add", "branch", "add", "loop", "add", "loop", "-"]
    for rows in ([loop, add, branch], [branch, add, loop], [add, loop, branch]):
        names = {id(loop): "loop", id(add): "add", id(branch): "branch"}
        found = owners(marks(0, 1, 2, 3, 4, 5, 6, 7, END), rows)
        assert ["-" if index is None else names[id(rows[index])] for index in found] == expected


def test_operators_of_a_delegate_are_between_its_clock_readings() -> None:
    """XNNPACK: a reading, then an operator and a reading each, then the report; the node itself keeps the rest."""
    segments = [mark(0), clock(100), clock(140), clock(190), mark(1), mark(2), mark(3), mark(END)]
    rows = [row(marks=[[0, 3]]), row(reported=[[1, 0]]), row(reported=[[1, 1]])]
    assert owners(segments, rows) == [None, 0, 1, 2, 0, 0, 0, None]


def test_of_more_readings_the_last_are_the_delegate_s() -> None:
    segments = [clock(1), clock(2), mark(0), clock(50), clock(100), clock(140), mark(1), mark(2), mark(END)]
    assert owners(segments, [row(marks=[[0, 2]]), row(reported=[[1, 0]])])[3:7] == [0, 0, 1, 0]


def test_a_delegate_that_reads_no_clock_keeps_all_that_it_ran() -> None:
    rows = [row(marks=[[0, 3]]), row(reported=[[1, 0]]), row(reported=[[1, 1]])]
    assert owners([mark(0), clock(100), clock(140), *marks(1, 2, 3, END)], rows) == [None, 0, 0, 0, 0, 0, None]
    assert owners(marks(0, 1, 2, 3, END), rows) == [None, 0, 0, 0, None]
    assert owners(marks(0, 3, END), rows) == [None, 0, None]


def test_two_parts_of_a_delegate() -> None:
    segments = [
        *(mark(0), clock(10), clock(20), mark(1), mark(2)),
        *(mark(3), clock(30), clock(40), clock(50), mark(4), mark(5), mark(6), mark(END)),
    ]
    rows = [
        *(row(marks=[[0, 2]]), row(reported=[[1, 0]])),
        *(row(marks=[[3, 6]]), row(reported=[[4, 0]]), row(reported=[[4, 1]])),
    ]
    assert owners(segments, rows) == [None, 0, 1, 0, 0, None, 2, 3, 4, 2, 2, 2, None]


def test_the_same_part_of_a_delegate_in_a_loop() -> None:
    segments = [clock(10), clock(20), mark(1), clock(30), clock(40), mark(2), mark(END)]
    assert owners(segments, [row(reported=[[1, 0], [2, 0]])]) == [None, 0, None, None, 0, None, None]


def test_times_of_onnxruntime_count_from_where_all_of_them_were_readings() -> None:
    """Its clock starts at an unknown reading, here 900; readings that are no start or end are in between."""
    segments = [clock(903), clock(905), clock(910), clock(920), clock(931), clock(940), mark(END)]
    rows = [row(spans_us=[[10, 10]]), row(spans_us=[[20, 20]])]
    assert owners(segments, rows) == [None, None, None, 0, 1, 1, None]


def test_a_node_of_onnxruntime_inside_another() -> None:
    segments = [clock(time) for time in (5000, 5002, 5006, 5011)] + [mark(END)]
    rows = [row(spans_us=[[0, 11]]), row(spans_us=[[2, 4]])]
    assert owners(segments, rows) == [None, 0, 1, 0, None]


def test_times_of_onnxruntime_that_fit_no_readings_are_nobody_s() -> None:
    segments = [clock(910), clock(920), clock(940), mark(END)]
    assert owners(segments, [row(spans_us=[[10, 10]]), row(spans_us=[[20, 19]])]) == [None] * 4
    assert owners([mark(10), mark(20), mark(END)], [row(spans_us=[[10, 10]])]) == [None] * 3


def test_rows_whose_marks_are_not_there_get_nothing() -> None:
    rows = [row(marks=[[8, 9]]), row(marks=[[0, 9]]), row(reported=[[9, 0]]), {}]
    assert owners(marks(0, 1, END), rows) == [None] * 3
    assert owners([], rows) == []
    assert owners(marks(0, 1, END), []) == [None] * 3


def test_marks_that_contradict_one_another_get_nothing() -> None:
    assert owners(marks(0, 1, 2, END), [row(marks=[[2, 0]]), row(marks=[[1, 1]])]) == [None] * 4


def test_a_place_in_a_report_that_it_has_not() -> None:
    segments = [clock(1), clock(2), clock(3), mark(1), mark(END)]
    assert owners(segments, [row(reported=[[1, -1]]), row(reported=[[1, 2]])]) == [None] * 5


def test_what_is_no_pair_of_whole_numbers_is_left_out() -> None:
    nonsense = ["12", {"0": 1}, [0], [0, 1, 2], [0, "1"], [0, 1.0], [True, False], None, [[0, 1]]]
    assert owners(marks(0, 1, END), [row(marks=nonsense)]) == [None] * 3
    assert owners(marks(0, 1, END), [row(marks=[*nonsense, [0, 1]])]) == [None, 0, None]
    for whole in ("01", 7, None, {"0": [0, 1]}):
        assert owners(marks(0, 1, END), [row(marks=whole, reported=whole, spans_us=whole)]) == [None] * 3


SMALL = st.integers(-2, 12) | st.sampled_from([10**30, END])
PAIRS = st.lists(st.lists(SMALL, max_size=3) | st.lists(SMALL, min_size=2, max_size=2) | st.text(max_size=2))
ROWS = st.fixed_dictionaries({}, optional={"marks": PAIRS, "reported": PAIRS, "spans_us": PAIRS})
SEGMENTS = st.lists(st.builds(lambda token, by_clock: mark(token, clock=by_clock), SMALL, st.booleans()))


@given(segments=SEGMENTS, rows=st.lists(ROWS, max_size=5))
@settings(deadline=None)
def test_whatever_the_rows_say(segments: list[Segment], rows: list[dict[str, Any]]) -> None:
    found = owners(segments, rows)
    assert len(found) == len(segments)
    assert set(found) <= {None, *range(len(rows))}
