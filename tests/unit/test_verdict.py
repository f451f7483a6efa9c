"""From how a run ended to the verdict: what runtimes really say, and every way to die."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import pytest

from sandbox.engines.base import Outcome
from sandbox.result import Check, CheckId, CheckStatus
from sandbox.verdict import Failure, failure_checks, find_failure, judge
from tests.unit.runtime_messages import MESSAGES, SMALLER

WELL = Outcome(exit_code=0, limit_mechanism="cgroup v2", isolation="bubblewrap", emulator="QEMU 7.2", seconds=12.5)
GOOD_REPORT: Mapping[str, Any] = {"schema": 1, "error": None}
PHASES = (("import", 0.0), ("load", 1.0), ("allocate", 2.0))


def died(signal: int, stderr: str = "") -> Outcome:
    return replace(WELL, exit_code=None, signal=signal, stderr=stderr)


def said(
    message: object, *, kind: object = "RuntimeError", phase: object = "allocate", cause: object = None
) -> Failure:
    """The failure that a report with this error makes."""
    error = {"phase": phase, "type": kind, "message": message, "cause": cause}
    failure = find_failure(replace(WELL, exit_code=1), {"error": error}, PHASES, None)
    assert failure is not None
    return failure


@pytest.mark.parametrize(("text", "check", "fix", "operator"), MESSAGES.values(), ids=MESSAGES.keys())
def test_what_runtimes_say(text: str, check: CheckId, fix: str | None, operator: str | None) -> None:
    failure = said(text)
    assert (failure.check, failure.fix, failure.missing_operator) == (check, fix, operator)
    assert failure.reason.startswith("RuntimeError during allocate: ")
    assert " ".join(text.split())[-40:] in failure.reason


def test_the_type_counts_too() -> None:
    assert said("", kind="MemoryError", phase="warmup").check == "memory"
    assert said("", kind="ModuleNotFoundError", phase="import").check == "run"


def test_the_cause_counts_too() -> None:
    """BirdNET-Pi #314: what is raised says nothing, what it was raised from does."""
    text = "<built-in method CreateWrapperFromFile of PyCapsule object at 0x7f> returned a result with an exception set"
    failure = said(text, kind="SystemError", phase="load", cause="AttributeError: _ARRAY_API not found")
    assert (failure.check, failure.fix) == ("abi", "install numpy<2 beside this runtime")
    assert failure.reason == f"SystemError during load: {text}"
    assert said(text, kind="SystemError").check == "run"


def test_a_long_message_loses_its_middle() -> None:
    text = f"Encountered unresolved custom op: Blur. {'explained at length ' * 40}in node 5 (Blur)"
    reason = said(text).reason
    assert reason.startswith("RuntimeError during allocate: Encountered unresolved custom op: Blur. explained")
    assert reason.endswith("explained at length in node 5 (Blur)")
    assert reason.count(" … ") == 1
    assert len(reason) < 340
    assert len(said("x" * 10_000).reason) < 340


def test_a_message_made_to_keep_us_busy_is_cut() -> None:
    """Unbounded, this takes minutes: each beginning of the pattern is followed to the end of the text."""
    assert said("Regular TensorFlow ops are not " * 100_000).check == "run"


@pytest.mark.parametrize(
    ("number", "check", "reason", "fix"),
    [
        (4, "cpu", "illegal instruction during allocate (signal 4, SIGILL)", "try the one before, with --runtime"),
        (6, "run", "crashed during allocate (signal 6, SIGABRT)", "read the last lines that it wrote to stderr"),
        (7, "cpu", "crashed during allocate (signal 7, SIGBUS)", "accesses memory in a way that this core refuses"),
        (11, "run", "crashed during allocate (signal 11, SIGSEGV)", "report this build's crash"),
        (9, "run", "crashed during allocate (signal 9, SIGKILL)", "see stderr.txt in the run folder"),
        (63, "run", "crashed during allocate (signal 63)", "see stderr.txt in the run folder"),
    ],
)
def test_signals(number: int, check: CheckId, reason: str, fix: str) -> None:
    failure = find_failure(died(number), None, PHASES, None)
    assert failure is not None
    assert (failure.check, failure.reason) == (check, reason)
    assert fix in (failure.fix or "")


