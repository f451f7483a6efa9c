"""The plugin's two files: what is in them, what a guest can do to them, and that C and Python agree on their layout."""

from __future__ import annotations

import os
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import process
from sandbox.errors import DataFileError
from sandbox.profilers import counts
from sandbox.profilers.counts import CLASSES, Marks, Segment, Thread, parse_counters, parse_marks, work
from tests.unit.guest.guest_modules import load
from tests.unit.profilers.count_files import COMPLETE, INFERENCE, OVERFLOW, block, counters, delta, thread

PROJECT = Path(__file__).parents[3]


def plain(segment: Segment) -> tuple[Any, ...]:
    """A segment as values that can be compared."""
    entries = [tuple(int(number) for number in entry) for entry in segment.entries]
    lines = (segment.l2_lines, segment.dram_lines)
    return (segment.token, segment.by_clock, segment.ticks, lines, entries)


# <pid>.counts


def test_counters() -> None:
    data = counters(thread(1000, waited=10, classes={"integer": 600, "branch": 300, "unknown": 90}), thread(7), used=2)
    found = parse_counters(data)
    assert (found.attached, found.complete, found.overflow) == (True, True, False)
    assert found.threads == (
        Thread(retired=1000, waited=10, classes={"integer": 600, "branch": 300, "unknown": 90}),
        Thread(retired=7, waited=0, classes={}),
    )


@pytest.mark.parametrize(
    ("attached", "flags", "seen"),
    [
        (0, 0, (False, False, False)),
        (1, COMPLETE, (True, True, False)),
        (0, OVERFLOW, (False, False, True)),
        (7, COMPLETE | OVERFLOW | 0x80, (True, True, True)),
    ],
)
def test_what_is_said_of_the_process(attached: int, flags: int, seen: tuple[bool, bool, bool]) -> None:
    found = parse_counters(counters(attached=attached, flags=flags))
    assert (found.attached, found.complete, found.overflow) == seen
    assert found.threads == ()


def test_what_a_killed_process_had_asked_for_and_run() -> None:
    running = thread(9)[:200] + struct.pack("<II", 8, 1) + bytes(48)
    found = parse_counters(counters(thread(5), running, asked_pages=3))
    assert found.asked_bytes == 3 * 4096
    assert [each.operator for each in found.threads] == [None, (1, 7)]


def test_more_threads_than_the_file_has_room_for() -> None:
    assert len(parse_counters(counters(thread(5), used=2**32 - 1)).threads) == 1024


def test_the_largest_numbers() -> None:
    most = 2**64 - 1
    (found,) = parse_counters(counters(thread(most, classes={"load": most}))).threads
    assert (found.retired, found.classes) == (most, {"load": most})


def test_counters_that_are_cut_off() -> None:
    data = counters(thread(5))
    for length in (*range(100), *range(100, len(data), 4093), len(data) - 1):
        with pytest.raises(DataFileError, match="too short") as caught:
            parse_counters(data[:length])
        assert caught.value.hint
    assert parse_counters(data + b"more").threads[0].retired == 5


@pytest.mark.parametrize("wrong", [{"magic": 0}, {"version": 0}, {"version": 2}])
def test_counters_of_another_version(wrong: dict[str, int]) -> None:
    with pytest.raises(DataFileError, match="another version") as caught:
        parse_counters(counters(thread(5), **wrong))
    assert caught.value.hint == "pip install . again"


@given(head=st.binary(min_size=48, max_size=48), body=st.binary(max_size=512))
@settings(max_examples=50, deadline=None)
def test_whatever_the_guest_writes_over_its_counters(head: bytes, body: bytes) -> None:
    whole = counters()
    found = parse_counters(whole[:8] + head + whole[56:8248] + body + whole[8248 + len(body) :])
    for each in found.threads:
        assert each.retired >= 0
        assert set(each.classes) <= set(CLASSES)


@given(st.binary(max_size=400))
def test_any_bytes_are_no_counters(content: bytes) -> None:
    with pytest.raises(DataFileError):
        parse_counters(content)


# <pid>.marks

