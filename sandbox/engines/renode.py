"""Microcontrollers' programs in Renode, where the user has one: ``renode`` on PATH, another program, or Docker's image.

Every run is a script of its own with ``--console``, nothing to read, a private configuration and no network to ask.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox import process
from sandbox.errors import HostError, RunError
from sandbox.microcontroller.board import EmulatorName
from sandbox.microcontroller.job import LARGEST_CONSOLE_BYTES, Ended, Fault, FirmwareJob, FirmwareRun

from .base import Cancelled, Problem
from .guard import Guard
from .renode_script import LAST_WORD, Log, memory, platform, read_log, script
from .semihosting import signed

DOCKER_IMAGE = "antmicro/renode"
OLDEST = (1, 15)
_VERSION = re.compile(r"^Renode v(\d+)\.(\d+)\.(\d+)", re.MULTILINE)
_HINT = "install Renode 1.15 or newer (https://renode.io), name it with --renode, or docker pull antmicro/renode"
_TICK_SECONDS = 0.05
_SLOWEST = 20.0
"""Wall seconds that a virtual one may take: programs that poll a peripheral are that slow."""
_START_SECONDS = 60.0
_LARGEST_LOG_BYTES = 64 << 20
_READ_BYTES = 1 << 20
_UNSEEN = "what the program prints by semihosting is not seen: this Renode would give it files of this host with it"


class RenodeEngine:
    """Runs programs in Renode."""

    name: EmulatorName = "renode"

    def __init__(self, guard: Guard, program: str | None = None) -> None:
        """``program``: a path, ``docker``, or None for what this host has."""
        self._guard = guard
        self._program = program
        self._version: str | None = None

    def probe(self) -> Problem | None:
        """Whether a Renode is there, starts, and is not too old."""
        launcher = self._launcher(None, "")
        if launcher is None:
            return Problem(reason="no renode on PATH, and no Docker image of it", hint=_HINT)
        try:
            done = process.run((*launcher, "--version"), timeout=_START_SECONDS)
        except HostError as error:
            return Problem(reason=error.message, hint=_HINT)
        found = _VERSION.search(done.stdout)
        if found is None:
            first = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
            return Problem(reason=f"{launcher[0]} --version said {first[0][:100]!r}, not a version", hint=_HINT)
        self._version = ".".join(found.groups())
        if (int(found[1]), int(found[2])) < OLDEST:
            return Problem(reason=f"Renode {self._version} is too old", hint=_HINT)
        return None

    @property
    def version(self) -> str | None:
        """What `probe` was told."""
        return self._version

    def refusal(self, job: FirmwareJob) -> str | None:  # noqa: ARG002  # the engines' common face
        """See `FirmwareEngine.refusal`: the platform is generated, so any board's memory can be had."""
        return None

    def command(self, job: FirmwareJob, container: str) -> tuple[str, ...]:
        """The command line that `run` uses."""
        launcher = self._launcher(job.run_dir, container) or ("renode",)
        options = ("--disable-gui", "--console", "--plain", "--config", str(job.run_dir / "renode.config"))
        return (*launcher, *options, str(job.run_dir / "run.resc"))

    def run(self, job: FirmwareJob, cancel: threading.Event) -> FirmwareRun:
        """See `FirmwareEngine.run`."""
        started = time.monotonic()
        deadline = started + _START_SECONDS + _SLOWEST * job.timeout_seconds
        ended, log, flooded = self._attempt(job, cancel, deadline, console=True)
        console = not log.platform_refused
        if not console:
            ended, log, flooded = self._attempt(job, cancel, deadline, console=False)
        if log.error is not None:
            raise RunError(
                f"Renode refused a command: {log.error}", hint="see renode.log in the run folder (--run-dir)"
            )
        if ended == "ended" and not log.finished and log.abort is None:
            raise RunError(
                "Renode ended in the middle of its script", hint="see renode.log in the run folder (--run-dir)"
            )
        return self._outcome(job, log, console=console, flooded=flooded, seconds=time.monotonic() - started)

    def _attempt(
        self, job: FirmwareJob, cancel: threading.Event, deadline: float, *, console: bool
    ) -> tuple[str, Log, bool]:
        """(how `process.wait` ended, the log, whether it was a flood) of one Renode. Raises `Cancelled`."""
        container = f"edge-sandbox-renode-{uuid.uuid4().hex[:12]}"
        self._write_files(job, console=console)
        log_file = job.run_dir / "renode.log"
        with contextlib.ExitStack() as stack:
            printed = stack.enter_context(log_file.open("wb"))
            if self._in_docker():
                stack.callback(_remove_container, container)
                stack.enter_context(self._guard.protect("container", container))
            argv = self.command(job, container)
            running = stack.enter_context(process.start(argv, stdout=printed, stderr=printed, cwd=job.run_dir))
            stack.enter_context(self._guard.protect("process_group", str(running.pid)))
            watch = _Watch(job.run_dir, cancel)
            timeout = max(0.0, deadline - time.monotonic())
            ended = process.wait(running, timeout=timeout, interval=_TICK_SECONDS, go_on=watch.go_on)
            process.stop(running)
        if cancel.is_set():
            raise Cancelled
        return ended, read_log(_read(log_file, _LARGEST_LOG_BYTES)), watch.flooded

    def _outcome(self, job: FirmwareJob, log: Log, *, console: bool, flooded: bool, seconds: float) -> FirmwareRun:
        ram = _ram(job) if log.finished else None
        fault = _fault(job, log, ram)
        status = _status(log, ram)
        differs = job.emulation.differs
        if not console:
            differs = (*differs, _UNSEEN)
        if log.unmodelled:
            differs = (
                *differs,
                f"{log.unmodelled} accesses to peripherals that are not modelled read 0 or did nothing",
            )
        return FirmwareRun(
            ended=_ended(job, log, fault, flooded=flooded),
            exit_code=status,
            console=_read(job.run_dir / "console.txt", LARGEST_CONSOLE_BYTES),
            instructions=log.instructions,
            passes=log.marks,
            strays=log.strays,
            fault=fault,
            pc=log.abort_pc if log.abort_pc is not None else log.pc,
            ram=ram,
            emulator=f"Renode {self._version or 'of unknown version'}",
            machine=job.emulation.model,
            differs=differs,
            seconds=seconds,
            words=log.abort or "",
        )

    def _write_files(self, job: FirmwareJob, *, console: bool) -> None:
        folder = job.run_dir
        elf = folder / "firmware.elf"
        shutil.copyfile(job.firmware.path, elf)
        (folder / "board.repl").write_text(platform(job, console=console))
        (folder / "run.resc").write_text(script(job, folder, elf, console=console))
        for number, data in enumerate((job.loads or {}).values()):
            (folder / f"load{number}.bin").write_bytes(data)

    def _in_docker(self) -> bool:
        return self._program == "docker" or (self._program is None and shutil.which("renode") is None)

    def _launcher(self, folder: Path | None, container: str) -> Sequence[str] | None:
        """The words before Renode's own options; None when there is nothing to start."""
        if not self._in_docker():
            return (self._program or "renode",)
        if shutil.which("docker") is None:
            return None
        if folder is None:
            known = process.run(("docker", "image", "inspect", "--format", "{{.Id}}", DOCKER_IMAGE), timeout=30)
            if known.returncode != 0:
                return None
        mount = ("--volume", f"{folder}:{folder}", "--name", container) if folder else ()
        return ("docker", "run", "--rm", "--network", "none", "--pull", "never", *mount, DOCKER_IMAGE, "renode")


