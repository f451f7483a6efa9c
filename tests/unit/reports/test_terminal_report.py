"""The report for people: each recorded run to the letter, colours on request, nothing that a name could do."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest
from rich.cells import cell_len

from sandbox.measurements import Counts, Kernel, Op, ThreadWork
from sandbox.metrics import Metric, Unavailable
from sandbox.reports import terminal
from sandbox.result import Check, Result
from sandbox.units import format_size
from tests import picture, renew
from tests.unit.recorded import NAMES, result

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
NASTY = "\x1b[2J\x1b]0;owned\x07\r\x08\x9b31m[bold red]x[/] \u202eevil\u2028:smile:"
CLEAN = r"\x1b[2J\x1b]0;owned\x07\x0d\x08\x9b31m[bold red]x[/] \x202eevil\x2028:smile:"


@pytest.fixture(autouse=True)
def a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLORTERM", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def instructions(count: int) -> Metric:
    return Metric(value=count, unit="instruction", mode="emulated")


def a_kernel(library: str, count: int = 1) -> Kernel:
    return Kernel(function=None, library=library, instructions=instructions(count))


def an_op(
    *, index: int = 0, type_: str = "CONV_2D", name: str = "conv", seconds: float | None = 0.5, status: str = "native",
    delegate: str | None = None, dtype: str | None = "int8", detail: str | None = None, count: int | None = None,
    kernels: Sequence[Kernel] = (),
) -> Op:  # fmt: skip
    nothing = Unavailable(unavailable="none")
    time = nothing if seconds is None else Metric(value=seconds, unit="second", mode="emulated")
    return Op.model_validate(
        {
            "index": index,
            "type": type_,
            "name": name,
            "dtype": dtype,
            "delegate": delegate,
            "detail": detail,
            "shape": None,
            "instructions": instructions(count) if count is not None else nothing,
            "classes": {},
            "kernels": kernels,
            "lines_from_l2": nothing,
            "lines_from_dram": nothing,
            "time": time,
            "status": status,
        }
    )


def with_ops(*ops: Op, unavailable: str | None = None) -> str:
    return terminal.render(result("ready").model_copy(update={"ops": ops, "ops_unavailable": unavailable}))


def block(report: str, heading: str) -> list[str]:
    """The lines below a heading, up to the next blank one."""
    lines = report.splitlines()
    start = lines.index(heading) + 1
    return lines[start : lines.index("", start) if "" in lines[start:] else None]


@pytest.mark.parametrize("name", NAMES)
def test_to_the_letter(name: str) -> None:
    expected = (renew.REPORTS / f"{name}.txt").read_text(encoding="utf-8")
    assert terminal.render(result(name)) == expected, "if this is what you want, run python -m tests.renew"


@pytest.mark.parametrize("name", NAMES)
def test_plain_text_of_at_most_80_columns(name: str) -> None:
    report = terminal.render(result(name))
    assert "\x1b" not in report
    assert max(map(len, report.splitlines())) <= 80
    assert report.endswith("\n")
    headings = [line for line in report.splitlines() if line.isupper() and not line.startswith(" ")]
    assert headings == ["MEMORY", "LATENCY", "OPERATORS", "VERDICT"]


@pytest.mark.parametrize("name", NAMES)
def test_colours_change_nothing_else(name: str) -> None:
    coloured = terminal.render(result(name), colour=True)
    assert ESCAPE.sub("", coloured) == terminal.render(result(name))
    assert ESCAPE.search(coloured)


@pytest.mark.parametrize(
    ("name", "code", "text"), [("ready", "1;32", "READY"), ("timed_out", "1;31", "NOT READY"), ("ready", "32", "low")]
)
def test_the_verdict_s_colour(name: str, code: str, text: str) -> None:
    assert f"\x1b[{code}m{text}\x1b[0m" in terminal.render(result(name), colour=True)


def test_no_setting_of_the_terminal_brings_colours_that_were_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = terminal.render(result("ready"))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert terminal.render(result("ready")) == plain


def hostile() -> Result:
    """A result with a nasty text wherever a model, a guest or a tampered run folder could put one."""
    ready = result("ready")
    nothing = Unavailable(unavailable=NASTY)
    memory = ready.memory.model_copy(
        update=dict.fromkeys(("peak_rss", "available", "headroom", "weights", "runtime_baseline"), nothing)
    )
    site = ready.heap.by_library[0]
    heap = ready.heap.model_copy(
        update={"by_library": (site.model_copy(update={"library": NASTY}),), "sites_unavailable": NASTY}
    )
    ops = (
        an_op(type_=NASTY, name=NASTY, dtype=NASTY, delegate=NASTY, status="delegated"),
        an_op(type_=NASTY, status="missing", detail=NASTY),
    )
    return ready.model_copy(
        update={
            "model": ready.model.model_copy(update={"path": f"models/{NASTY}"}),
            "device": ready.device.model_copy(update=dict.fromkeys(("id", "name", "emulated_cpu"), NASTY)),
            "image": ready.image.model_copy(update={"id": NASTY}),
            "runtime": ready.runtime.model_copy(update=dict.fromkeys(("name", "version"), NASTY)),
            "engine": ready.engine.model_copy(update=dict.fromkeys(("emulator", "isolation"), NASTY)),
            "memory": memory,
            "heap": heap,
            "latency": ready.latency.model_copy(update={"mean": nothing}),
            "ops": ops,
            "ops_unavailable": NASTY,
            "checks": (Check(id="memory", status="unknown", reason=NASTY),),
            "verdict": ready.verdict.model_copy(update={"reasons": (NASTY,), "fix": NASTY}),
            "warnings": (NASTY,),
        }
    )


def test_no_name_can_reach_the_terminal() -> None:
    report = terminal.render(hostile())
    assert {char for char in report if not char.isprintable()} == {"\n"}
    assert report.isprintable() or max(map(len, report.splitlines())) <= 80
    coloured = terminal.render(hostile(), colour=True)
    assert ESCAPE.sub("", coloured) == report
    assert set(re.findall(r"\x1b.{3}", coloured)) <= {"\x1b[1m", "\x1b[0m", "\x1b[2m", "\x1b[1;", "\x1b[31", "\x1b[32"}


def test_what_is_not_printable_is_shown() -> None:
    """In full, and with markup and emoji codes as they are: a name is no instruction."""
    lines = block(terminal.render(hostile()), "VERDICT")
    shown = "".join(line[13:] for line in lines if not line.startswith("  note"))
    assert CLEAN.replace(" ", "") in shown.replace(" ", "")


@pytest.mark.parametrize("name", ["x" * 500, "wide 表" * 100, "a " * 300])
def test_long_names_stay_in_80_columns(name: str) -> None:
    ready = result("ready")
    ops = (an_op(type_=name, name=name, dtype=name, delegate=name, status="delegated"),)
    changed = {"model": ready.model.model_copy(update={"path": name}), "ops": ops, "warnings": (name,)}
    for line in terminal.render(ready.model_copy(update=changed)).splitlines():
        assert cell_len(line) <= 80


def test_the_slowest_operators_come_first() -> None:
    ops = [an_op(name=f"op{n}", seconds=n / 100) for n in (1, 40, 2, 9, 5, 3)]
    assert block(with_ops(*ops), "OPERATORS") == [
        "  native     6 of 6 executed",
        "  slowest    67% CONV_2D int8 op40",
        "             15% CONV_2D int8 op9",
        "              8% CONV_2D int8 op5",
        "              5% CONV_2D int8 op3",
        "              3% CONV_2D int8 op2",
    ]


def test_counted_operators_have_their_instructions_and_their_library() -> None:
    ops = [
        an_op(name="conv", seconds=0.9, count=1_720_000, kernels=[a_kernel("gemmlowp", 9), a_kernel("TFLite", 2)]),
        an_op(name="pool", seconds=0.1, count=827),
        an_op(type_="(outside operators)", name="rest", dtype=None, seconds=0.0, count=0, status="outside"),
    ]
    assert block(with_ops(*ops), "OPERATORS") == [
        "  native     2 of 2 executed",
        "  slowest    90% 1.72 M CONV_2D int8 conv, gemmlowp",
        "             10%    827 CONV_2D int8 pool",
        "              0%      0 (outside operators) rest",
    ]


def test_the_library_is_the_one_that_ran_most_in_all_its_functions() -> None:
    kernels = [a_kernel("libc.so.6", 5), a_kernel("XNNPACK", 4), a_kernel("XNNPACK", 3)]
    assert terminal.main_library(kernels) == "XNNPACK"


def latency_block(classes: dict[str, int], *threads: int, path: int = 7_000_000) -> list[str]:
    ready = result("ready")
    counts = Counts.model_validate(
        {
            "instructions": instructions(10_562_023),
            "critical_path": instructions(path),
            "classes": classes,
            "threads": [ThreadWork(thread=n, instructions=instructions(count)) for n, count in enumerate(threads)],
        }
    )
    latency = ready.latency.model_copy(update={"counts": counts})
    return block(terminal.render(ready.model_copy(update={"latency": latency})), "LATENCY")


def test_the_work_of_an_inference() -> None:
    classes = {"integer": 10, "vector_fma": 50, "load": 20, "branch": 15, "permute": 5}
    lines = latency_block(classes, 10_562_023)
    assert lines[-2:] == [
        "  work       10.6 M instructions, emulated for one inference",
        "             50% vector fma, 20% load, 15% branch, 10% integer",
    ]


def test_the_work_of_threads_and_their_critical_path() -> None:
    assert latency_block({"integer": 1}, 6_000_000, 4_562_023)[-1] == (
        "  threads    6.00 M, 4.56 M; critical path 7.00 M"
    )


def test_without_counts_the_reason_is_told() -> None:
    ready = result("ready")
    nothing = Unavailable(unavailable="no plugin")
    counts = Counts(instructions=nothing, critical_path=nothing, classes={}, threads=())
    latency = ready.latency.model_copy(update={"counts": counts})
    lines = block(terminal.render(ready.model_copy(update={"latency": latency})), "LATENCY")
    assert lines[-1] == "  work       unavailable, because no plugin"


def test_operators_without_times_have_no_order() -> None:
    assert block(with_ops(an_op(seconds=None), an_op(seconds=None)), "OPERATORS") == ["  native     2 of 2 executed"]


def test_long_operator_names_keep_both_ends() -> None:
    (line,) = block(with_ops(an_op(name="model/block_1/depthwise/BiasAdd;model/block_1/conv")), "OPERATORS")[1:]
    assert line == "  slowest    100% CONV_2D int8 model/block_1/depthwis…Add;model/block_1/conv"


def test_delegates_are_counted() -> None:
    ops: Sequence[Op] = (
        an_op(seconds=None),
        *(an_op(seconds=None, status="delegated", delegate="XNNPACK") for _ in range(3)),
        an_op(seconds=None, status="delegated", delegate=None),
    )
    assert block(with_ops(*ops), "OPERATORS") == ["  native     1 of 5 executed; 3 by XNNPACK, 1 by ?"]


def test_missing_operators_are_named_once() -> None:
    missing = [an_op(type_="FFT", seconds=None, status="missing", detail="not here") for _ in range(3)]
    other = an_op(type_="Blur", seconds=None, status="missing")
    assert block(with_ops(*missing, other), "OPERATORS") == [
        "  native     unknown of 4 in the model: none was seen to its end",
        "  missing    FFT: not here",
        "  missing    Blur: not in this build",
    ]


def test_a_note_on_the_profile_is_shown() -> None:
    report = with_ops(an_op(), unavailable="the clock is coarse")
    assert block(report, "OPERATORS")[1] == "  note       the clock is coarse"


def memory_block(status: str = "pass", reason: str = "", **quantities: object) -> list[str]:
    ready = result("ready")
    check = Check.model_validate({"id": "memory", "status": status, "reason": reason})
    changed = {"memory": ready.memory.model_copy(update=quantities), "checks": (check,)}
    return block(terminal.render(ready.model_copy(update=changed)), "MEMORY")


def size(value: float, high: float | None = None) -> Metric:
    return Metric(value=value, unit="byte", mode="emulated", high=high)


def test_the_peak_s_interval_is_shown_where_it_matters() -> None:
    assert memory_block(peak_rss=size(100e6, high=110e6))[0] == "  peak       100 MB emulated (at most 110 MB)"
    assert memory_block(peak_rss=size(100e6, high=100.1e6))[0] == "  peak       100 MB emulated"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("pass", "  risk       low"),
        ("warn", "  risk       high: little is left"),
        ("fail", "  risk       it does not fit"),
        ("unknown", "  risk       unknown: the run ended early"),
        ("skipped", "  risk       unknown: the run ended early"),
    ],
)
def test_the_risk(status: str, line: str) -> None:
    assert [row for row in memory_block(status, "the run ended early") if row.startswith("  risk")] == [line]


def test_what_is_not_known_is_said_to_be() -> None:
    why = Unavailable(unavailable="nobody measured it")
    lines = memory_block(available=why, headroom=why, emulator_overhead=why)
    unknown = [f"  {name:<11}unavailable, because nobody measured it" for name in ("available", "headroom")]
    assert [line for line in lines if line.startswith(("  available", "  headroom"))] == unknown
    assert not [line for line in lines if "emulator" in line]
    assert "  headroom   -5 B emulated" in memory_block(available=size(0), headroom=size(-5))


def test_callers_that_massif_could_not_follow() -> None:
    ready = result("ready")
    heap = ready.heap.model_copy(update={"sites_unavailable": "no symbols"})
    lines = block(terminal.render(ready.model_copy(update={"heap": heap})), "MEMORY")
    assert isinstance(ready.heap.peak, Metric)
    peak = format_size(ready.heap.peak.value)
    assert f"  heap       {peak} emulated at its peak: callers unavailable, because no" in lines
    assert "             symbols" in lines


# The picture in the README


def test_the_picture_is_of_the_recorded_run() -> None:
    drawn = picture.PICTURE.read_text(encoding="utf-8")
    rows: dict[int, str] = {}
    for line, text in re.findall(r'<text[^>]*url\(#report-line-(\d+)\)">([^<]*)</text>', drawn):
        rows[int(line)] = rows.get(int(line), "") + html.unescape(text).replace("\xa0", "")
    shown = "".join(rows[line] for line in sorted(rows))
    expected = f"$ {picture.COMMAND}\n{terminal.render(result('ready'))}"
    assert "".join(shown.split()) == "".join(expected.split()), "run python -m tests.picture"


def test_the_picture_needs_nothing_from_elsewhere() -> None:
    drawn = picture.PICTURE.read_text(encoding="utf-8")
    assert ET.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
    assert re.findall(r"https?://[^\s\"'<>)]+", drawn) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@import|@font-face|<script|<image|href=|url\((?!#)", drawn)


def test_the_picture_is_drawn_alike_each_time() -> None:
    assert picture.draw() == picture.draw()
    assert "@font-face" not in picture.draw()