RUN = b"".join(
    [
        block(0, 0x1000, integer=3, branch=1),
        delta((0, 0, 2), token=5, since=100, time=108, l2=2, dram=1),
        block(1, 0x2000, load=1, vector_fma=4),
        delta((1, 0, 10), (0, 1, 1), token=6, since=108, time=160, clock=True),
        delta(token=INFERENCE, since=160, time=161),
    ]
)


def test_calls_of_functions() -> None:
    calls = struct.pack("<IIQQ", 3, 0, 0x5000, 70), struct.pack("<IIQQ", 3, 0, 0x6000, 4)
    found = parse_marks(calls[0] + RUN + calls[1])
    assert found.calls == ((0x5000, 70), (0x6000, 4))
    assert len(found.segments) == len(parse_marks(RUN).segments)
    assert parse_marks(RUN + calls[0][:-1]).calls == ()


def test_marks() -> None:
    found = parse_marks(RUN)
    assert found.addresses.tolist() == [0x1000, 0x2000]
    assert found.classes.shape == (2, len(CLASSES))
    assert dict(zip(CLASSES, found.classes[1].tolist(), strict=True)) == {
        **dict.fromkeys(CLASSES, 0), "load": 1, "vector_fma": 4,
    }  # fmt: skip
    assert [plain(segment) for segment in found.segments] == [
        (5, False, 8, (2, 1), [(0, 0, 2)]),
        (6, True, 52, (0, 0), [(1, 0, 10), (0, 1, 1)]),
        (INFERENCE, False, 1, (0, 0), []),
    ]


def test_no_marks() -> None:
    found = parse_marks(b"")
    assert found.segments == ()
    assert found.classes.shape == (0, len(CLASSES))
    assert work(found, ()).instructions == 0


def test_blocks_in_any_order_and_with_gaps() -> None:
    data = block(70, 0x3000, float=1) + block(2, 0x1000, store=2) + delta((70, 0, 1), (2, 0, 3))
    found = parse_marks(data)
    assert [found.addresses[entry["block"]] for entry in found.segments[0].entries] == [0x3000, 0x1000]
    assert work(found, found.segments).addresses == {0x3000: 1, 0x1000: 6}


def test_a_block_that_the_table_has_not_is_left_out() -> None:
    data = block(1, 0x1000, integer=2) + delta((0, 0, 9), (1, 0, 4), (2, 0, 9), (2**32 - 1, 0, 9))
    found = parse_marks(data)
    assert [plain(segment)[-1] for segment in found.segments] == [[(0, 0, 4)]]
    assert [plain(segment)[-1] for segment in parse_marks(delta((0, 0, 9))).segments] == [[]]


def test_time_between_a_mark_and_a_reset_belongs_to_nothing() -> None:
    found = parse_marks(delta(since=0, time=10) + delta(since=25, time=40))
    assert [segment.ticks for segment in found.segments] == [10, 15]


def test_marks_of_other_threads_divide_nothing() -> None:
    data = b"".join(
        [
            block(0, 0x1000, integer=1),
            delta((0, 0, 1), token=1, since=0, time=10),
            delta((0, 1, 20), token=77, since=10, time=500, thread=1, l2=3, dram=1),
            delta((0, 2, 30), token=78, since=500, time=20, thread=2),
            delta((0, 0, 4), token=2, since=20, time=30, l2=4),
            delta((0, 1, 5), token=79, since=30, time=31, thread=1),
        ]
    )
    found = parse_marks(data)
    assert [plain(segment) for segment in found.segments] == [
        (1, False, 10, (0, 0), [(0, 0, 1)]),
        (2, False, 20, (7, 1), [(0, 1, 20), (0, 2, 30), (0, 0, 4)]),
    ]


def test_time_does_not_run_backwards() -> None:
    found = parse_marks(delta(since=0, time=10) + delta(since=2**64 - 1, time=5))
    assert [segment.ticks for segment in found.segments] == [10, 0]


def test_a_wait_that_was_found_out_later_is_taken_off() -> None:
    data = block(0, 0x1000, integer=5) + delta((0, 0, 3), token=0) + delta((0, 0, -1), (0, 1, 1), token=1)
    found = parse_marks(data)
    both = work(found, found.segments)
    assert both.instructions == 15
    assert both.by_thread == {0: 10, 1: 5}


