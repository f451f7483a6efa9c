"""Microcontrollers' programs in the locked QEMU, under a debugger's eyes.

The machine is one of QEMU's own, so its memory is not the board's: a program runs where all that it loads has a place,
and the probe (images/probe) tells what the board has not. Virtual time follows the instructions (``-icount``), so every
run is the same. Semihosting goes to the debugger's end, which grants no file: a program gets at nothing of this host.
"""

from __future__ import annotations

import contextlib
import re
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox import native, process
from sandbox.errors import HostError, RunError
from sandbox.image.emulator import Emulator, host_architecture
from sandbox.microcontroller.board import EmulatorName
from sandbox.microcontroller.job import LARGEST_CONSOLE_BYTES, PAINT, Ended, Fault, FirmwareJob, FirmwareRun, Stray

from .base import Cancelled, Problem
from .gdb_remote import GdbRemote, Stop
from .guard import Guard
from .qemu_machines import MACHINES, STARTS, lacking, machine_for, no_machine, present, traps_unaligned
from .semihosting import Semihosting, calls_in

_VTOR, _CCR, _UNALIGN_TRP = 0xE000_ED08, 0xE000_ED14, 1 << 3
_PROBE_HEADER = struct.Struct("<8sQQQII")
_STRAY, _PASS = struct.Struct("<IIIIQ"), struct.Struct("<QQ")
_MOST_STRAYS, _MOST_PASSES = 32, 16384
_ICOUNT_SHIFT = 3
"""2^3 ns an instruction, 125 million a second: near the clocks of the boards, and the same for all runs."""
_LOCKUP = re.compile(r"qemu: fatal: (Lockup[^\n]*)")
_DUMPED = re.compile(r"R(13|14|15)=([0-9a-f]{8})")


class QemuSystemEngine:
    """Runs programs in ``qemu-system-arm``."""

    name: EmulatorName = "qemu-system"

    def __init__(self, emulator: Emulator, guard: Guard) -> None:
        self._emulator = emulator
        self._guard = guard

    def probe(self) -> Problem | None:
        """See `FirmwareEngine.probe`: the emulator is locked and unpacked, nothing else is needed."""
        return None

    def refusal(self, job: FirmwareJob) -> str | None:
        """See `FirmwareEngine.refusal`."""
        return None if machine_for(job) else no_machine(job)

    def command(self, job: FirmwareJob, files: Path) -> tuple[str, ...]:
        """The command line that `run` uses; ``files`` is the folder of its socket."""
        machine = machine_for(job)
        if machine is None:
            raise HostError(no_machine(job), hint="use --engine renode")
        probe = [f"out={job.run_dir / 'probe'}", *(f"mark={address:x}" for address in job.marks.values())]
        probe += [f"allow={s.start:x}-{s.end:x}{'' if s.writable else '-r'}" for s in job.allowed]
        plugin = ",".join(part.replace(",", ",,") for part in (str(native.probe(host_architecture())), *probe))
        words = [*self._emulator.program("qemu-system-arm"), "-machine", machine, "-nographic", "-monitor", "none"]
        words += ["-no-reboot", "-no-shutdown", "-S", "-icount", f"shift={_ICOUNT_SHIFT},sleep=off", "-plugin", plugin]
        words += ["-chardev", f"socket,id=gdb,server=on,wait=off,path={_quoted(files / 'gdb')}", "-gdb", "chardev:gdb"]
        words += ["-semihosting-config", "enable=on,target=gdb"]
        for number in range(3):
            words += ["-serial", f"file:{job.run_dir / f'uart{number}.txt'}"]
        for number, address in enumerate(job.loads or {}):
            file = _quoted(job.run_dir / f"load{number}.bin")
            words += ["-device", f"loader,file={file},addr={address:#x},force-raw=on"]
        return (*words, "-kernel", str(job.firmware.path))

    def run(self, job: FirmwareJob, cancel: threading.Event) -> FirmwareRun:
        """See `FirmwareEngine.run`."""
        started = time.monotonic()
        for number, data in enumerate((job.loads or {}).values()):
            (job.run_dir / f"load{number}.bin").write_bytes(data)
        with contextlib.ExitStack() as stack:
            # a folder of its own: the name of a socket must be short
            files = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-sandbox-")))
            stack.enter_context(self._guard.protect("folder", str(files)))
            errors = stack.enter_context((job.run_dir / "stderr.txt").open("w+b"))
            running = stack.enter_context(process.start(self.command(job, files), stdout=errors, stderr=errors, env={}))
            stack.enter_context(self._guard.protect("process_group", str(running.pid)))
            watch = _Watch(job, running, cancel, deadline=started + job.timeout_seconds)
            try:
                remote = GdbRemote(files / "gdb", lambda: running.poll() is None)
            except RunError:
                words = _text(job.run_dir / "stderr.txt").strip()
                raise HostError(f"qemu-system-arm did not start: {words or 'without a word'}") from None
            with contextlib.closing(remote):
                found = _Session(job, remote, watch).run()
        if cancel.is_set():
            raise Cancelled
        return self._outcome(job, found, watch, seconds=time.monotonic() - started)

    def _outcome(self, job: FirmwareJob, found: _Found, watch: _Watch, *, seconds: float) -> FirmwareRun:
        words = _text(job.run_dir / "stderr.txt")
        lockup = _LOCKUP.search(words) if found.stop.kind == "gone" else None
        registers = {int(number): int(value, 16) for number, value in _DUMPED.findall(words)} if lockup else {}
        counted = _read_probe(job, found.lent)
        fault, pc = found.fault, found.pc if found.pc is not None else registers.get(15)
        if lockup and 13 in registers:
            fault = Fault(
                exception=3,
                pc=registers.get(15),
                lr=registers.get(14),
                stack_pointer=registers[13],
                cfsr=None,
                hfsr=None,
                address=None,
            )
        machine = machine_for(job) or job.emulation.model
        differs = job.emulation.differs
        if machine != job.emulation.model:
            stands = f"QEMU's {machine} ({MACHINES[machine].core}) stands for the board, not {job.emulation.model}: "
            differs = (f"{stands}it has memory where this program lies", *differs)
        passes = counted.passes
        if found.at_end and counted.instructions is not None:  # the core stopped before the plugin saw the last mark
            passes += tuple((n, counted.instructions) for n, address in job.marks.items() if address == job.stop_at)
        return FirmwareRun(
            ended="lockup" if lockup else found.ended(watch),
            exit_code=found.stop.status,
            console=_console(job, bytes(watch.printed)),
            instructions=counted.instructions,
            passes=passes,
            lost_passes=counted.lost,
            strays=counted.strays,
            fault=fault,
            pc=pc,
            block=counted.block,
            ram=found.ram,
            emulator=f"QEMU {self._emulator.version}",
            machine=machine,
            differs=differs,
            seconds=seconds,
            exception=found.exception,
            lacks=lacking(job, machine),
            words=lockup[1] if lockup else words.strip() if found.stop.kind == "gone" else "",
        )


