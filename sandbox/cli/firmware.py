"""``edge-sandbox profile --firmware``: a user's own program on a microcontroller."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from sandbox.errors import DataFileError, UsageError
from sandbox.progress import Silent
from sandbox.resources import data_directory

from .common import (
    EXIT_CODES,
    EngineChoice,
    ReportChoice,
    image_builder,
    run_folder,
    wants_colour,
    write_report,
)
from .stderr_progress import StderrProgress

if TYPE_CHECKING:
    from sandbox.microcontroller.board import EmulatorName
    from sandbox.microcontroller.firmware_result import FirmwareResult


FIRMWARE_OPTIONS = frozenset(
    {"firmware", "model", "device", "engine", "renode", "begin", "end", "timeout", "format_", "output", "run_dir"}
    | {"fresh", "mirror", "quiet", "verbose"}
)
"""Parameters of ``profile`` that have a meaning with ``--firmware``; such a run is always made anew."""


def refuse_other_options(context: typer.Context, served: frozenset[str]) -> None:
    """Raise `UsageError` for an option that was given and would do nothing."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in served and source is not None and source.name == "COMMANDLINE":
            flag = (parameter.secondary_opts or parameter.opts)[0]
            raise UsageError(f"{flag} is for a model's profile", hint="leave it away with --firmware")


def profile_firmware(
    firmware: Path,
    *,
    model: Path | None,
    device: str,
    engine: EngineChoice,
    renode: str | None,
    begin: str | None,
    end: str | None,
    timeout_seconds: float,
    format_: ReportChoice,
    output: Path | None,
    run_dir: Path | None,
    mirror: str | None,
    quiet: bool,
) -> None:
    """Print the report and exit with the verdict's status."""
    from sandbox.engines.guard import guard  # noqa: PLC0415
    from sandbox.microcontroller.board import is_microcontroller, load_board  # noqa: PLC0415
    from sandbox.microcontroller.elf import read_firmware  # noqa: PLC0415
    from sandbox.microcontroller.emulators import choose, makers  # noqa: PLC0415
    from sandbox.microcontroller.firmware_result import write_document  # noqa: PLC0415
    from sandbox.microcontroller.firmware_run import FirmwareRequest  # noqa: PLC0415
    from sandbox.microcontroller.firmware_run import profile_firmware as run_profile  # noqa: PLC0415

    _refuse_other_formats(format_)
    specs = data_directory("device_specs")
    if not is_microcontroller(device, specs):
        raise UsageError(f"--firmware is for microcontrollers, and {device} is none", hint="edge-sandbox devices list")
    board = load_board(device, specs)
    request = FirmwareRequest(
        firmware=read_firmware(firmware),
        board=board,
        model=_read_model(model),
        begin=begin,
        end=end,
        timeout_seconds=timeout_seconds,
    )
    progress = Silent() if quiet else StderrProgress()
    builder = image_builder(mirror, progress)
    with guard() as protector, run_folder(run_dir, protector) as folder:
        choice = choose(board, emulator_named(engine), makers(builder, protector, renode))
        cancel = threading.Event()
        with progress.task(f"running {firmware.name} for {board.id}"):
            result = run_profile(request, choice, folder, cancel)
        write_document(folder, result)
    _print(result, format_, output)


def emulator_named(engine: EngineChoice) -> EmulatorName | None:
    """The emulator of microcontrollers that ``--engine`` names; None for ``auto``. Raises `UsageError` for others."""
    if engine is EngineChoice.AUTO:
        return None
    if engine is EngineChoice.QEMU_SYSTEM:
        return "qemu-system"
    if engine is EngineChoice.RENODE:
        return "renode"
    raise UsageError(
        f"--engine {engine.value} runs Linux devices, not microcontrollers",
        hint="use --engine qemu-system, --engine renode or leave it out",
    )


def tflm_folder(device: str, given: Path | None, engine: EngineChoice) -> Path | None:
    """The TFLM to run on the emulated core: the one given, else, where an emulator is asked for, the one remembered.

    Raises `UsageError` for a Linux device, and for an emulator without a TFLM.
    """
    from sandbox.microcontroller.board import is_microcontroller  # noqa: PLC0415
    from sandbox.microcontroller.tflm import remembered  # noqa: PLC0415

    emulated = engine in {EngineChoice.QEMU_SYSTEM, EngineChoice.RENODE}
    if given is None and not emulated:
        return None
    if not is_microcontroller(device, data_directory("device_specs")):
        option = f"--engine {engine.value}" if emulated else "--tflm"
        raise UsageError(f"{option} is for microcontrollers, and {device} is none", hint=f"leave {option} away")
    folder = given or remembered()
    if folder is None:
        raise UsageError(
            f"--engine {engine.value} runs a model with TFLM on the emulated core, and no TFLM was named",
            hint="name its folder with --tflm (see docs/howto/microcontroller.md), or run a program with --firmware",
        )
    return folder


def _read_model(path: Path | None) -> bytes | None:
    if path is None:
        return None
    if path.exists() and not path.is_file():  # a pipe would wait for ever
        raise DataFileError(f"{path} is not a regular file", hint="name a .tflite file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror}", hint="name a .tflite file") from error


def report_firmware(source: Path, format_: ReportChoice, output: Path | None, baseline: Path | None) -> NoReturn:
    """Print the report of what a firmware's run left, and exit with the verdict's status."""
    from sandbox.microcontroller.firmware_result import read_document  # noqa: PLC0415

    _refuse_other_formats(format_)
    if baseline is not None:
        raise UsageError("--baseline compares profiles of models", hint="leave it away for a firmware's run")
    _print(read_document(source), format_, output)


def _refuse_other_formats(format_: ReportChoice) -> None:
    if format_ not in {ReportChoice.TERMINAL, ReportChoice.JSON}:
        raise UsageError(
            f"--format {format_.value} is for a model's profile", hint="for firmware use --format terminal or json"
        )


def _print(result: FirmwareResult, format_: ReportChoice, output: Path | None) -> NoReturn:
    from sandbox.reports import firmware_terminal, json  # noqa: PLC0415

    if format_ is ReportChoice.JSON:
        write_report(json.render(result), output)
    else:
        write_report(firmware_terminal.render(result, colour=wants_colour(output)), output)
    raise typer.Exit(EXIT_CODES[result.verdict.status])