def _remove_container(name: str) -> None:
    with contextlib.suppress(HostError):
        process.run(("docker", "rm", "--force", name), timeout=30)


class _Watch:
    """Reads the log while it grows: after a CPU abort Renode waits for ever."""

    def __init__(self, folder: Path, cancel: threading.Event) -> None:
        self._log, self._console, self._cancel = folder / "renode.log", folder / "console.txt", cancel
        self._seen, self._tail = 0, ""
        self.flooded = False

    def go_on(self) -> bool:
        with self._log.open("rb") as file:
            file.seek(self._seen)
            more = file.read(_READ_BYTES)
        self._seen += len(more)
        text = self._tail + more.decode(errors="replace")
        self._tail = text[-200:]
        console = self._console.stat().st_size if self._console.exists() else 0
        self.flooded = console > LARGEST_CONSOLE_BYTES or self._seen > _LARGEST_LOG_BYTES
        done = f"\n{LAST_WORD}" in text or ("CPU abort" in text and "\n" in text.rpartition("CPU abort")[2])
        return not (done or self.flooded or self._cancel.is_set())


def _ended(job: FirmwareJob, log: Log, fault: Fault | None, *, flooded: bool) -> Ended:
    if flooded:
        return "flood"
    if log.abort is not None:
        return "abort"
    if fault is not None:
        return "fault"
    if log.exit_call is not None:
        return "exit"
    if job.stop_at is not None and any(job.marks.get(name) == job.stop_at for name, _ in log.marks):
        return "stop"
    return "timeout"


def _ram(job: FirmwareJob) -> Mapping[int, bytes] | None:
    """The painted spans' bytes, from the dumps of the memories that hold them."""
    found = {}
    for number, span in enumerate(memory(job)):
        path = job.run_dir / f"memory{number}.bin"
        for painted in job.painted:
            if span.start <= painted.start < span.end and path.is_file():
                content = path.read_bytes()
                found[painted.start] = content[painted.start - span.start : painted.end - span.start]
    return found or None


def _word(ram: Mapping[int, bytes] | None, address: int) -> int | None:
    for start, content in (ram or {}).items():
        if start <= address and address + 4 <= start + len(content):
            return int.from_bytes(content[address - start : address - start + 4], "little")
    return None


def _status(log: Log, ram: Mapping[int, bytes] | None) -> int | None:
    if log.exit_call is None:
        return None
    call, argument = log.exit_call
    if call == 0x18:
        return 0 if argument == 0x20026 else 1
    status = _word(ram, argument + 4) if _word(ram, argument) == 0x20026 else 1
    return None if status is None else signed(status)


def _fault(job: FirmwareJob, log: Log, ram: Mapping[int, bytes] | None) -> Fault | None:
    if log.fault is None:
        return None
    exception, returning, stack = log.fault
    small = job.board.cpu.core in {"cortex-m0", "cortex-m0+", "cortex-m23"}
    on_main = not returning & 4  # Renode's hooks do not give PSP, so a frame on it cannot be read
    cfsr = None if small else log.cfsr
    address = log.bfar if (cfsr or 0) & 0x8000 else log.mmfar if (cfsr or 0) & 0x80 else None
    return Fault(
        exception=exception,
        pc=_word(ram, stack + 0x18) if on_main else None,
        lr=_word(ram, stack + 0x14) if on_main else None,
        stack_pointer=stack,
        cfsr=cfsr,
        hfsr=None if small else log.hfsr,
        address=address,
    )


def _read(path: Path, most: int) -> str:
    try:
        with path.open("rb") as file:
            return file.read(most).decode(errors="replace")
    except OSError:
        return ""