class _Watch:
    """Why a run must end before it does by itself."""

    def __init__(
        self, job: FirmwareJob, running: subprocess.Popen[bytes], cancel: threading.Event, *, deadline: float
    ) -> None:
        self._folder, self._running, self._cancel, self._deadline = job.run_dir, running, cancel, deadline
        self.printed = bytearray()
        """What came by semihosting."""
        self.flooded = False

    def go_on(self) -> bool:
        written = sum(file.stat().st_size for file in self._folder.glob("uart*.txt"))
        self.flooded = written + len(self.printed) > LARGEST_CONSOLE_BYTES
        return not (self.flooded or time.monotonic() > self._deadline or self._cancel.is_set())


@dataclass
class _Found:
    """What the debugger saw."""

    stop: Stop
    at_end: bool = False
    fault: Fault | None = None
    exception: int = 0
    pc: int | None = None
    ram: Mapping[int, bytes] | None = None
    lent: int = 0
    """Instructions that were not the program's."""

    def ended(self, watch: _Watch) -> Ended:
        if self.fault is not None:
            return "fault"
        if self.at_end:
            return "stop"
        if self.stop.kind == "ended":
            return "exit"
        if self.stop.kind == "reset":
            return "reset"
        if self.stop.kind == "asked":
            return "flood" if watch.flooded else "timeout"
        return "abort"