def test_work_is_the_sum_of_its_segments() -> None:
    found = parse_marks(RUN)
    both = work(found, found.segments)
    assert both.instructions == 2 * 4 + 10 * 5 + 1 * 4
    assert both.critical_path == 61
    assert both.classes == {"integer": 9, "branch": 3, "load": 10, "vector_fma": 40}
    assert both.by_thread == {0: 58, 1: 4}
    assert (both.l2_lines, both.dram_lines) == (2, 1)
    assert both.addresses == {0x1000: 12, 0x2000: 50}
    parts = [work(found, [segment]) for segment in found.segments]
    assert sum(part.instructions for part in parts) == both.instructions
    assert sum(part.critical_path for part in parts) == both.critical_path


def test_code_at_one_address_is_one_even_if_it_was_translated_twice() -> None:
    found = parse_marks(block(0, 0x1000, integer=1) + block(1, 0x1000, integer=3) + delta((0, 0, 2), (1, 0, 1)))
    assert work(found, found.segments).addresses == {0x1000: 5}


def test_no_segments_are_no_work() -> None:
    nothing = work(parse_marks(RUN), ())
    assert (nothing.instructions, nothing.critical_path, nothing.classes, nothing.by_thread) == (0, 0, {}, {})
    assert nothing.addresses == {}


def test_marks_that_are_cut_off_at_any_byte() -> None:
    """As when the guest is killed: what is whole is read, and nothing else is made of it."""
    whole = [plain(segment) for segment in parse_marks(RUN).segments]
    lengths = set()
    for length in range(len(RUN)):
        found = [plain(segment) for segment in parse_marks(RUN[:length]).segments]
        assert found == whole[: len(found)]
        lengths.add(len(found))
    assert lengths == {0, 1, 2}


@pytest.mark.parametrize("place", [0, 64, 64 + 72])
def test_damage_is_named_by_its_place(place: int) -> None:
    data = RUN[:place] + b"\xff\xff\xff\xff" + RUN[place + 4 :]
    with pytest.raises(DataFileError, match=f"damaged at byte {place}\n"):
        parse_marks(data)


def sane(marks: Marks) -> None:
    """Sums can be made of it, whatever they are worth."""
    found = work(marks, marks.segments)
    assert isinstance(found.instructions, int)
    assert found.critical_path >= 0
    assert set(found.classes) <= set(CLASSES)
    assert found.addresses.keys() <= set(marks.addresses.tolist())


@pytest.mark.parametrize("executions", [2**63 - 1, -(2**63), 2**62])
@pytest.mark.parametrize("ticks", [0, 2**64 - 1])
def test_numbers_that_no_run_has(executions: int, ticks: int) -> None:
    row = struct.pack("<IIQII20H", 1, 0, 2**64 - 1, 0, 0, *(2**16 - 1,) * 20)
    sane(parse_marks(row + delta(*[(0, 2**32 - 1, executions)] * 3, time=ticks, l2=ticks, dram=ticks)))


