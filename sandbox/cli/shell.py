"""``edge-sandbox shell``: any program on the device."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.errors import UsageError
from sandbox.progress import Silent
from sandbox.units import format_duration, parse_duration, parse_size

from .common import MirrorOption, QuietOption, VerboseOption, enter_own_scope, image_builder, run_folder
from .options import DeviceOption, MemoryOption, OsOption
from .stderr_progress import StderrProgress

if TYPE_CHECKING:
    from sandbox.shell import ShellOutcome

_SIGNALLED = 128
_TIMED_OUT = 124  # as timeout(1) says it


def shell(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND …", help="The program and its arguments. Default: Python.")
    ] = None,
    *,
    device: DeviceOption,
    os: OsOption = None,
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME[@VERSION]", help="Default: all runtimes that the image has.")
    ] = None,
    memory: MemoryOption = None,
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Stop it after this long.")] = None,
    share: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder that the program starts in and can read.")
    ] = Path(),
    run_dir: Annotated[Path | None, typer.Option(help="Keep here what the program writes to /edge/run.")] = None,
    mirror: MirrorOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,  # noqa: ARG001  # its callback acts
) -> None:
    """Run any program on the emulated device, with the device's clock: one cycle for each instruction.

    The program's clocks do not depend on this host or its load, so a benchmark prints the same times on each. They are
    not calibrated: compare them with one another, not with a stopwatch. It finds itself in the shared folder, which it
    can read, and can write to /tmp and /edge/run. Its exit status is the command's.

    Example: edge-sandbox shell --device rpi4b -- python3 -c "import platform; print(platform.machine())"
    """
    from sandbox.engines.guard import guard  # noqa: PLC0415
    from sandbox.shell import ShellRequest, run_shell  # noqa: PLC0415

    if not share.is_dir():
        raise UsageError(f"--share {share} is not a folder", hint="name the folder that your program lies in")
    request = ShellRequest(
        device=device,
        command=tuple(command or ()),
        share=share.absolute(),
        os=os,
        runtime=runtime,
        memory_bytes=parse_size(memory) if memory else None,
        timeout_seconds=parse_duration(timeout) if timeout else float("inf"),
    )
    enter_own_scope()
    progress = Silent() if quiet else StderrProgress()
    with guard() as protector, run_folder(run_dir, protector) as folder:
        ended = run_shell(request, folder, image_builder(mirror, progress), protector)
    for line in _warnings(ended):
        print(f"edge-sandbox: {line}", file=sys.stderr)
    if not quiet:
        print(f"edge-sandbox: {_summary(ended)}", file=sys.stderr)
    raise typer.Exit(_status(ended))


def _summary(ended: ShellOutcome) -> str:
    from sandbox.shell import seconds  # noqa: PLC0415

    if ended.outcome.emulator is None:
        return "ran on this host's own core: nothing was counted, and the clock was this host's"
    counters = [counters for _pid, counters in ended.processes]
    retired = sum(thread.retired for process in counters for thread in process.threads)
    processes = f"{len(counters)} process{'' if len(counters) == 1 else 'es'}"
    took = format_duration(seconds(counters, ended.tick_ns))
    return f"{retired:,} instructions in {processes}: {took} of CPU time at one a cycle, emulated, not calibrated"


def _warnings(ended: ShellOutcome) -> list[str]:
    outcome, found = ended.outcome, []
    if outcome.emulator is not None and not ended.processes:
        found.append("nothing was counted: no counter file could be written")
    for pid, counters in ended.processes:
        if not counters.attached:
            found.append(
                f"process {pid} did not load the clock, for it is statically linked or changed LD_PRELOAD: "
                "its instructions were counted, but the times that it saw are this host's"
            )
        if counters.overflow:
            found.append(f"process {pid} has more threads or code than is counted apart: its counts are incomplete")
    if outcome.out_of_memory:
        found.append(f"out of memory: ended at the device's limit ({outcome.limit_mechanism})")
    if outcome.timed_out:
        found.append(f"stopped after {format_duration(outcome.seconds)}")
    return found


def _status(ended: ShellOutcome) -> int:
    outcome = ended.outcome
    if outcome.timed_out:
        return _TIMED_OUT
    if outcome.exit_code is not None:
        return outcome.exit_code
    return _SIGNALLED + (outcome.signal or signal.SIGKILL)
