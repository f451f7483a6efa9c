"""How memory ran out, by everything that a run leaves behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sandbox.analysis import analyse
from sandbox.engines.base import MemoryTrace, Outcome
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.out_of_memory import explain, sentence
from sandbox.profilers.last_seen import LastSeen
from sandbox.record import Need
from sandbox.result import OutOfMemory
from sandbox.rundir import read_record, write_record
from sandbox.verdict import find_failure
from tests.record_runs import RUNS
from tests.unit.recorded import copy, edit

NEEDS = (
    Need(part="activations", what="activations", size_bytes=400),
    Need(part="weights", what="weights of the file", size_bytes=300),
    Need(part="packed weights", what="XNNPACK's copy", size_bytes=310),
    Need(part="operator", what="CONV_2D conv (operator 0)", size_bytes=350_000_000, operator=0),
)
RECORD = read_record(RUNS / "out_of_memory").model_copy(update={"needs": NEEDS})
KILLED = Outcome(
    exit_code=None,
    signal=9,
    out_of_memory=True,
    limit_mechanism="cgroup v2",
    isolation="bubblewrap",
    emulator="QEMU 7.2",
    seconds=3.0,
    memory=MemoryTrace(guest_peak_bytes=210_000_000, guest_files_bytes=12_000_000),
)
RAISED = replace(KILLED, exit_code=1, signal=None, out_of_memory=False)
PHASES = (("import", 1.0), ("load", 2.0), ("allocate", 3.0), ("warmup", 4.0))


def found(
    outcome: Outcome = KILLED,
    error: dict[str, Any] | None = None,
    phases: tuple[tuple[str, float], ...] = PHASES,
    seen: LastSeen | None = None,
) -> OutOfMemory:
    report = {"error": error} if error else None
    failure = find_failure(outcome, report, phases, 200_000_000)
    explained = explain(failure, outcome, report, phases, RECORD, seen=seen)
    assert explained is not None
    return explained


def raised(kind: str, message: str) -> OutOfMemory:
    return found(RAISED, {"phase": "allocate", "type": kind, "message": message})


def number(quantity: Quantity) -> float:
    assert isinstance(quantity, Metric), quantity
    return quantity.value


def test_a_kill_names_the_operator_that_needs_most() -> None:
    one = found()
    assert (one.kind, one.phase, one.under_way) == ("kernel", "warmup", "CONV_2D conv (operator 0)")
    assert number(one.held) == 198_000_000
    assert isinstance(one.asked, Unavailable)
    assert not one.under_way_seen
    words = "; it held 198 MB of its own, by the model file CONV_2D conv (operator 0) needs 350 MB"
    assert sentence(one) == words
    assert found(replace(KILLED, limit_mechanism="watchdog")).kind == "watchdog"


@pytest.mark.parametrize(
    ("operator", "what", "needs"),
    [
        ((0, 0), "CONV_2D conv (operator 0)", 350_000_000),
        ((0, 999), "a delegate's part of the model (node 999)", None),
        ((2, 3), "operator 3 of subgraph 2", None),
    ],
)
def test_an_operator_that_was_seen_is_no_guess(operator: tuple[int, int], what: str, needs: int | None) -> None:
    one = found(seen=LastSeen(asked_bytes=38_000_000, operator=operator))
    assert (one.under_way, one.under_way_seen) == (what, True)
    assert number(one.asked) == 38_000_000
    words = f"; it held 198 MB of its own, had last asked for 38.0 MB more, {what} was under way"
    assert sentence(one) == words
    assert isinstance(one.under_way_needs, Unavailable) == (needs is None)


def test_what_raised_was_not_killed() -> None:
    seen = LastSeen(asked_bytes=4096, operator=(0, 0))
    one = found(RAISED, {"phase": "allocate", "type": "MemoryError", "message": ""}, seen=seen)
    assert (one.under_way_seen, isinstance(one.asked, Unavailable)) == (False, True)


@pytest.mark.parametrize(
    ("last", "under_way"),
    [(1, None), (2, "weights of the file"), (3, "XNNPACK's copy"), (4, "CONV_2D conv (operator 0)")],
)
def test_each_phase_has_its_own_need(last: int, under_way: str | None) -> None:
    one = found(phases=PHASES[:last])
    assert (one.phase, one.under_way) == (PHASES[last - 1][0], under_way)
    assert isinstance(one.under_way_needs, Unavailable) == (under_way is None)


@pytest.mark.parametrize(
    ("kind", "message", "expected", "asked"),
    [
        ("RuntimeError", "std::bad_alloc", "bad_alloc", None),
        ("MemoryError", "", "MemoryError", None),
        ("MemoryError", "Unable to allocate 1.5 GiB for an array with shape (9,)", "MemoryError", 1.5 * 2**30),
        ("RuntimeException", "Failed to allocate memory for requested buffer of size 4096", "runtime", 4096),
        ("RuntimeError", "Failed to allocate memory for requested buffer of size " + "9" * 30, "runtime", 1e30),
        ("RuntimeError", "Arena size is too small for all buffers.", "runtime", None),
    ],
)
def test_what_was_raised(kind: str, message: str, expected: str, asked: float | None) -> None:
    one = raised(kind, message)
    assert (one.kind, one.phase) == (expected, "allocate")
    if asked is None:
        assert isinstance(one.asked, Unavailable)
    else:
        assert number(one.asked) == pytest.approx(asked)


def test_a_crash_says_it_on_stderr() -> None:
    text = "terminate called after throwing an instance of 'std::bad_alloc'\n"
    for before in ("", "log\n" * 10_000, "Traceback (most recent call last):\nMemoryError\n"):
        assert found(replace(RAISED, exit_code=None, signal=6, stderr=before + text)).kind == "bad_alloc"


@pytest.mark.parametrize(
    ("last", "expected", "asked"),
    [
        ("MemoryError", "MemoryError", None),
        ("MemoryError: std::bad_alloc", "bad_alloc", None),
        (
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 1.5 GiB for an array with shape (9,)",
            "MemoryError",
            1.5 * 2**30,
        ),
        ("onnxruntime.Fail: Failed to allocate memory for requested buffer of size 4096", "runtime", 4096),
        ("OSError: [Errno 12] Cannot allocate memory", "runtime", None),
    ],
)
def test_a_program_that_could_write_no_report_says_it_in_its_traceback(
    last: str, expected: str, asked: float | None
) -> None:
    text = f'std::bad_alloc in a log\nTraceback (most recent call last):\n  File "runner.py", line 1\n{last}\n'
    outcome = replace(RAISED, stderr=text)
    one = found(outcome)
    assert (one.kind, one.phase, None if asked is None else number(one.asked)) == (expected, "warmup", asked)
    failure = find_failure(outcome, None, PHASES, None)
    assert failure is not None
    assert failure.reason.startswith(
        f"{last.partition(':')[0].rpartition('.')[2].removeprefix('_Array')} during warmup: "
    )
    before = find_failure(outcome, None, (), None)
    assert before is not None
    assert "before any model is loaded" in (before.fix or "")


def test_nothing_known_is_nothing_said() -> None:
    one = found(replace(KILLED, memory=MemoryTrace()), phases=())
    assert (one.phase, sentence(one)) == ("start", "")


def test_other_failures_have_none() -> None:
    failure = find_failure(replace(KILLED, out_of_memory=False, signal=11), None, PHASES, None)
    assert explain(failure, KILLED, None, PHASES, RECORD) is None
    assert explain(None, KILLED, None, PHASES, RECORD) is None


def test_the_verdict_says_it(tmp_path: Any) -> None:
    folder = copy("out_of_memory", tmp_path)
    write_record(folder, RECORD)
    result = analyse(folder)
    assert result.out_of_memory is not None
    assert result.out_of_memory.kind == "kernel"
    assert "by the model file CONV_2D conv (operator 0) needs 350 MB" in result.verdict.reasons[0]
    assert analyse(RUNS / "ready").out_of_memory is None


def test_a_host_that_is_smaller_than_the_limit_says_what_it_did_not_simulate(tmp_path: Any) -> None:
    folder = copy("ready", tmp_path)
    assert not any("not simulated" in warning for warning in analyse(folder).warnings)
    edit(folder / "run.json", lambda record: record["host"].update(memory_bytes=1 << 30))
    assert any("this host has 1.07 GB of memory" in warning for warning in analyse(folder).warnings)
