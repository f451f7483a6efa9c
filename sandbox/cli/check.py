"""``edge-sandbox check``: what the files alone tell."""

from __future__ import annotations

from typing import Annotated

import typer

from sandbox.units import parse_size

from .common import EXIT_CODES, CheckChoice, parse_shape, write_report
from .options import (
    DeviceOption,
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
    format_: Annotated[CheckChoice, typer.Option("--format", help="Report on stdout.")] = CheckChoice.TERMINAL,
    output: OutputOption = None,
    accelerator: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Show which operators it would take by its maker's list. Repeatable."),
    ] = None,
) -> None:
    """Judge a model by its file alone, in about a second: nothing is run, built or downloaded.

    Example: edge-sandbox check examples/mobilenet_v1_0.25_128_int8.tflite --device rpi4b
    """
    from sandbox.check import CheckRequest  # noqa: PLC0415
    from sandbox.check import check as run_check  # noqa: PLC0415

    from .rendering import render_check  # noqa: PLC0415

    request = CheckRequest(
        model=model,
        device=device,
        runtime=runtime,
        os=os,
        memory_bytes=parse_size(memory) if memory else None,
        reserve_bytes=parse_size(reserve) if reserve else 0,
        shapes=dict(parse_shape(text) for text in shape or []),
        accelerators=tuple(accelerator or ()),
    )
    result = run_check(request)
    write_report(render_check(result, format_, output), output)
    raise typer.Exit(EXIT_CODES[result.verdict.status])
