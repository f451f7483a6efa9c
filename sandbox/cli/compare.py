"""``edge-sandbox compare``: the same model on several devices, images, runtimes or thread counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.progress import Silent
from sandbox.resources import data_directory
from sandbox.units import parse_duration, parse_size

from .common import (
    EXIT_CODES,
    EngineChoice,
    MirrorOption,
    QuietOption,
    VerboseOption,
    enter_own_scope,
    image_builder,
    parse_shape,
    wants_colour,
    write_report,
)
from .firmware import tflm_folder
from .options import (
    EngineOption,
    FreshOption,
    LatencyBudgetOption,
    MemoryOption,
    OutputOption,
    RenodeOption,
    ReserveOption,
    ShapeOption,
    SwapOption,
    TflmOption,
    TimeoutOption,
)
from .stderr_progress import StderrProgress

if TYPE_CHECKING:
    from sandbox.comparison import Comparison


class CompareFormat(str, Enum):
    """``compare --format``."""

    TERMINAL = "terminal"
    JSON = "json"
    CSV = "csv"
    HTML = "html"
    MARKDOWN = "markdown"


def compare(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL…", help=".tflite or .onnx files.", show_default=False)],
    *,
    device: Annotated[
        list[str], typer.Option(help="Device id, or the path of a TOML file. Repeatable.", show_default=False)
    ],
    runtime: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[@VERSION]", help="Default: the image's first that runs this format. Repeatable."),
    ] = None,
    os: Annotated[
        list[str] | None, typer.Option(metavar="IMAGE", help="OS image. Default: the device's first. Repeatable.")
    ] = None,
    threads: Annotated[list[int] | None, typer.Option(min=1, help="Threads of the runtime. Repeatable.")] = None,
    engine: EngineOption = EngineChoice.AUTO,
    memory: MemoryOption = None,
    reserve: ReserveOption = None,
    swap: SwapOption = False,
    shape: ShapeOption = None,
    timeout: TimeoutOption = "10min",
    latency_budget: LatencyBudgetOption = None,
    renode: RenodeOption = None,
    tflm: TflmOption = None,
    any_: Annotated[
        bool, typer.Option("--any", help="Exit code 0 when at least one is ready. Default: when all are.")
    ] = False,
    fresh: FreshOption = False,
    format_: Annotated[CompareFormat, typer.Option("--format", help="Report on stdout.")] = CompareFormat.TERMINAL,
    output: OutputOption = None,
    mirror: MirrorOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001  # its callback acts
) -> None:
    """Run models on every combination of what is repeated, and show which is the cheapest that fits.

    Runs are kept by content: what was run before is answered at once, and after an interruption only the rest is run.
    `images prune --runs` removes them. Exit code 0 when all are ready, 1 when one is not, 5 when one is not known.

    Example: edge-sandbox compare examples/mobilenet_v1_0.25_128_int8.tflite --device rpi4b --device rpi-zero-2w
    """
    from sandbox.compare import Axes  # noqa: PLC0415
    from sandbox.compare import compare as run_compare  # noqa: PLC0415
    from sandbox.engines.guard import guard  # noqa: PLC0415
    from sandbox.plan import ProfileRequest  # noqa: PLC0415

    base = ProfileRequest(
        model=models[0],
        device=device[0],
        engine=engine.value,
        memory_bytes=parse_size(memory) if memory else None,
        reserve_bytes=parse_size(reserve) if reserve else 0,
        swap=swap,
        shapes=dict(parse_shape(text) for text in shape or []),
        timeout_seconds=parse_duration(timeout),
        latency_budget_seconds=parse_duration(latency_budget) if latency_budget else None,
        tflm=_tflm(device, tflm, engine),
        renode=renode,
    )
    axes = Axes(
        models=tuple(models),
        devices=tuple(device),
        images=tuple(os or (None,)),
        runtimes=tuple(runtime or (None,)),
        threads=tuple(threads or (1,)),
    )
    if base.engine in {"auto", "local", "native"}:
        enter_own_scope()
    builder = image_builder(mirror, Silent() if quiet else StderrProgress())
    with guard() as protector:
        document = run_compare(base, axes, builder, protector, fresh=fresh)
    write_report(_render(document, format_, output), output)
    raise typer.Exit(exit_code(document, any_is_enough=any_))


def _tflm(devices: Sequence[str], given: Path | None, engine: EngineChoice) -> Path | None:
    """As `tflm_folder` has it for the first microcontroller, which then holds for all of them."""
    from sandbox.microcontroller.board import is_microcontroller  # noqa: PLC0415

    boards = [device for device in devices if is_microcontroller(device, data_directory("device_specs"))]
    return tflm_folder((boards or devices)[0], given, engine)


def exit_code(document: Comparison, *, any_is_enough: bool) -> int:
    """0 when all cells fit, or one where that is enough; else 1 when one does not; else 5: not all are known."""
    fitting = [cell.fits for cell in document.cells]
    if any(fitting) if any_is_enough else all(fitting):
        return 0
    return EXIT_CODES["not_ready" if any(cell.status == "not_ready" for cell in document.cells) else "unknown"]


def _render(document: Comparison, format_: CompareFormat, output: Path | None) -> str:
    from sandbox.reports import compare_csv, compare_html, compare_markdown, compare_terminal, json  # noqa: PLC0415

    if format_ is CompareFormat.TERMINAL:
        return compare_terminal.render(document, colour=wants_colour(output))
    renderers: Mapping[CompareFormat, Callable[[Comparison], str]] = {
        CompareFormat.JSON: json.render,
        CompareFormat.CSV: compare_csv.render,
        CompareFormat.HTML: compare_html.render,
        CompareFormat.MARKDOWN: compare_markdown.render,
    }
    return renderers[format_](document)