NUMBERS = st.sampled_from([0, 1, 2, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
LARGE = st.sampled_from([0, 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
SIGNED = st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1)
BLOCKS = st.builds(
    lambda index, address, counts: struct.pack("<IIQII20H", 1, index, address, 0, 0, *counts),
    NUMBERS,
    LARGE,
    st.lists(st.integers(0, 2**16 - 1), min_size=20, max_size=20),
)
DELTAS = st.builds(
    lambda thread, numbers, call, more, entries: (
        struct.pack("<II5QII", 2, thread, *numbers, call, min(len(entries) + more, 2**32 - 1))
        + b"".join(struct.pack("<IIq", *entry) for entry in entries)
    ),
    NUMBERS,
    st.lists(LARGE, min_size=5, max_size=5),
    NUMBERS,
    st.sampled_from([0, 0, 0, 1, 2**32 - 1]),
    st.lists(st.tuples(NUMBERS, NUMBERS, SIGNED), max_size=4),
)


@given(st.lists(BLOCKS | DELTAS | st.binary(max_size=8), max_size=8).map(b"".join) | st.binary(max_size=300))
@settings(deadline=None)
def test_whatever_the_guest_writes_over_its_marks(content: bytes) -> None:
    try:
        found = parse_marks(content)
    except DataFileError as error:
        assert "damaged at byte" in error.message  # noqa: PT017 - most contents are not refused
        return
    sane(found)


# Agreement with the plugin

ENUMERATORS = {
    "integer": "INTEGER", "multiply": "MULTIPLY", "divide": "DIVIDE", "branch": "BRANCH", "load": "LOAD",
    "store": "STORE", "vector_load": "VLOAD", "vector_store": "VSTORE", "vector_fma": "VFMA",
    "vector_float": "VFLOAT", "vector_integer_multiply": "VIMA", "dot_product": "DOT", "vector_integer": "VINTEGER",
    "permute": "PERMUTE", "float": "FLOAT", "crypto": "CRYPTO", "atomic": "ATOMIC", "system": "SYSTEM",
    "unknown": "UNKNOWN",
}  # fmt: skip


def python_layout() -> dict[str, int]:
    """C expression → what Python takes it for."""
    head, each_thread = counts._counter_types(np)
    kinds = dict(zip(("mark_block", "mark_delta", "mark_calls", "mark_entry"), counts._mark_types(np), strict=True))
    marks = load("marks")
    expected = {
        "COUNTS_MAGIC": counts._MAGIC,
        "COUNTS_VERSION": counts._VERSION,
        "COUNTS_THREADS": counts._THREADS,
        "COUNTS_FLAG_COMPLETE": counts._COMPLETE,
        "COUNTS_FLAG_OVERFLOW": counts._OVERFLOW,
        "COUNTS_SYSCALL": marks.SYSTEM_CALL,
        "COUNTS_RESET": marks.RESET,
        "COUNTS_MARK": marks.MARK,
        "COUNTS_MARK_CLOCK": counts._MARK_CLOCK,
        "MARK_BLOCK": counts._BLOCK,
        "MARK_DELTA": counts._DELTA,
        "MARK_CALLS": counts._CALLS,
        "COUNTS_CALLS": marks.CALLS,
        "INSN_CLASSES": len(CLASSES),
        **{f"INSN_{ENUMERATORS[name]}": place for place, name in enumerate(CLASSES)},
        "offsetof(struct counts, thread)": head.itemsize,
        "sizeof(struct counts)": head.itemsize + counts._THREADS * each_thread.itemsize,
        "sizeof(struct counts_thread)": each_thread.itemsize,
        **{f"sizeof(struct {name})": kind.itemsize for name, kind in kinds.items()},
    }
    renamed = {"length": "instructions"}
    for name, kind in {"counts": head, "counts_thread": each_thread, **kinds}.items():
        assert kind.fields is not None
        for key, (type_, offset, *_title) in kind.fields.items():
            field = renamed.get(str(key), str(key))
            expected[f"offsetof(struct {name}, {field})"] = offset
            if (name, key) != ("counts_thread", "classes"):  # a row of them
                expected[f"sizeof(((struct {name} *)0)->{field})"] = type_.itemsize
    return expected


@pytest.mark.subprocess
@pytest.mark.parametrize("target", ["x86_64", "arm"])
def test_the_layout_is_the_plugin_s(tmp_path: Path, target: str) -> None:
    """The compiler compares, for the guest's clock library maps the same file."""
    lines = [f'_Static_assert(({what}) == {value}u, "{what}");' for what, value in python_layout().items()]
    wrong = '_Static_assert(COUNTS_VERSION == 0, "this one fails");'
    source = tmp_path / "layout.c"
    source.write_text("\n".join(["#include <stddef.h>", '#include "counts.h"', *lines, wrong, ""]))
    caches = dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), str(tmp_path / "cache"))
    compiler = (sys.executable, "-m", "ziglang", "cc", "-target", f"{target}-freestanding", "-fsyntax-only")
    include = ("-I", str(PROJECT / "images/plugin"))
    done = process.run((*compiler, *include, str(source)), timeout=300, env={**os.environ, **caches})
    assert re.findall(r"static assertion failed[^:]*: (.*)", done.stderr) == ["this one fails"], done.stderr
