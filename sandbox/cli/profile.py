"""``edge-sandbox profile``: the main job."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.errors import UsageError
from sandbox.progress import Silent
from sandbox.units import parse_duration, parse_size

from .common import (
    EXIT_CODES,
    EngineChoice,
    MirrorOption,
    QuietOption,
    ReportChoice,
    VerboseOption,
    enter_own_scope,
    image_builder,
    parse_shape,
    printable,
    run_folder,
    write_report,
)
from .firmware import FIRMWARE_OPTIONS, profile_firmware, refuse_other_options, tflm_folder
from .options import (
    BaselineOption,
    DeviceOption,
    EngineOption,
    FreshOption,
    LatencyBudgetOption,
    LatencyIncreaseOption,
    MemoryIncreaseOption,
    MemoryOption,
    OperatorIncreaseOption,
    OsOption,
    OutputOption,
    RenodeOption,
    ReportOption,
    ReserveOption,
    RuntimeOption,
    ShapeOption,
    SwapOption,
    TflmOption,
    ThreadsOption,
    TimeoutOption,
)
from .stderr_progress import StderrProgress

if TYPE_CHECKING:
    from sandbox.engines.guard import Guard
    from sandbox.image.build import ImageBuilder
    from sandbox.plan import ProfileRequest


def profile(
    context: typer.Context,
    model: Annotated[
        Path | None, typer.Argument(help="A .tflite or .onnx file. Optional with --firmware.", show_default=False)
    ] = None,
    *,
    device: DeviceOption,
    runtime: RuntimeOption = None,
    os: OsOption = None,
    engine: EngineOption = EngineChoice.AUTO,
    threads: ThreadsOption = 1,
    memory: MemoryOption = None,
    reserve: ReserveOption = None,
    swap: SwapOption = False,
    input_: Annotated[
        str, typer.Option("--input", metavar="random|zeros|FILE.npz", help="What the model is fed.")
    ] = "random",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of random inputs.")] = 0,
    shape: ShapeOption = None,
    timeout: TimeoutOption = "10min",
    format_: ReportOption = ReportChoice.TERMINAL,
    output: OutputOption = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Keep the run folder here; with --engine replay: the folder to replay.")
    ] = None,
    fresh: FreshOption = False,
    mirror: MirrorOption = None,
    delegates: Annotated[bool, typer.Option(help="--no-delegates keeps the runtime's own kernels: no XNNPACK.")] = True,
    latency_budget: LatencyBudgetOption = None,
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="What `calibration fit` wrote, to use instead of the shipped ones."),
    ] = None,
    baseline: BaselineOption = None,
    max_latency_increase: LatencyIncreaseOption = None,
    max_memory_increase: MemoryIncreaseOption = None,
    max_operator_increase: OperatorIncreaseOption = None,
    caches: Annotated[
        bool, typer.Option("--caches", help="Model the device's data caches too; makes counting several times slower.")
    ] = False,
    parity: Annotated[
        bool, typer.Option("--parity", help="Compare the outputs with this host's build and with reference kernels.")
    ] = False,
    parity_operators: Annotated[
        bool, typer.Option("--parity-operators", help="The same, and name the first operator that departs.")
    ] = False,
    parity_reference: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="The same, with these outputs as the right ones.")
    ] = None,
    isolation: Annotated[
        bool, typer.Option(help="--no-isolation runs a model that you trust without a sandbox.")
    ] = True,
    firmware: Annotated[
        Path | None, typer.Option(metavar="APP.elf", help="Microcontrollers: run this program of your own.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option(metavar="SYMBOL", help="With --firmware: count from here. Default: bench_begin.")
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="SYMBOL", help="With --firmware: count to here and stop. Default: bench_end.")
    ] = None,
    renode: RenodeOption = None,
    tflm: TflmOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and every command line; run none.")] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001  # its callback acts
) -> None:
    """Run a model on an emulated device: does it fit, with which operators, in how much memory?

    The very same run is not made twice: its result comes at once and says so. --fresh, --run-dir and --parity run anew.

    Example: edge-sandbox profile examples/mobilenet_v1_0.25_128_int8.tflite --device rpi4b
    """
    if firmware is not None:
        refuse_other_options(context, FIRMWARE_OPTIONS)
        profile_firmware(
            firmware,
            model=model,
            device=device,
            engine=engine,
            renode=renode,
            begin=begin,
            end=end,
            timeout_seconds=parse_duration(timeout),
            format_=format_,
            output=output,
            run_dir=run_dir,
            mirror=mirror,
            quiet=quiet,
        )
    if begin is not None or end is not None:
        raise UsageError("--begin and --end are symbols of a program of your own", hint="name it with --firmware")
    if model is None:
        raise UsageError("no model was named", hint="edge-sandbox profile MODEL --device ID")
    from sandbox import kept  # noqa: PLC0415
    from sandbox.engines.guard import guard  # noqa: PLC0415
    from sandbox.plan import ProfileRequest  # noqa: PLC0415
    from sandbox.regression import against  # noqa: PLC0415

    from .rendering import read_baseline, render  # noqa: PLC0415

    earlier = read_baseline(baseline, max_latency_increase, max_memory_increase, max_operator_increase)
    request = ProfileRequest(
        model=model,
        device=device,
        runtime=runtime,
        os=os,
        engine=engine.value,
        threads=threads,
        memory_bytes=parse_size(memory) if memory else None,
        reserve_bytes=parse_size(reserve) if reserve else 0,
        swap=swap,
        inputs=input_,
        seed=seed,
        shapes=dict(parse_shape(text) for text in shape or []),
        timeout_seconds=parse_duration(timeout),
        isolated=isolation,
        delegates=delegates,
        caches=caches,
        latency_budget_seconds=parse_duration(latency_budget) if latency_budget else None,
        calibration=calibration,
        tflm=tflm_folder(device, tflm, engine),
        renode=renode,
    )
    if request.engine in {"auto", "local", "native"} and not dry_run:
        enter_own_scope()
    progress = Silent() if quiet else StderrProgress()
    builder = image_builder(mirror, progress)
    with guard() as protector, _folder(run_dir, protector, replayed=engine is EngineChoice.REPLAY) as folder:
        if dry_run:
            write_report(printable(_planned(request, folder, builder, protector)), output)
            return
        if parity or parity_operators or parity_reference is not None:
            from sandbox import parity_run  # noqa: PLC0415

            compared = parity_run.ParityRequest(operators=parity_operators, reference=parity_reference)
            result = parity_run.profile(request, folder, builder, protector, parity=compared)
        else:
            result = kept.profile(request, folder, builder, protector, fresh=fresh or run_dir is not None)
    if result.cached and not quiet:
        print(f"edge-sandbox: nothing was run: this is the run of {result.started}; --fresh runs anew", file=sys.stderr)
    if earlier is not None:
        result = against(result, *earlier)
    write_report(render(result, format_, output), output)
    raise typer.Exit(EXIT_CODES[result.verdict.status])


def _planned(request: ProfileRequest, folder: Path, builder: ImageBuilder, protector: Guard) -> str:
    from sandbox import pipeline  # noqa: PLC0415
    from sandbox.microcontroller import profile as microcontroller  # noqa: PLC0415
    from sandbox.microcontroller.board import is_microcontroller  # noqa: PLC0415
    from sandbox.resources import data_directory  # noqa: PLC0415

    from .dry_run import render_microcontroller, render_plan  # noqa: PLC0415

    if is_microcontroller(request.device, data_directory("device_specs")):
        return render_microcontroller(microcontroller.prepare(request, folder, builder, protector))
    return render_plan(pipeline.prepare(request, folder, builder, protector))


@contextlib.contextmanager
def _folder(chosen: Path | None, protector: Guard, *, replayed: bool) -> Iterator[Path]:
    if not replayed:
        with run_folder(chosen, protector) as folder:
            yield folder
    elif chosen is None:
        raise UsageError("--engine replay needs a recorded run", hint="name its folder with --run-dir")
    else:
        yield chosen
