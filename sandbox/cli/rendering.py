"""The result as text, for the commands that have all reports, and its comparison with an earlier one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.errors import UsageError
from sandbox.units import parse_share

from .common import CheckChoice, ReportChoice, wants_colour

if TYPE_CHECKING:
    from sandbox.check_result import CheckResult
    from sandbox.regression import Thresholds
    from sandbox.result import Result


def render(result: Result, format_: ReportChoice, output: Path | None) -> str:
    """The report of a profile."""
    from sandbox.reports import html, json, junit, markdown, terminal  # noqa: PLC0415

    if format_ is ReportChoice.TERMINAL:
        return terminal.render(result, colour=wants_colour(output))
    plain = {
        ReportChoice.JSON: json.render,
        ReportChoice.HTML: html.render,
        ReportChoice.MARKDOWN: markdown.render,
        ReportChoice.JUNIT: junit.render,
    }
    return plain[format_](result)


def render_check(result: CheckResult, format_: CheckChoice, output: Path | None) -> str:
    """The report of a static check."""
    from sandbox.reports import check_terminal, json, junit, markdown  # noqa: PLC0415

    if format_ is CheckChoice.TERMINAL:
        return check_terminal.render(result, colour=wants_colour(output))
    plain = {CheckChoice.JSON: json.render, CheckChoice.MARKDOWN: markdown.render, CheckChoice.JUNIT: junit.render}
    return plain[format_](result)


def read_baseline(
    baseline: Path | None, latency: str | None, memory: str | None, operator: str | None
) -> tuple[Result, Thresholds] | None:
    """What ``--baseline`` and its thresholds say; to be read before anything runs.

    Raises `UsageError` (a threshold without a baseline, or no percentage) and `DataFileError` (a bad file).
    """
    from sandbox.regression import Thresholds  # noqa: PLC0415
    from sandbox.result import read_result  # noqa: PLC0415

    thresholds = Thresholds(
        latency=parse_share(latency) if latency else None,
        memory=parse_share(memory) if memory else None,
        operator=parse_share(operator) if operator else None,
    )
    if baseline is None:
        if thresholds.asked:
            raise UsageError(
                "--max-…-increase: an increase over what?", hint="name an earlier result with --baseline RESULT.json"
            )
        return None
    return read_result(baseline), thresholds