class _Session:
    """One run under the debugger."""

    def __init__(self, job: FirmwareJob, remote: GdbRemote, watch: _Watch) -> None:
        self._job, self._remote, self._watch = job, remote, watch
        self._machine = machine_for(job) or job.emulation.model
        self._lent = 0
        self._painted = present(self._machine, job.painted)

    def run(self) -> _Found:
        job, remote = self._job, self._remote
        self._paint()
        self._start()
        calls, semihosting = set(calls_in(job.firmware)), Semihosting(remote, self._watch.printed)
        for address in {*job.firmware.handlers.values(), *calls, *([] if job.stop_at is None else [job.stop_at])}:
            remote.set_breakpoint(address)
        while True:
            stop = remote.go(go_on=self._watch.go_on, write=self._watch.printed.extend)
            if stop.kind in {"ended", "gone"}:
                return _Found(stop, lent=self._lent)
            pc, exception = remote.register(15), remote.xpsr() & 0x1FF
            found = _Found(stop, pc=pc, exception=exception, lent=self._lent)
            if 3 <= exception <= 7 and (pc in job.firmware.handlers.values() or stop.kind == "asked"):
                found.fault = self._fault(exception, entered=pc in job.firmware.handlers.values())
            found.at_end = pc == job.stop_at
            if found.fault or found.at_end or stop.kind in {"asked", "reset"}:
                found.ram = self._dump()
                return found
            if pc not in calls:
                remote.step()
            elif (status := semihosting.serve()) is not None:
                found.stop, found.ram = Stop(kind="ended", status=status), self._dump()
                return found

    def _paint(self) -> None:
        loaded = [(s.stored_at, s.stored_at + len(s.data)) for s in self._job.firmware.segments if s.data]
        loaded += [(at, at + len(data)) for at, data in (self._job.loads or {}).items()]
        for span in self._painted:
            at = span.start
            for first, end in sorted((first, end) for first, end in loaded if first < span.end and end > span.start):
                self._remote.write_memory(at, bytes([PAINT]) * max(0, first - at))
                at = max(at, end)
            self._remote.write_memory(at, bytes([PAINT]) * max(0, span.end - at))

    def _start(self) -> None:
        """What a boot loader would do for such a program, and what makes a larger core fault as the board's does."""
        firmware, remote = self._job.firmware, self._remote
        if remote.read_memory(STARTS.get(self._machine, 0), 8) != remote.read_memory(firmware.vectors, 8):
            remote.set_register(13, firmware.initial_stack)
            remote.set_register(15, firmware.reset)
            remote.set_thumb_state()  # reset took it from a table that is not there
            self._set(_VTOR, firmware.vectors)
        if traps_unaligned(self._job, self._machine):
            self._set(_CCR, remote.read_word(_CCR) | _UNALIGN_TRP)

    def _set(self, register: int, value: int) -> None:
        self._remote.store_by_core(register, value)
        self._lent += 1

    def _dump(self) -> Mapping[int, bytes]:
        return {span.start: self._remote.read_memory(span.start, span.end - span.start) for span in self._painted}

    def _fault(self, exception: int, *, entered: bool) -> Fault:
        remote = self._remote
        cfsr = hfsr = address = None
        if self._job.board.cpu.core not in {"cortex-m0", "cortex-m0+", "cortex-m23"}:
            cfsr, hfsr = remote.read_word(0xE000ED28), remote.read_word(0xE000ED2C)
            address = remote.read_word(0xE000ED38) if cfsr & 0x8000 else None
            address = remote.read_word(0xE000ED34) if cfsr & 0x80 else address
        returning, stack = remote.register(14), remote.register(13)
        if not entered or returning < 0xFFFFFF00:  # deep inside the handler: the frame's place is no longer known
            return Fault(exception=exception, stack_pointer=stack, cfsr=cfsr, hfsr=hfsr, address=address)
        process_stack = bool(returning & 4)
        if process_stack:
            stack = remote.process_stack_pointer()
        frame = remote.read_memory(stack, 32)
        words = struct.unpack("<8I", frame) if len(frame) == 32 and not (cfsr or 0) & 0x1010 else None
        return Fault(
            exception=exception,
            pc=words[6] if words else None,
            lr=words[5] if words else None,
            stack_pointer=stack,
            cfsr=cfsr,
            hfsr=hfsr,
            address=address,
            process_stack=process_stack,
        )


@dataclass(frozen=True)
class _Counted:
    instructions: int | None
    passes: tuple[tuple[str, int], ...]
    lost: int
    strays: tuple[Stray, ...]
    block: int | None


def _read_probe(job: FirmwareJob, lent: int) -> _Counted:
    """images/probe/probe.c has the layout; ``lent`` instructions of the start do not count."""
    try:
        content = (job.run_dir / "probe").read_bytes()
        magic, instructions, passes, _other, strays, block = _PROBE_HEADER.unpack_from(content)
    except (OSError, struct.error):
        return _Counted(None, (), 0, (), None)
    if magic != b"ESPROBE1":
        return _Counted(None, (), 0, (), None)
    names, found, at = list(job.marks), [], _PROBE_HEADER.size
    for index in range(strays):
        pc, address, size, store, times = _STRAY.unpack_from(content, at + index * _STRAY.size)
        found.append(Stray(pc=pc, address=address, size_bytes=size, store=bool(store), times=times))
    at += _MOST_STRAYS * _STRAY.size
    kept = [_PASS.unpack_from(content, at + index * _PASS.size) for index in range(min(passes, _MOST_PASSES))]
    marks = tuple((names[mark], count - lent) for count, mark in kept)
    return _Counted(instructions - lent, marks, max(0, passes - _MOST_PASSES), tuple(found), block)


def _console(job: FirmwareJob, printed: bytes) -> str:
    texts = [printed.decode(errors="replace")]
    texts += [_text(job.run_dir / name) for name in ("uart0.txt", "uart1.txt", "uart2.txt")]
    return "".join(texts)


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[:LARGEST_CONSOLE_BYTES].decode(errors="replace")
    except OSError:
        return ""


def _quoted(path: Path) -> str:
    return str(path).replace(",", ",,")
