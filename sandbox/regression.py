"""A result against an earlier one: what changed, and whether by more than was allowed.

Instructions repeat to the last few digits, so that a change of a percent is the model's or the build's. Times follow
from them by a calibration; where there is none, the instructions on the critical path stand for the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .errors import DataFileError
from .measurements import Op
from .metrics import Metric, Quantity
from .result import Baseline, Change, Check, Result
from .verdict import judge

_OPERATORS = 10
"""Changes of operators that are named, the largest first."""
_NAMED = 3
"""Of those in a sentence."""
_LEAST = 0.001
"""Smaller changes of an operator are not named."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The largest increases that pass, as shares: 0.05 is 5 %. None: not asked for."""

    latency: float | None = None
    memory: float | None = None
    operator: float | None = None
    """Of any one operator's instructions."""

    @property
    def asked(self) -> bool:
        """Whether any is given."""
        return any(limit is not None for limit in (self.latency, self.memory, self.operator))


def against(result: Result, baseline: Result, thresholds: Thresholds) -> Result:
    """The result with what changed since ``baseline``; with thresholds also with a check, and the verdict of it.

    Raises `DataFileError` when the two are not of the same device, number of threads and way to run.
    """
    _refuse_another_setup(result, baseline)
    changes = (
        _change(*_times(result, baseline), thresholds.latency),
        _change("peak memory", _peak(result), _peak(baseline), thresholds.memory),
        _change("instructions", result.latency.counts.instructions, baseline.latency.counts.instructions, allowed=None),
        *_operators(result, baseline, thresholds.operator),
    )
    found = Baseline(
        started=baseline.started,
        tool_version=baseline.tool.version,
        model_sha256=baseline.model.sha256,
        differences=tuple(_differences(result, baseline)),
        changes=changes,
    )
    own = tuple(check for check in result.checks if check.id != "regression")  # of a comparison before this one
    checks = (*own, _check(changes)) if thresholds.asked else result.checks
    return result.model_copy(update={"baseline": found, "checks": checks, "verdict": judge(checks)})


def _refuse_another_setup(result: Result, baseline: Result) -> None:
    for what, now, before in (
        ("device", result.device.id, baseline.device.id),
        ("number of threads", result.runtime.threads, baseline.runtime.threads),
        ("way to run, emulated or native,", result.engine.name == "native", baseline.engine.name == "native"),
    ):
        if now != before:
            raise DataFileError(
                f"the baseline is of another {what}: {before}, not {now}", hint="compare results of one setup"
            )


def _differences(result: Result, baseline: Result) -> Iterator[str]:
    """What else is not the same, for people: it may be why a number changed."""
    for what, now, before in (
        ("model", result.model.sha256[:12], baseline.model.sha256[:12]),
        ("image", result.image.digest[:12], baseline.image.digest[:12]),
        (
            "runtime",
            f"{result.runtime.name} {result.runtime.version}",
            f"{baseline.runtime.name} {baseline.runtime.version}",
        ),
        ("emulator", result.engine.emulator or "none", baseline.engine.emulator or "none"),
        ("calibration", _calibration(result), _calibration(baseline)),
    ):
        if now != before:
            yield f"{what}: {before} → {now}"


def _calibration(result: Result) -> str:
    used = result.latency.calibration
    return f"{used.id} {(used.digest or '')[:12]}".strip() if used else "none"


def _times(result: Result, baseline: Result) -> tuple[str, Quantity, Quantity]:
    """The means, if both are times of the device; else the critical paths; with what they are called."""
    now, before = result.latency.mean, baseline.latency.mean
    known = isinstance(now, Metric) and isinstance(before, Metric) and now.mode == before.mode != "emulated"
    if known or not isinstance(result.latency.counts.critical_path, Metric):
        return "latency", now, before
    path = result.latency.counts.critical_path, baseline.latency.counts.critical_path
    return "latency, by the instructions on its critical path", *path


def _peak(result: Result) -> Quantity:
    """Peak memory; a microcontroller's is its arena."""
    board = result.microcontroller
    return board.arenas[0].minimum if board and board.arenas else result.memory.peak_rss


def _change(what: str, now: Quantity, before: Quantity, allowed: float | None) -> Change:
    ratio = None
    if isinstance(now, Metric) and isinstance(before, Metric) and now.unit == before.unit and before.value > 0:
        ratio = now.value / before.value - 1
    return Change(what=what, now=now, before=before, increase=ratio, allowed=allowed)


def _operators(result: Result, baseline: Result, allowed: float | None) -> Iterator[Change]:
    """Of the operators that are in both by type and name, those that changed most."""
    earlier = dict(_named(baseline.ops))
    found = [
        _change(f"operator {name}", op.instructions, earlier[key].instructions, allowed)
        for key, op in _named(result.ops)
        if key in earlier
        for name in (" ".join(word for word in key[:2] if word) + (f" ({key[2] + 1})" if key[2] else ""),)
    ]
    changed = [change for change in found if change.increase is not None and abs(change.increase) >= _LEAST]
    changed.sort(key=lambda change: -abs(change.increase or 0.0))
    beyond = [change for change in changed if change.regressed]
    yield from (beyond + [change for change in changed if not change.regressed])[: max(_OPERATORS, len(beyond))]
    if allowed is not None and not any(change.increase is not None for change in found):
        none = result.ops[0].instructions if result.ops else result.latency.counts.instructions
        yield _change("operators", none, none, allowed).model_copy(update={"increase": None})


def _named(ops: Sequence[Op]) -> Iterator[tuple[tuple[str, str, int], Op]]:
    """Operators by type, name, and how many of both came before: delegates give many the same name."""
    seen: dict[tuple[str, str], int] = {}
    for op in ops:
        if op.status in {"native", "delegated"}:
            place = seen.get((op.type, op.name), 0)
            seen[op.type, op.name] = place + 1
            yield (op.type, op.name, place), op


def _check(changes: Sequence[Change]) -> Check:
    asked = [change for change in changes if change.allowed is not None]
    beyond = [change for change in asked if change.regressed]
    unknown = [change for change in asked if change.increase is None]
    if beyond:
        words = "; ".join(f"{c.what} {c.increase:+.1%}, {c.allowed:.1%} allowed" for c in beyond[:_NAMED])
        words += f"; and {len(beyond) - _NAMED} more" if len(beyond) > _NAMED else ""
        return Check(id="regression", status="fail", reason=words, fix="look at what changed, or raise the threshold")
    if unknown:
        words = ", ".join(change.what for change in unknown)
        return Check(id="regression", status="unknown", reason=f"not known of both results: {words}")
    return Check(id="regression", status="pass", reason="no increase beyond what is allowed")