def test_a_signal_before_the_runner_started() -> None:
    failure = find_failure(died(4), None, (), None)
    assert failure is not None
    assert failure.reason == "illegal instruction before the runner started (signal 4, SIGILL)"


def test_an_abort_is_explained_by_stderr() -> None:
    text = "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n"
    failure = find_failure(died(6, text), None, PHASES, None)
    assert failure is not None
    assert (failure.check, failure.fix) == ("memory", SMALLER)
    assert failure.reason.startswith("crash during allocate: terminate called after throwing an instance of 'std::bad")
    other = find_failure(died(11, text), None, PHASES, None)
    assert other is not None
    assert other.check == "run"


def test_a_time_out() -> None:
    outcome = replace(WELL, exit_code=None, signal=9, timed_out=True, seconds=10.06)
    failure = find_failure(outcome, None, PHASES, None)
    assert failure == Failure(
        check="run",
        reason="did not finish: stopped during allocate after 10.1 s",
        fix="give it longer with --timeout, or look for an endless loop",
    )


@pytest.mark.parametrize(
    ("mechanism", "limit", "reason"),
    [
        ("cgroup v1", 209_715_200, "the kernel killed it at the limit of 210 MB"),
        ("docker", 209_715_200, "the kernel killed it at the limit of 210 MB"),
        ("watchdog", 209_715_200, "the watchdog stopped it at the limit of 210 MB"),
        ("cgroup v2", None, "the kernel killed it at the limit of its memory limit"),
    ],
)
def test_out_of_memory(mechanism: str, limit: int | None, reason: str) -> None:
    outcome = replace(WELL, exit_code=None, signal=9, out_of_memory=True, limit_mechanism=mechanism)
    failure = find_failure(outcome, None, PHASES, limit)
    assert failure == Failure(check="memory", reason=f"out of memory during allocate: {reason}", fix=SMALLER)


def test_out_of_memory_comes_before_what_followed_from_it() -> None:
    error = {"phase": "load", "type": "RuntimeError", "message": "_ARRAY_API not found"}
    outcome = replace(WELL, exit_code=1, out_of_memory=True, timed_out=True)
    failure = find_failure(outcome, {"error": error}, PHASES, None)
    assert failure is not None
    assert failure.check == "memory"


def test_what_went_well() -> None:
    assert find_failure(WELL, GOOD_REPORT, PHASES, None) is None
    assert find_failure(WELL, {}, (), None) is None


@pytest.mark.parametrize(
    ("status", "stderr", "reason"),
    [
        (0, "", "ended with status 0 during allocate: it wrote nothing to stderr"),
        (1, "Traceback\nOSError: no space left\n", "ended with status 1 during allocate: OSError: no space left"),
        (
            1,
            "Traceback (most recent call last):\n  File\nKeyError: 'x'\n",
            "ended with status 1 during allocate: KeyError: 'x'",
        ),
        (None, " \n", "ended with status None during allocate: it wrote nothing to stderr"),
    ],
)
def test_no_report(status: int | None, stderr: str, reason: str) -> None:
    outcome = replace(WELL, exit_code=status, stderr=stderr)
    assert find_failure(outcome, None, PHASES, None) == Failure(check="run", reason=reason)


def test_a_status_other_than_0_fails_even_with_a_good_report() -> None:
    failure = find_failure(replace(WELL, exit_code=3), GOOD_REPORT, PHASES, None)
    assert failure is not None
    assert failure.reason == "ended with status 3 during allocate: it wrote nothing to stderr"


@pytest.mark.parametrize("error", ["boom", 7, ["RuntimeError"], True])
def test_an_error_that_is_no_table_is_none(error: object) -> None:
    assert find_failure(WELL, {"error": error}, PHASES, None) is None


