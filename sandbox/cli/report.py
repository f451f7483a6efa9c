"""``edge-sandbox report``: a result again, in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import EXIT_CODES, ReportChoice, write_report
from .options import (
    BaselineOption,
    LatencyIncreaseOption,
    MemoryIncreaseOption,
    OperatorIncreaseOption,
    OutputOption,
    ReportOption,
)


def report(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_DIR|RESULT.json",
            help="What `profile` left, of firmware too: --run-dir, or --format json.",
            show_default=False,
        ),
    ],
    *,
    format_: ReportOption = ReportChoice.TERMINAL,
    output: OutputOption = None,
    baseline: BaselineOption = None,
    max_latency_increase: LatencyIncreaseOption = None,
    max_memory_increase: MemoryIncreaseOption = None,
    max_operator_increase: OperatorIncreaseOption = None,
) -> None:
    """Show a run folder or a result document again, without running anything: in any format, against any baseline.

    Example: edge-sandbox report result.json --format html --output report.html
    """
    from sandbox import analysis  # noqa: PLC0415
    from sandbox.microcontroller import analysis as microcontroller  # noqa: PLC0415
    from sandbox.microcontroller.firmware_result import is_firmware  # noqa: PLC0415
    from sandbox.microcontroller.record import has_record  # noqa: PLC0415
    from sandbox.regression import against  # noqa: PLC0415
    from sandbox.result import read_result  # noqa: PLC0415

    from .firmware import report_firmware  # noqa: PLC0415
    from .rendering import read_baseline, render  # noqa: PLC0415

    if is_firmware(source):
        report_firmware(source, format_, output, baseline)
    earlier = read_baseline(baseline, max_latency_increase, max_memory_increase, max_operator_increase)
    if has_record(source):
        result = microcontroller.analyse(source)
    else:
        result = analysis.analyse(source) if source.is_dir() else read_result(source)
    if earlier is not None:
        result = against(result, *earlier)
    write_report(render(result, format_, output), output)
    raise typer.Exit(EXIT_CODES[result.verdict.status])
