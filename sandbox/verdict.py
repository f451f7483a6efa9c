"""Fits or not, and why: outcome of a run → checks → verdict. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import parity
from .engines.base import Outcome
from .last_words import last_raised
from .metrics import Metric, Quantity, Unavailable
from .parity import Parity
from .result import Check, CheckId, Verdict
from .units import format_duration, format_size

MARGINAL_HEADROOM = 0.10
"""Below this share of the available memory left, a model fits but not safely: an idle system's use varies that much."""

_SMALLER = "use a smaller model or input, quantise it, or take a device with more RAM"
_BEFORE_MODEL = (
    "raise the limit or take a device with more RAM: Python and the runtime need more before any model is loaded"
)
_WITHOUT_MODEL = {"start", "import"}

_LONGEST = 20_000
"""Characters of a message that are looked at: the guest may write millions, to keep the patterns busy."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How the model failed on the device."""

    check: CheckId
    reason: str
    fix: str | None = None
    missing_operator: str | None = None
    of_the_device: bool = True
    """False where only the emulation failed, so that nothing is known of the device."""


@dataclass(frozen=True, kw_only=True)
class _Pattern:
    """What a runtime says, what it means, and what to do. ``{0}``… are the groups of the pattern."""

    pattern: re.Pattern[str]
    check: CheckId
    fix: str
    operator_group: int | None = None


# Exact texts: see the threads named behind each.
_MESSAGES = (
    _Pattern(  # TensorFlow #54321, BirdNET-Lite #3; the second wording since TensorFlow 2.9
        pattern=re.compile(
            r"(?:Regular TensorFlow ops are not|Select TensorFlow op\(s\)).*?Node number \d+ \((\w+)\)", re.DOTALL
        ),
        check="operators",
        fix="convert with TFLITE_BUILTINS only, or replace {0}: this build has no Flex delegate",
        operator_group=0,
    ),
    _Pattern(  # TensorFlow #43232, #80736
        pattern=re.compile(r"Didn't find op for builtin opcode '(\w+)'(?: version '(\d+)')?"),
        check="operators",
        fix="convert with an older converter or use a newer runtime: {0} version {1} is not in this build",
        operator_group=0,
    ),
    _Pattern(
        pattern=re.compile(r"Encountered unresolved custom op: (\w+)"),
        check="operators",
        fix="link the custom operator {0} into the runtime, or convert without it",
        operator_group=0,
    ),
    _Pattern(  # onnxruntime #20559, #23602
        pattern=re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)"),
        check="operators",
        fix="save the model with IR version {1} (model.ir_version = {1}), or use a newer onnxruntime",
    ),
    _Pattern(
        pattern=re.compile(r"(?:Could not find an implementation for|No Op registered for) (\w+)"),
        check="operators",
        fix="{0} is not in this build for the given types and opset: export with another opset or a newer runtime",
        operator_group=0,
    ),
    _Pattern(
        pattern=re.compile(r"(\w+)\(\d+\) is not a registered function/op"),
        check="operators",
        fix="{0} is unknown to this build: register its custom-operator library, or export without it",
        operator_group=0,
    ),
    _Pattern(  # azure-iot-edge-cv-model-samples #1
        pattern=re.compile(
            r"std::bad_alloc|MemoryError|Unable to allocate|\[Errno 12\]|Failed to allocate (?:tail )?memory"
            r"|Arena size is too small"
        ),
        check="memory",
        fix=_SMALLER,
    ),
    _Pattern(  # BirdNET-Pi #314
        pattern=re.compile(r"compiled using NumPy 1\.x|_ARRAY_API not found|numpy\.core\.multiarray failed to import"),
        check="abi",
        fix="install numpy<2 beside this runtime",
    ),
    _Pattern(
        pattern=re.compile(r"version `?'?((?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)'? not found"),
        check="abi",
        fix="choose a runtime version built for this OS release: it lacks {0}",
    ),
    _Pattern(
        pattern=re.compile(r"cannot open shared object file|undefined symbol|No module named"),
        check="abi",
        fix="this build cannot be loaded on this OS image: choose another runtime version",
    ),
)
_SIGNAL_FIXES: Mapping[int, tuple[CheckId, str]] = {
    signal.SIGILL: (
        "cpu",
        "use a runtime version built for this core: try the one before, with --runtime name@version",
    ),
    signal.SIGBUS: ("cpu", "the build accesses memory in a way that this core refuses: use another runtime version"),
    signal.SIGSEGV: ("run", "try another runtime version; if the model runs there, report this build's crash"),
    signal.SIGABRT: ("run", "read the last lines that it wrote to stderr, above"),
}


