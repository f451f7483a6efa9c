"""Which segments of a counted inference belong to which operator.

The runner says for each operator between which marks it ran (`images/guest/backend.py`, ``operator_row``); the plugin's
file has the marks in order with what ran between them. Operators inside others take their segments from these. What no
operator takes was spent outside of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .counts import Segment

INFERENCE_MARK = 0x7FFFFFFF
"""``INFERENCE`` in images/guest/marks.py."""


def inferences(segments: Sequence[Segment]) -> tuple[Sequence[Segment], ...]:
    """The segments of each whole inference."""
    found, start = [], 0
    for place, segment in enumerate(segments):
        if not segment.by_clock and segment.token == INFERENCE_MARK:
            found.append(segments[start : place + 1])
            start = place + 1
    return tuple(found)


def owners(segments: Sequence[Segment], rows: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """For each segment of one inference the index of the row that it belongs to, or None.

    Rows whose marks are not there, or contradict one another, get nothing.
    """
    claims: list[tuple[int, int, int]] = []
    called = {segment.token: place for place, segment in enumerate(segments) if not segment.by_clock}
    shown = {segment.token: place for place, segment in enumerate(segments) if segment.by_clock}
    clocks = [place for place, segment in enumerate(segments) if segment.by_clock]
    for index, row in enumerate(rows):
        for begin, end in _pairs(row.get("marks")):
            if begin in called and end in called:
                claims.append((called[begin] + 1, called[end] + 1, index))
    claims += _inside_delegates(rows, called, clocks)
    claims += _by_clock(rows, shown)
    owner: list[int | None] = [None] * len(segments)
    for first, last, index in sorted(claims, key=lambda claim: claim[0] - claim[1]):
        owner[first:last] = [index] * (last - first)
    return owner


def _inside_delegates(
    rows: Sequence[Mapping[str, Any]], called: Mapping[int, int], clocks: Sequence[int]
) -> list[tuple[int, int, int]]:
    """A delegate reads the clock before its first operator and after each, then reports them: the last n + 1 readings
    before a report of n operators are theirs (XNNPACK, src/runtime.c: xnn_invoke_runtime)."""
    reports: dict[int, list[tuple[int, int]]] = {}
    for index, row in enumerate(rows):
        for mark, place in _pairs(row.get("reported")):
            reports.setdefault(mark, []).append((place, index))
    claims = []
    for mark, operators in reports.items():
        before = [place for place in clocks if place < called.get(mark, -1)][-len(operators) - 1 :]
        if len(before) == len(operators) + 1:
            claims += [
                (before[place] + 1, before[place + 1] + 1, index)
                for place, index in operators
                if 0 <= place < len(operators)
            ]
    return claims


def _by_clock(rows: Sequence[Mapping[str, Any]], shown: Mapping[int, int]) -> list[tuple[int, int, int]]:
    """ONNX Runtime counts microseconds from a start of its own, which is where all of its times were clock readings.

    The guest's clock shows a microsecond for each tick, so its times are ticks.
    """
    spans = [(start, length, index) for index, row in enumerate(rows) for start, length in _pairs(row.get("spans_us"))]
    for first in shown:
        zero = first - spans[0][0] if spans else 0
        if all(start + zero in shown and start + length + zero in shown for start, length, _index in spans):
            return [(shown[s + zero] + 1, shown[s + n + zero] + 1, index) for s, n, index in spans]
    return []


def _pairs(value: Any) -> list[tuple[int, int]]:
    """The guest's list of pairs of whole numbers; anything else in it is left out."""
    if not isinstance(value, list):
        return []
    return [
        (pair[0], pair[1])
        for pair in value
        if isinstance(pair, list) and len(pair) == 2 and all(type(number) is int for number in pair)
    ]
