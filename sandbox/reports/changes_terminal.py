"""The block of the terminal report that says what changed since an earlier result."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from sandbox.result import Baseline, Change

from .figures import brief
from .layout import STYLES, clean, heading, row


def changes(baseline: Baseline) -> Iterator[Text]:
    """One line for each number, and what else is not the same."""
    yield heading("CHANGES")
    yield row("since", clean(f"{baseline.started}, edge-sandbox {baseline.tool_version}"), style="dim")
    for change in baseline.changes:
        style = "" if change.allowed is None else STYLES["fail" if change.regressed else "pass"]
        yield row("", f"{clean(change.what)}: {_change(change)}", style=style)
    for difference in baseline.differences:
        yield row("differs", clean(difference), style="dim")


def _change(change: Change) -> str:
    if change.increase is None:
        return "unknown"
    allowed = "" if change.allowed is None else f", {change.allowed:.1%} allowed"
    return f"{brief(change.before)} → {brief(change.now)} ({change.increase:+.1%}{allowed})"
