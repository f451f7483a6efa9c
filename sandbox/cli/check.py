"""``edge-sandbox check``: what the files alone tell."""

from __future__ import annotations

import sys

import typer

from sandbox.units import parse_size

from .common import EXIT_CODES, FormatChoice, parse_shape, write_report
from .options import (
    DeviceOption,
    FormatOption,
    MemoryOption,
    ModelArgument,
    OsOption,
    OutputOption,
    ReserveOption,
    RuntimeOption,
    ShapeOption,
)


def check(
    model: ModelArgument,
    *,
    device: DeviceOption,
    runtime: RuntimeOption = None,
    os: OsOption = None,
    memory: MemoryOption = None,
    reserve: ReserveOption = None,
    shape: ShapeOption = None,
    format_: FormatOption = FormatChoice.TERMINAL,
    output: OutputOption = None,
) -> None:
    """Judge a model by its file alone, in about a second: nothing is run, built or downloaded.

    Example: edge-sandbox check examples/mobilenet_v1_0.25_128_int8.tflite --device rpi4b
    """
    from sandbox.check import CheckRequest  # noqa: PLC0415
    from sandbox.check import check as run_check  # noqa: PLC0415
    from sandbox.reports import check_terminal, json  # noqa: PLC0415

    request = CheckRequest(
        model=model,
        device=device,
        runtime=runtime,
        os=os,
        memory_bytes=parse_size(memory) if memory else None,
        reserve_bytes=parse_size(reserve) if reserve else 0,
        shapes=dict(parse_shape(text) for text in shape or []),
    )
    result = run_check(request)
    colour = output is None and sys.stdout.isatty()
    is_json = format_ is FormatChoice.JSON
    write_report(json.render(result) if is_json else check_terminal.render(result, colour=colour), output)
    raise typer.Exit(EXIT_CODES[result.verdict.status])
