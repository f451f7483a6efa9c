"""``edge-sandbox calibration``: what turns counts into milliseconds, how well, and how it is made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.errors import DataFileError, UsageError
from sandbox.resources import data_directory

from .common import MirrorOption, QuietOption, VerboseOption, image_builder
from .options import OsOption, ThreadsOption
from .stderr_progress import StderrProgress

if TYPE_CHECKING:
    from sandbox.calibration import Calibration, DType, Errors, Term
    from sandbox.microcontroller.latency import MicrocontrollerCalibration

_A: dict[Term, str] = {
    "weight_byte": "a byte of weights",
    "operator": "an operator",
    "activation_byte": "a byte that operators read or write",
    "im2col_byte": "a byte laid out by im2col",
    "large_weight_byte": "a byte of weights that leave the L2 cache",
}

app = typer.Typer(
    no_args_is_help=True,
    help="List calibrations, show one with its errors, make them again, measure a board.",
    rich_markup_mode=None,
)

DirectoryOption = Annotated[
    Path | None, typer.Option("--directory", metavar="DIR", help="A calibration folder. Default: the shipped one.")
]


@app.command(name="list")
def list_calibrations(directory: DirectoryOption = None) -> None:
    """List all calibrations with rows, error on left-out families, and the width of the interval.

    Example: edge-sandbox calibration list
    """
    from sandbox.calibration import load_calibrations  # noqa: PLC0415
    from sandbox.microcontroller.latency import load_fits  # noqa: PLC0415

    for each in load_calibrations(_folder(directory)):
        error = f"{each.unseen.mean:.1%} mean, {each.unseen.worst:.1%} worst" if each.unseen else "not measured"
        rows = f"{each.evidence.rows:>3} rows" if each.evidence else "transfer"
        typer.echo(f"{each.id:<58} {rows}  {error:<28} ±{_percent(each.interval)}")
    for fit_ in load_fits(_folder(directory)):
        error = f"{fit_.error:.1%} mean, {max(fit_.left_out):.1%} worst"
        typer.echo(f"{fit_.plan.id:<58} {len(fit_.rows):>3} rows  {error:<28} ±{_percent(fit_.interval)}")


@app.command()
def show(
    calibration: Annotated[str, typer.Argument(help="Id (see `calibration list`).", show_default=False)],
    directory: DirectoryOption = None,
) -> None:
    """Show a calibration: what it is for, its numbers, its errors, its sources.

    Example: edge-sandbox calibration show rpi4b/tflite-runtime-2.14.0-xnnpack-fp32-1t
    """
    from sandbox.calibration import load_calibrations  # noqa: PLC0415
    from sandbox.microcontroller.latency import load_fits  # noqa: PLC0415

    fits = {each.plan.id: each for each in load_fits(_folder(directory))}
    if calibration in fits:
        for line in _describe_fit(fits[calibration]):
            typer.echo(line)
        return
    known = {each.id: each for each in load_calibrations(_folder(directory))}
    if calibration not in known:
        raise UsageError(f"unknown calibration {calibration!r}", hint="see edge-sandbox calibration list")
    for line in _describe(known[calibration]):
        typer.echo(line)


@app.command()
def errors(directory: DirectoryOption = None) -> None:
    """Print how well left-out rows, and rows of other boards, are predicted: the tables of docs/calibration.md.

    Example: edge-sandbox calibration errors
    """
    from sandbox.fit_files import error_table  # noqa: PLC0415
    from sandbox.transfers import transfer_table  # noqa: PLC0415

    source, devices = _folder(directory), data_directory("device_specs")
    for line in error_table(source, devices):
        typer.echo(line)
    if transfers := transfer_table(source, devices):
        typer.echo()
        for line in transfers:
            typer.echo(line)


@app.command()
def fit(
    measured: Annotated[
        Path | None, typer.Argument(help="What `calibration measure` wrote. Default: all of fits.toml.")
    ] = None,
    *,
    device: Annotated[str | None, typer.Option(help="The measured device's id or spec, with MEASURED.")] = None,
    directory: DirectoryOption = None,
    output: Annotated[Path | None, typer.Option(help="Folder to write to. Default: the calibration folder.")] = None,
    mirror: MirrorOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001  # its callback acts
) -> None:
    """Fit measured times to counts and write calibrations: all that fits.toml describes, or one from your own board.

    Example: edge-sandbox calibration fit mine.json --device rpi4b --output ./calibration
    """
    from sandbox.fit_files import fit_all, write_all  # noqa: PLC0415

    if measured is None and device is not None:
        raise UsageError("--device is of a measured board's file", hint="edge-sandbox calibration fit FILE --device ID")
    if measured is not None and output is None and directory is None:
        raise UsageError(
            "a calibration of your own board is not written over the shipped ones", hint="name a folder: --output DIR"
        )
    source = _folder(directory)
    if measured is None:
        made = fit_all(source, data_directory("device_specs"))
    else:
        made = _fit_own(measured, device, mirror, quiet=quiet)
    for path in write_all(output or source, made):
        typer.echo(str(path))


def _fit_own(measured: Path, device: str | None, mirror: str | None, *, quiet: bool) -> tuple[Calibration, ...]:
    from sandbox.engines.guard import guard  # noqa: PLC0415
    from sandbox.measurement import doubts, read_measurement  # noqa: PLC0415
    from sandbox.own_fit import count_own, fit_own, require  # noqa: PLC0415
    from sandbox.progress import Silent  # noqa: PLC0415

    measurement = read_measurement(measured)
    device = device or measurement.device
    try:
        dtypes = require(measurement, device)
    except DataFileError as error:
        raise DataFileError(f"{measured}: {error.message}", hint=error.hint) from error
    for doubt in doubts(measurement):
        typer.echo(f"warning: {doubt}", err=True)
    builder = image_builder(mirror, Silent() if quiet else StderrProgress())
    made = []
    with guard() as protector:
        for dtype in dtypes:
            counts = count_own(measurement, device, dtype, builder, protector)
            made.append(fit_own(measurement, counts, device, dtype))
    return tuple(made)


@app.command()
def measure(
    output: Annotated[Path, typer.Argument(help="The JSON file to write.", show_default=False)],
    *,
    device: Annotated[str, typer.Option(help="This board's id or spec, e.g. rpi4b.", show_default=False)],
    os: OsOption = None,
    runtime: Annotated[str | None, typer.Option(metavar="NAME[@VERSION]", help="Default: the image's first.")] = None,
    threads: ThreadsOption = 1,
    dtype: Annotated[
        list[str] | None, typer.Option(metavar="fp32|int8|uint8", help="Precisions. Default: fp32. Repeatable.")
    ] = None,
    mirror: MirrorOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001  # its callback acts
) -> None:
    """Time a fixed suite of models and operators on this very board, to fit a calibration from or to send in.

    Run it on the board, without other programs, for about five minutes; clocks and temperatures are written down too.

    Example: edge-sandbox calibration measure mine.json --device rpi4b
    """
    from sandbox.board import measure as run_suite  # noqa: PLC0415
    from sandbox.engines.guard import guard  # noqa: PLC0415
    from sandbox.measurement import doubts  # noqa: PLC0415
    from sandbox.progress import Silent  # noqa: PLC0415

    known: tuple[DType, ...] = ("fp32", "int8", "uint8")
    chosen = tuple(name for name in known if name in (dtype or ["fp32"]))
    if set(dtype or ()) - set(known):
        raise UsageError(f"--dtype {', '.join(sorted(set(dtype or ()) - set(known)))}", hint="fp32, int8 or uint8")
    _require_writable(output)
    progress = Silent() if quiet else StderrProgress()
    with guard() as protector:
        measurement = run_suite(
            device,
            image_builder(mirror, progress),
            protector,
            progress,
            os_image=os,
            runtime=runtime,
            threads=threads,
            dtypes=chosen,
        )
    try:
        output.write_text(measurement.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}", hint="name a file that can be written") from error
    for doubt in doubts(measurement):
        typer.echo(f"warning: {doubt}", err=True)
    typer.echo(f"{output}: {len(measurement.timings)} models timed")


def _require_writable(output: Path) -> None:
    """Before the minutes that measuring takes. Raises `UsageError`."""
    place = output if output.exists() else output.parent
    if output.is_dir() or not output.parent.is_dir() or not os.access(place, os.W_OK):
        raise UsageError(f"{output} cannot be written", hint="name a file in a folder that can be written to")


@app.command()
def check(directory: DirectoryOption = None) -> None:
    """Fit all calibrations again: exit code 3 when a file differs from what its rows and counts give.

    Example: edge-sandbox calibration check
    """
    from sandbox.fit_files import differences, fit_all  # noqa: PLC0415
    from sandbox.microcontroller.latency import load_fits  # noqa: PLC0415

    source = _folder(directory)
    made = fit_all(source, data_directory("device_specs"))
    found = differences(source, made)
    fits = load_fits(source)  # made from their rows whenever they are read, so that nothing can differ
    if found:
        raise DataFileError("\n".join(f"{source}: {line}" for line in found), hint="edge-sandbox calibration fit")
    for each in made:
        if each.evidence and each.evidence.interval_coverage is not None:
            covered = f"{each.evidence.interval_coverage:.0%} of {each.evidence.rows} rows of left-out families"
            typer.echo(f"{each.id}: ±{_percent(each.interval)} covers {covered}")
    typer.echo(f"{source}: {len(made) + len(fits)} calibrations follow from their rows and counts")


@app.command()
def count(
    counts: Annotated[
        list[str] | None, typer.Argument(help="Ids of counts. Default: all that suites.toml has.")
    ] = None,
    *,
    directory: DirectoryOption = None,
    again: Annotated[bool, typer.Option("--again", help="Count anew what is already there.")] = False,
    mirror: MirrorOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001  # its callback acts
) -> None:
    """Count the published models under emulation again; takes hours for all, and keeps what is done.

    Example: edge-sandbox calibration count cortex-a72-tflite-runtime-2.14.0-xnnpack-1t
    """
    from sandbox.engines.guard import guard  # noqa: PLC0415
    from sandbox.json_file import write_whole  # noqa: PLC0415
    from sandbox.model_counts import read_counts, render_counts  # noqa: PLC0415
    from sandbox.progress import Silent  # noqa: PLC0415
    from sandbox.suite import count_models, load_plans  # noqa: PLC0415

    source = _folder(directory)
    plans = {plan.id: plan for plan in load_plans(source / "suites.toml")}
    unknown = sorted(set(counts or ()) - plans.keys())
    if unknown:
        raise UsageError(f"unknown counts {unknown[0]!r}", hint="known: " + ", ".join(plans))
    builder = image_builder(mirror, Silent() if quiet else StderrProgress())
    for name in counts or plans:
        path = source / "counts" / f"{name}.json"
        known = read_counts(path) if path.is_file() and not again else None
        with guard() as protector:
            for counted in count_models(plans[name], known, builder, protector):
                try:
                    write_whole(path, render_counts(counted))
                except OSError as error:
                    raise DataFileError(f"{path}: {error.strerror}", hint="name a folder of your own") from error
                row = counted.models[-1]
                typer.echo(f"{name}: {row.model} {row.dtype}: {row.instructions} instructions")


def _folder(directory: Path | None) -> Path:
    if directory is not None and not directory.is_dir():
        raise UsageError(f"--directory {directory} is no folder", hint="name the one that `calibration fit` wrote")
    return directory or data_directory("calibration")


def _describe(each: Calibration) -> list[str]:
    slots = each.slots
    build = f"{each.runtime} {each.runtime_version}, {each.library}, {', '.join(each.dtypes)}"
    weights = (
        f"{slots.multiply:g} multiply, {slots.vector:g} other vector, {slots.memory:g} memory, {slots.other:g} other"
    )
    lines = [
        f"{each.id}: {each.core} at {each.clock_hz / 1e9:.2f} GHz",
        f"  {build}, {each.threads} thread{'s' if each.threads > 1 else ''}",
        f"  {each.cycles_per_slot:.4g} cycles a slot; slots of an instruction: {weights}",
        *(f"  {cost * 1e9:.4g} ns {_A[term]}" for term, cost in each.costs.items()),
        f"  90 % interval: ±{_percent(each.interval)}",
    ]
    if each.evidence:
        known = each.evidence
        lines.append(f"  {known.rows} rows of {', '.join(known.families)}")
        lines.append(f"  fitted {_errors(known.fitted)}")
        lines.append(f"  left-out models {_errors(known.leave_one_model_out)}")
        if known.leave_one_family_out:
            lines.append(f"  left-out families {_errors(known.leave_one_family_out)}")
        if known.interval_coverage is not None:
            lines.append(f"  the interval covers {known.interval_coverage:.0%} of the rows of left-out families")
        if known.nested_coverage is not None:
            lines.append(f"  with a width from the other families alone it covers {known.nested_coverage:.0%}")
    if each.transfer:
        lines.append(f"  by transfer from {each.transfer.source}: {each.transfer.reason}")
        known_error = each.transfer.error
        lines.append(f"  such transfers {_errors(known_error)}" if known_error else "  its error was never measured")
    if each.provenance:
        lines += [f"  source: {source}" for source in each.provenance.sources]
    return lines + [f"  note: {note}" for note in each.notes]


def _describe_fit(each: MicrocontrollerCalibration) -> list[str]:
    plan = each.plan
    lines = [
        f"{plan.id}: {plan.core} of {plan.soc} at {plan.clock_hz / 1e6:g} MHz",
        f"  TFLM {plan.tflm}, {plan.kernels} kernels, int8",
        f"  {each.cycles_per_mac:.4g} cycles a multiply-accumulate",
        f"  90 % interval of this build on this chip: ±{_percent(each.interval)}; wider for another build or chip",
        f"  {len(each.rows)} rows; left-out models {each.error:.1%} mean, {max(each.left_out):.1%} worst",
    ]
    lines += [f"    {model}: {cycles:.3g} cycles" for model, cycles in each.rows]
    lines += [f"  source: {source}" for source in each.sources]
    return lines + [f"  note: {note}" for note in plan.notes]


def _errors(errors: Errors) -> str:
    return f"{errors.mean:.1%} mean, {errors.worst:.1%} worst, {errors.within_10_percent:.0%} within 10 %"


def _percent(half_width: float) -> str:
    import math  # noqa: PLC0415

    return f"{math.expm1(half_width):.1%}"
