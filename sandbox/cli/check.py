"""``edge-sandbox check``: what the files alone tell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sandbox.units import parse_size

from .common import EXIT_CODES, FormatChoice, parse_shape, write_report


def check(
    model: Annotated[Path, typer.Argument(help="A .tflite or .onnx file.", show_default=False)],
    *,
    device: Annotated[
        str, typer.Option(help="Device id (see `devices list`), or the path of a TOML file.", show_default=False)
    ],
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME[@VERSION]", help="Default: the image's first that runs this format.")
    ] = None,
    os: Annotated[str | None, typer.Option(metavar="IMAGE", help="OS image. Default: the device's first.")] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory limit, e.g. 256M. Default: what the device leaves.")
    ] = None,
    reserve: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Keep so much of the memory back for other programs.")
    ] = None,
    shape: Annotated[
        list[str] | None, typer.Option(metavar="NAME=1,224,…", help="Shape of a dynamic input. Repeatable.")
    ] = None,
    format_: Annotated[FormatChoice, typer.Option("--format", help="Report on stdout.")] = FormatChoice.TERMINAL,
    output: Annotated[Path | None, typer.Option(help="Write the report to this file instead.")] = None,
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