def find_failure(
    outcome: Outcome, report: Mapping[str, Any] | None, phases: Sequence[tuple[str, float]], limit_bytes: int | None
) -> Failure | None:
    """How the run failed on the device, or None when it went well."""
    phase = phases[-1][0] if phases else "start"
    where = f"during {phase}" if phases else "before the runner started"
    if outcome.out_of_memory:
        limit = format_size(limit_bytes) if limit_bytes else "its memory limit"
        killer = "the watchdog stopped it" if outcome.limit_mechanism == "watchdog" else "the kernel killed it"
        reason = f"out of memory {where}: {killer} at the limit of {limit}"
        return Failure(check="memory", reason=reason, fix=_BEFORE_MODEL if phase in _WITHOUT_MODEL else _SMALLER)
    if outcome.timed_out:
        reason = f"did not finish: stopped {where} after {format_duration(outcome.seconds)}"
        return Failure(check="run", reason=reason, fix="give it longer with --timeout, or look for an endless loop")
    error = report.get("error") if report else None
    if isinstance(error, dict):
        return _from_message(error)
    if outcome.signal is not None:
        if outcome.signal == signal.SIGABRT and (known := _recognised("crash", phase, outcome.stderr[-_LONGEST:])):
            return known  # a C++ exception that nobody caught says on stderr what it was
        name = _signal_name(outcome.signal)
        check, fix = _SIGNAL_FIXES.get(outcome.signal, ("run", "see stderr.txt in the run folder"))
        what = "illegal instruction" if outcome.signal == signal.SIGILL else "crashed"
        return Failure(check=check, reason=f"{what} {where} ({name})", fix=fix)
    if outcome.exit_code != 0 or report is None:
        raised = last_raised(outcome.stderr) if outcome.exit_code else None
        if raised and (known := _recognised(raised[0], phase, raised[1])):
            return known  # what ran out of memory, or never came to the runner, can write no report
        last = (outcome.stderr.strip().splitlines() or ["it wrote nothing to stderr"])[-1]
        return Failure(check="run", reason=f"ended with status {outcome.exit_code} {where}: {last}")
    return None


def limit_kept(outcome: Outcome, limit_bytes: int) -> bool:
    """Whether the guest never held more than the limit of what the kernel cannot drop.

    The kernel sees to that; of a watchdog's run the readings tell, a moment between two of them by its upper bound.
    """
    if outcome.limit_mechanism != "watchdog":
        return outcome.limit_mechanism != "none"
    trace = outcome.memory
    if trace.guest_own_bytes is None or trace.guest_peak_high_bytes is None or trace.guest_files_bytes is None:
        return False
    return max(trace.guest_own_bytes, trace.guest_peak_high_bytes - trace.guest_files_bytes) <= limit_bytes


def memory_check(
    peak: Quantity,
    available: Quantity,
    limit_bytes: int,
    failure: Failure | None,
    *,
    limit_source: str,
    enforced: bool,
) -> Check:
    """Does the peak fit into what the device leaves? Judged by the upper end of the peak.

    ``enforced``: the limit was kept (`limit_kept`), so what lived through it fits, if only just.
    """
    limit = (
        available
        if isinstance(available, Metric)
        else Metric(value=limit_bytes, unit="byte", mode="predicted", source=limit_source)
    )
    if failure is not None and failure.check == "memory":
        return Check(id="memory", status="fail", value=peak, limit=limit, reason=failure.reason, fix=failure.fix)
    if isinstance(peak, Unavailable):
        return Check(id="memory", status="unknown", value=peak, limit=limit, reason=peak.unavailable)
    if failure is not None:
        reason = f"the run ended early, at {format_size(peak.value)}"
        return Check(id="memory", status="unknown", value=peak, limit=limit, reason=reason)
    top = peak.high or peak.value
    left = 1 - top / max(limit.value, 1)
    reason = f"peak {format_size(top)} of {format_size(limit.value)}"
    if isinstance(available, Unavailable):
        reason += f", {limit_source}"
    if left < 0 and not enforced:
        return Check(id="memory", status="fail", value=peak, limit=limit, reason=reason, fix=_SMALLER)
    if left < MARGINAL_HEADROOM:
        fix = "leave at least a tenth free: other programs on the device need memory too"
        reason += f": {left:.0%} left" if left >= 0 else ": it lived only because the kernel can drop pages of files"
        return Check(id="memory", status="warn", value=peak, limit=limit, reason=reason, fix=fix)
    return Check(id="memory", status="pass", value=peak, limit=limit, reason=f"{reason}: {left:.0%} left")