@pytest.mark.parametrize("phases", [(), PHASES[:1]])
def test_a_limit_below_what_it_takes_to_start(phases: tuple[tuple[str, float], ...]) -> None:
    failure = find_failure(replace(died(9), out_of_memory=True), None, phases, 2**20)
    assert failure is not None
    assert failure.check == "memory"
    assert failure.fix == (
        "raise the limit or take a device with more RAM: Python and the runtime need more before any model is loaded"
    )
    assert said("", kind="MemoryError", phase="import").fix == failure.fix


@pytest.mark.parametrize(
    ("kind", "phase", "message", "reason"),
    [
        (None, None, None, " during : "),
        (["x"], 5, {"a": 1}, "['x'] during 5: {'a': 1}"),
        ("E", "load", "two\n\n lines\x1b[2J", "E during load: two lines\x1b[2J"),
        ("E", "load", "{0} {fix} %s", "E during load: {0} {fix} %s"),
    ],
)
def test_hostile_values_in_the_error(kind: object, phase: object, message: object, reason: str) -> None:
    assert said(message, kind=kind, phase=phase) == Failure(check="run", reason=reason)


def test_an_error_of_nothing() -> None:
    assert find_failure(WELL, {"error": {}}, PHASES, None) == Failure(check="run", reason=" during : ")


def test_checks_of_a_good_run() -> None:
    checks = failure_checks(None, total=31, native=3, delegated=28)
    assert [(check.id, check.status, check.reason) for check in checks] == [
        ("cpu", "pass", "no illegal instruction"),
        ("abi", "pass", "the runtime loads on this OS image"),
        ("operators", "pass", "all 31 operators of the model ran (3 native, 28 delegated after fusing)"),
        ("run", "pass", "loaded, inferred and ended by itself"),
    ]
    unnamed = failure_checks(None, total=0, native=0, delegated=0)
    assert unnamed[2].reason == "the model ran"


@pytest.mark.parametrize("failed", ["cpu", "abi", "operators", "run"])
def test_checks_of_a_failed_run(failed: CheckId) -> None:
    checks = failure_checks(Failure(check=failed, reason="why", fix="do"), total=1, native=0, delegated=0)
    for check in checks:
        if check.id == failed:
            assert (check.status, check.reason, check.fix) == ("fail", "why", "do")
        else:
            assert (check.status, check.reason) == ("unknown", "the run ended before this could be seen")


def test_checks_of_a_run_that_had_no_memory() -> None:
    checks = failure_checks(Failure(check="memory", reason="why"), total=1, native=0, delegated=0)
    assert [check.status for check in checks] == ["unknown"] * 4


def a_check(status: CheckStatus, check: CheckId = "run") -> Check:
    return Check(id=check, status=status, reason=f"is {status}", fix=f"mend {status}")


@pytest.mark.parametrize(
    ("statuses", "verdict", "decisive"),
    [
        (("pass", "fail", "unknown", "warn"), "not_ready", "fail"),
        (("warn", "unknown", "pass"), "unknown", "unknown"),
        (("pass", "warn", "skipped"), "marginal", "warn"),
    ],
)
def test_the_worst_check_decides(
    statuses: tuple[CheckStatus, ...], verdict: Literal["not_ready", "unknown", "marginal"], decisive: str
) -> None:
    judged = judge([a_check(status) for status in statuses])
    assert judged.status == verdict
    assert judged.reasons == (f"run: is {decisive}",)
    assert judged.fix == f"mend {decisive}"


def test_all_failed_checks_are_named() -> None:
    judged = judge([a_check("fail", "cpu"), a_check("pass"), a_check("fail", "memory")])
    assert judged.reasons == ("cpu: is fail", "memory: is fail")


def test_ready_names_the_memory() -> None:
    judged = judge([a_check("pass", "memory"), a_check("pass"), a_check("skipped", "latency")])
    assert (judged.status, judged.reasons, judged.fix) == ("ready", ("memory: is pass",), None)


def test_no_pattern_s_fix_has_a_gap_left() -> None:
    assert not [fix for _text, _check, fix, _operator in MESSAGES.values() if re.search(r"[{}]", fix or "")]
