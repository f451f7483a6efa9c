"""``edge-sandbox ceiling``: the least memory in which a model runs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from sandbox.progress import Silent
from sandbox.units import parse_duration

from .common import (
    EXIT_CODES,
    EngineChoice,
    FormatChoice,
    MirrorOption,
    QuietOption,
    VerboseOption,
    enter_own_scope,
    image_builder,
    parse_shape,
    wants_colour,
    write_report,
)
from .options import (
    DeviceOption,
    EngineOption,
    FormatOption,
    ModelArgument,
    OsOption,
    OutputOption,
    RuntimeOption,
    SwapOption,
    TimeoutOption,
)
from .stderr_progress import StderrProgress


def ceiling(
    model: ModelArgument,
    *,
    device: DeviceOption,
    runtime: RuntimeOption = None,
    os: OsOption = None,
    engine: EngineOption = EngineChoice.AUTO,
    threads: Annotated[list[int] | None, typer.Option(min=1, help="Threads of the runtime. Repeat to sweep.")] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, help="First dimension of all inputs. Repeat to sweep.")
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=1,224,…", help="Shape of a dynamic input. Repeat one name to sweep."),
    ] = None,
    swap: SwapOption = False,
    timeout: TimeoutOption = "10min",
    format_: FormatOption = FormatChoice.TERMINAL,
    output: OutputOption = None,
    mirror: MirrorOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001  # its callback acts
) -> None:
    """Find the smallest RAM in which a model loads and infers, to 1 %, by at most 10 runs.

    Example: edge-sandbox ceiling examples/mobilenet_v1_0.25_128_int8.tflite --device rpi4b --threads 1 --threads 4
    """
    from sandbox.ceiling import Sweep  # noqa: PLC0415
    from sandbox.ceiling import ceiling as find  # noqa: PLC0415
    from sandbox.engines.guard import guard  # noqa: PLC0415
    from sandbox.plan import ProfileRequest  # noqa: PLC0415
    from sandbox.reports import ceiling_terminal, json  # noqa: PLC0415

    request = ProfileRequest(
        model=model,
        device=device,
        runtime=runtime,
        os=os,
        engine=engine.value,
        swap=swap,
        timeout_seconds=parse_duration(timeout),
    )
    sweep = Sweep(
        threads=tuple(threads or (1,)),
        batches=tuple(batch or ()),
        shapes=combinations([parse_shape(text) for text in shape or []]),
    )
    enter_own_scope()
    builder = image_builder(mirror, Silent() if quiet else StderrProgress())
    with (
        guard() as protector,
        tempfile.TemporaryDirectory(prefix="edge-sandbox-", ignore_cleanup_errors=True) as folder,
        protector.protect("folder", folder),
    ):
        result = find(request, sweep, Path(folder), builder, protector)
    is_json = format_ is FormatChoice.JSON
    text = json.render(result) if is_json else ceiling_terminal.render(result, colour=wants_colour(output))
    write_report(text, output)
    raise typer.Exit(EXIT_CODES[result.verdict.status])


def combinations(shapes: Sequence[tuple[str, tuple[int, ...]]]) -> tuple[Mapping[str, tuple[int, ...]], ...]:
    """Every way to give each named input one of the shapes listed for it; one empty way when none is listed."""
    names = dict.fromkeys(name for name, _sizes in shapes)
    choices = [[(name, sizes) for other, sizes in shapes if other == name] for name in names]
    return tuple(dict(chosen) for chosen in product(*choices))