def failure_checks(failure: Failure | None, *, total: int, native: int, delegated: int) -> tuple[Check, ...]:
    """The checks other than memory. What comes after the failure is unknown, not passed."""
    failed = failure.check if failure else None
    counted = f"all {total} operators of the model" if total else "the model"
    kernels = f" ({native} native, {delegated} delegated after fusing)" if native or delegated else ""
    questions: tuple[tuple[CheckId, str], ...] = (
        ("cpu", "no illegal instruction"),
        ("abi", "the runtime loads on this OS image"),
        ("operators", f"{counted} ran{kernels}"),
        ("run", "loaded, inferred and ended by itself"),
    )
    checks = []
    for check, passed in questions:
        if failure is None:
            checks.append(Check(id=check, status="pass", reason=passed))
        elif check == failed and not failure.of_the_device:
            checks.append(Check(id=check, status="unknown", reason=failure.reason, fix=failure.fix))
        elif check == failed:
            checks.append(Check(id=check, status="fail", reason=failure.reason, fix=failure.fix))
        else:
            checks.append(Check(id=check, status="unknown", reason="the run ended before this could be seen"))
    return tuple(checks)


def parity_checks(found: Parity | None, *, asked: bool) -> tuple[Check, ...]:
    """The check of a comparison of outputs; none where none was asked for."""
    if found is not None:
        status, reason, fix = parity.judge(found)
        return (Check(id="parity", status=status, reason=reason, fix=fix),)
    if asked:
        return (Check(id="parity", status="unknown", reason="the run ended before outputs could be compared"),)
    return ()


def judge(checks: Sequence[Check]) -> Verdict:
    """One failed check: not ready. Else one unanswered: unknown. Else one warning: marginal."""
    for status, verdict in (("fail", "not_ready"), ("unknown", "unknown"), ("warn", "marginal")):
        found = [check for check in checks if check.status == status]
        if found:
            reasons = tuple(f"{check.id}: {check.reason}" for check in found)
            return Verdict(status=verdict, reasons=reasons, fix=found[0].fix)
    return Verdict(status="ready", reasons=tuple(f"{c.id}: {c.reason}" for c in checks if c.id == "memory"))


def _recognised(kind: str, phase: str, text: str, cause: str = "") -> Failure | None:
    reason = _sentence(kind, phase, text)
    text, cause = text[:_LONGEST], cause[:_LONGEST]
    for known in _MESSAGES:
        match = known.pattern.search(f"{kind}: {text}\n{cause}")
        if match:
            groups = [group or "?" for group in match.groups()]
            operator = groups[known.operator_group] if known.operator_group is not None else None
            fix = known.fix.format(*groups)
            if known.check == "memory" and phase in _WITHOUT_MODEL:
                fix = _BEFORE_MODEL
            return Failure(check=known.check, reason=reason, fix=fix, missing_operator=operator)
    return None


def _from_message(error: Mapping[str, Any]) -> Failure:
    phase, kind, message = (str(error.get(key) or "") for key in ("phase", "type", "message"))
    known = _recognised(kind, phase, message, str(error.get("cause") or ""))
    return known or Failure(check="run", reason=_sentence(kind, phase, message))


def _sentence(kind: str, phase: str, text: str) -> str:
    """What was said, in one line. A long text loses its middle: runtimes name the culprit at the end."""
    line = " ".join(text[:_LONGEST].split())
    if len(line) > 300:
        line = f"{line[:200].rpartition(' ')[0] or line[:200]} … {line[-97:].partition(' ')[2] or line[-97:]}"
    return f"{kind} during {phase}: {line}"


def _signal_name(number: int) -> str:
    try:
        return f"signal {number}, {signal.Signals(number).name}"
    except ValueError:
        return f"signal {number}"
