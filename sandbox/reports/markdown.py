"""The report for pull-request comments: short, in GitHub's and GitLab's Markdown.

Names and messages come from untrusted files. They are escaped so that they neither format, nor link, nor ping anyone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from sandbox.check_result import CheckResult
from sandbox.measurements import Op
from sandbox.metrics import Metric, Quantity
from sandbox.result import Baseline, Change, Check, Result, Verdict

from .figures import brief, figure, interval_text
from .layout import clean

_SIGNS: Mapping[str, str] = {
    "ready": "✅",
    "marginal": "⚠️",
    "not_ready": "❌",
    "unknown": "❔",
    "pass": "✅",
    "warn": "⚠️",
    "fail": "❌",
    "skipped": "➖",
}
_SLOWEST = 5
_BREAK = "&#8203;"
"""Of no width: between the signs that would make a mention, a reference or a link."""
_SPECIAL = re.compile(r"(?P<mark>[\\`*_\[\]|~$]|^[-+])|(?P<tag>[<>&])|(?P<link>[@#]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def render(result: Result | CheckResult) -> str:
    """The report as text."""
    lines = _checked(result) if isinstance(result, CheckResult) else _profiled(result)
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Untrusted text as plain text on one line: no markup, no HTML, no mention, no reference, no link."""
    return _SPECIAL.sub(_harmless, clean(text)).strip()


def code(text: str) -> str:
    """Untrusted text as a code span; a pipe gets the backslash that it needs inside a table."""
    text = clean(text) or " "
    ticks = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    return f"{ticks}{pad}{text}{pad}{ticks}".replace("|", "\\|")


def _harmless(match: re.Match[str]) -> str:
    found = match[0]
    if match["mark"]:
        return f"\\{found}"
    if match["tag"]:
        return _ENTITIES[found]
    return f"{found}{_BREAK}" if found != "#" else f"\\#{_BREAK}"


def _profiled(result: Result) -> Iterator[str]:
    runtime, board = result.runtime, result.microcontroller
    build = f"{runtime.name} {runtime.version}, {runtime.threads} thread{'s' if runtime.threads > 1 else ''}"
    yield from _top(result.model.path, result.device.name, f"{build}, {result.image.id}", result.verdict)
    yield ""
    yield from _baseline(result.baseline) if result.baseline else ()
    yield "| | | how |"
    yield "| --- | ---: | --- |"
    if board is None:
        yield _number("peak memory", result.memory.peak_rss)
        yield _number("available", result.memory.available)
    else:
        for arena in board.arenas[:1]:
            yield _number("arena", arena.minimum)
        yield _number("flash", board.flash.total)
        yield _number("flash available", board.flash.available)
    yield _number("latency", result.latency.mean)
    yield _number("instructions", result.latency.counts.instructions)
    yield ""
    yield from _checks(result.checks, result.verdict)
    yield from _slowest(result.ops)
    if result.warnings:
        yield ""
        yield from (f"- {escaped(warning)}" for warning in result.warnings)
    yield ""
    how = f"{result.engine.emulator or 'no emulator'}{f', the kept run of {result.started}' if result.cached else ''}"
    yield f"<sub>edge-sandbox {escaped(result.tool.version)}, {escaped(how)}</sub>"


def _checked(result: CheckResult) -> Iterator[str]:
    build = f"{result.runtime.name} {result.runtime.version}, {result.image.id}, by the file alone: nothing was run"
    yield from _top(result.model.path, result.device.name, build, result.verdict)
    yield ""
    yield "| | | how |"
    yield "| --- | ---: | --- |"
    yield _number("peak memory", result.memory.peak)
    yield _number("available", result.memory.available)
    yield ""
    yield from _checks(result.checks, result.verdict)
    yield ""
    yield f"<sub>edge-sandbox {escaped(result.tool.version)}</sub>"


def _top(model: str, device: str, build: str, verdict: Verdict) -> Iterator[str]:
    status = verdict.status.replace("_", " ").upper()
    yield f"### {_SIGNS[verdict.status]} {status}: {code(PurePath(model).name)} on {escaped(device)}"
    yield ""
    yield escaped(build)
    yield ""
    yield from (f"- {escaped(reason)}" for reason in verdict.reasons)
    if verdict.fix:
        yield f"- **first:** {escaped(verdict.fix)}"


def _number(label: str, quantity: Quantity) -> str:
    if not isinstance(quantity, Metric):
        return f"| {label} | – | unavailable, because {escaped(quantity.unavailable)} |"
    interval = interval_text(quantity)
    how = f"{interval}, {quantity.mode}" if interval else quantity.mode
    return f"| {label} | {brief(quantity)} | {how} |"


def _baseline(baseline: Baseline) -> Iterator[str]:
    yield f"Against the result of {escaped(baseline.started)}:"
    yield ""
    yield "| | before | now | change |"
    yield "| --- | ---: | ---: | ---: |"
    yield from (_changed(change) for change in baseline.changes)
    yield ""
    for difference in baseline.differences:
        yield f"- {escaped(difference)}"
    if baseline.differences:
        yield ""


def _changed(change: Change) -> str:
    increase = "unknown" if change.increase is None else f"{change.increase:+.1%}"
    if change.allowed is not None:
        increase = f"{_SIGNS['fail' if change.regressed else 'pass']} {increase}, {change.allowed:.1%} allowed"
    kind, _, name = change.what.partition("operator ")
    label = f"operator {code(name)}" if name and not kind else escaped(change.what)
    return f"| {label} | {_or_dash(change.before)} | {_or_dash(change.now)} | {increase} |"


def _or_dash(quantity: Quantity) -> str:
    return brief(quantity) or "–"


def _checks(checks: Sequence[Check], verdict: Verdict) -> Iterator[str]:
    """Those that did not pass and are not in the verdict; of those that did only their names."""
    passed = [check for check in checks if check.status == "pass"]
    told = set(verdict.reasons)
    others = [check for check in checks if check.status != "pass" and f"{check.id}: {check.reason}" not in told]
    if others:
        yield "| check | | reason |"
        yield "| --- | --- | --- |"
        for check in others:
            yield f"| {check.id} | {_SIGNS[check.status]} {check.status} | {escaped(check.reason)} |"
        yield ""
    if passed:
        yield f"{_SIGNS['pass']} {', '.join(check.id for check in passed)}"


def _slowest(ops: Sequence[Op]) -> Iterator[str]:
    timed = [(op.time.value, op) for op in ops if isinstance(op.time, Metric)]
    total = sum(seconds for seconds, _op in timed)
    if not total:
        return
    timed.sort(key=lambda item: -item[0])
    yield ""
    yield f"<details><summary>The slowest of {len(timed)} operators</summary>"
    yield ""
    yield "| | operator | time | share |"
    yield "| ---: | --- | ---: | ---: |"
    for seconds, op in timed[:_SLOWEST]:
        time = figure("", op.time).text
        yield f"| {op.index} | {code(f'{op.type} {op.name}'.strip())} | {time} | {seconds / total:.0%} |"
    yield ""
    yield "</details>"
