"""What Renode is told, and what it says back: platform description, script and log. Pure.

Renode's exit status is always 0, and a failed command only ends the script: a run is good when our last word is in the
log. Forms of the log: "What Renode 1.16.1 really printed", tests/data/renode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.microcontroller.job import PAINT, PERIPHERALS, FirmwareJob, Span, Stray

from .semihosting import calls_in

RESULT, LAST_WORD = "EDGE-SANDBOX RESULT", "EDGE-SANDBOX END"
QUANTUM_SECONDS = "0.01"
"""Fixed, for it decides about counts of programs that timers drive."""
_GUARD_BYTES = 1 << 16
_ERRORS = re.compile(
    r"^(No such command or device: .*|There was an error executing command .*|Could not find file .*|"
    r"Could not tokenize here:.*|Error E\d+: .*)",
    re.MULTILINE,
)
_ABORT = re.compile(r"\[ERROR\] cpu: (CPU abort .*)")
_ABORT_PC = re.compile(r"PC=0x([0-9A-Fa-f]+)")
_STRAY = re.compile(
    r"sysbus: \[cpu: 0x([0-9A-Fa-f]+)\] (Read|Write)(Byte|Word|DoubleWord|QuadWord) (?:from|to) non existing "
    r"peripheral at 0x([0-9A-Fa-f]+)(?:, value 0x[0-9A-Fa-f]+)?\.(?: \((\d+)\))?"
)
_GUARD = re.compile(r"GUARD (\w+) (\d+) at (\S+) from (\S+)")
_MARK = re.compile(r"MARK (\w+) (\d+)")
_FAULT = re.compile(r"FAULT (\d+) lr (\S+) sp (\S+)")
_EXIT = re.compile(r"EXIT (\d+) (\d+)")
_VALUE = re.compile(r"^0x([0-9A-Fa-f]+)$", re.MULTILINE)
_SIZES = {"Byte": 1, "Word": 2, "DoubleWord": 4, "QuadWord": 8}


def platform(job: FirmwareJob, *, console: bool = True) -> str:
    """The board as Renode's platform description: core, timers, memory of the true sizes, and guards beside the RAM.

    ``console``: with a UART for semihosting at the core, as Renode up to 1.16.1 has it. Its sources of August 2026 have
    a handler of files there (SemihostingHandler.cs), which would give the program this host's.
    """
    cpu, clock = job.board.cpu, job.board.cpu.clock_hz
    lines = [
        "nvic: IRQControllers.NVIC @ sysbus 0xE000E000",
        f"    systickFrequency: {clock}",
        "    IRQ -> cpu@0",
        "cpu: CPU.CortexM @ sysbus",
        f'    cpuType: "{job.emulation.model}"',
        "    nvic: nvic",
        f"    PerformanceInMips: {max(1, round(cpu.clock_hz / 1e6))}",
        "dwt: Miscellaneous.DWT @ sysbus 0xE0001000",
        f"    frequency: {clock}",
        *(["console: UART.SemihostingUart @ cpu"] if console else []),
    ]
    for number, span in enumerate(memory(job)):
        lines += [
            f"memory{number}: Memory.MappedMemory @ sysbus {span.start:#x}",
            f"    size: {span.end - span.start:#x}",
        ]
    for number, span in enumerate(guards(job)):
        script = (
            "self.ErrorLog('GUARD {0} {1} at {2} from {3}'.format(request.Type, 4, "
            f"hex({span.start:#x} + request.Offset), self.GetMachine().SystemBus.GetCurrentCPU().PC)); "
            "self.GetMachine().SystemBus.GetCurrentCPU().IsHalted = True"
        )
        lines += [
            f"guard{number}: Python.PythonPeripheral @ sysbus {span.start:#x}",
            f"    size: {span.end - span.start:#x}",
            "    initable: false",
            f'    script: "{script}"',
        ]
    return "\n".join(lines) + "\n"


def memory(job: FirmwareJob) -> tuple[Span, ...]:
    """The board's memory, without what the core has built in, and a place for each further load."""
    spans = [span for span in job.allowed if not any(first <= span.start < end for first, end in PERIPHERALS)]
    for address, data in (job.loads or {}).items():
        if not any(span.start <= address and address + len(data) <= span.end for span in spans):
            spans.append(Span(start=address & ~0xFFF, end=(address + len(data) + 0xFFF) & ~0xFFF))
    return tuple(sorted(spans, key=lambda span: span.start))


def guards(job: FirmwareJob) -> Iterator[Span]:
    """Directly below and above each writable stretch, where nothing else is: an access there stops the core."""
    spans = memory(job)
    for span in (one for one in spans if one.writable):
        low = max([other.end for other in spans if other.end <= span.start], default=0)
        high = min([other.start for other in spans if other.start >= span.end], default=0x4000_0000)
        below, above = max(low, span.start - _GUARD_BYTES), min(high, span.end + _GUARD_BYTES)
        if span.start - below >= 0x1000:
            yield Span(start=below, end=span.start)
        if above - span.end >= 0x1000 and (high - span.end) >= 2 * _GUARD_BYTES:
            yield Span(start=span.end, end=above)


def script(job: FirmwareJob, folder: Path, elf: Path, *, console: bool = True) -> str:
    """The monitor's commands of one run; its files are in ``folder``. ``console`` as in `platform`."""
    lines = ["using sysbus", 'mach create "m"', f"machine LoadPlatformDescription {_path(folder / 'board.repl')}"]
    lines += ["logLevel 2"]
    lines += [f"console CreateFileBackend {_path(folder / 'console.txt')} true"] if console else []
    for number, span in enumerate(memory(job)):
        for painted in job.painted:
            if span.start <= painted.start and painted.end <= span.end:
                size = painted.end - painted.start
                lines.append(f"memory{number} SetRange {painted.start - span.start:#x} {size:#x} {PAINT:#x}")
    lines.append(f"sysbus LoadELF {_path(elf)}")
    for number, address in enumerate(job.loads or {}):
        lines.append(f"sysbus LoadBinary {_path(folder / f'load{number}.bin')} {address:#x}")
    lines += [f"cpu VectorTableOffset {job.firmware.vectors:#x}"]
    lines += [f'emulation SetGlobalQuantum "{QUANTUM_SECONDS}"', "emulation SetAdvanceImmediately true"]
    lines += [f"cpu AddHook {address:#x} {_quoted(code)}" for address, code in hooks(job)]
    lines += [f'emulation RunFor "{_seconds(job.timeout_seconds)}"', f'echo "{RESULT}"']
    lines += ["cpu ExecutedInstructions", "cpu PC"]
    lines += [f"sysbus ReadDoubleWord {address:#x}" for address in (0xE000ED28, 0xE000ED2C, 0xE000ED34, 0xE000ED38)]
    for number, span in enumerate(memory(job)):
        if any(span.start <= painted.start < span.end for painted in job.painted):
            lines.append(f"memory{number} DumpBinary {_path(folder / f'memory{number}.bin')}")
    return "\n".join([*lines, f'echo "{LAST_WORD}"', "quit"]) + "\n"


def hooks(job: FirmwareJob) -> Iterator[tuple[int, str]]:
    """(address, Python) for each place to look at. A hook stops the core by halting it: pausing dead-locks Renode."""
    halt = "self.IsHalted = True"
    for name, address in job.marks.items():
        stop = f"; {halt}" if address == job.stop_at else ""
        yield address, f"self.ErrorLog('MARK {name} {{0}}'.format(self.ExecutedInstructions)){stop}"
    for address in sorted({address for number, address in job.firmware.handlers.items() if number >= 3}):
        number = min(n for n, handler in job.firmware.handlers.items() if handler == address and n >= 3)
        yield address, f"self.ErrorLog('FAULT {number} lr {{0}} sp {{1}}'.format(self.LR, self.SP)); {halt}"
    for address in calls_in(job.firmware):
        told = "self.ErrorLog('EXIT {0} {1}'.format(self.R[0].RawValue, self.R[1].RawValue))"
        yield address, f"if self.R[0].RawValue in (0x18, 0x20): {told}; {halt}"


@dataclass(frozen=True, kw_only=True)
class Log:
    """What the log of a run says."""

    platform_refused: bool
    """The platform description could not be loaded."""
    finished: bool
    """Our last word was reached: without it nothing else is to be trusted."""
    error: str | None
    abort: str | None
    abort_pc: int | None
    instructions: int | None
    pc: int | None
    cfsr: int | None
    hfsr: int | None
    mmfar: int | None
    bfar: int | None
    marks: tuple[tuple[str, int], ...]
    strays: tuple[Stray, ...]
    unmodelled: int
    """Accesses to peripherals that the platform description has not."""
    fault: tuple[int, int, int] | None
    """(exception, LR, SP) when a fault handler was entered."""
    exit_call: tuple[int, int] | None
    """(semihosting call, its argument)."""


def read_log(text: str) -> Log:
    """The log of a run, whole or cut off."""
    _before, _, after = text.partition(f"\n{RESULT}")
    values: list[int | None] = [int(value, 16) for value in _VALUE.findall(after)[:6]]
    values += [None] * (6 - len(values))
    abort, error = _ABORT.search(text), _ERRORS.search(text)
    pc = _ABORT_PC.search(abort[1]) if abort else None
    fault, exit_call = _FAULT.search(text), _EXIT.search(text)
    strays, unmodelled = _strays(text)
    return Log(
        platform_refused=error is not None and ("LoadPlatform" in error[1] or error[1].startswith("Error E")),
        finished=f"\n{LAST_WORD}" in after,
        error=error[1].strip() if error else None,
        abort=abort[1].strip() if abort else None,
        abort_pc=int(pc[1], 16) if pc else None,
        instructions=values[0],
        pc=values[1],
        cfsr=values[2],
        hfsr=values[3],
        mmfar=values[4],
        bfar=values[5],
        marks=tuple((name, int(count)) for name, count in _MARK.findall(text)),
        strays=strays,
        unmodelled=unmodelled,
        fault=(int(fault[1]), _number(fault[2]), _number(fault[3])) if fault else None,
        exit_call=(int(exit_call[1]), int(exit_call[2])) if exit_call else None,
    )


def _strays(text: str) -> tuple[tuple[Stray, ...], int]:
    found: dict[tuple[int, bool], Stray] = {}
    unmodelled = 0
    for pc, verb, size, address, times in _STRAY.findall(text):
        at, count, store = int(address, 16), int(times or 1), verb == "Write"
        if any(first <= at < end for first, end in PERIPHERALS):
            unmodelled += count
            continue
        _add(found, Stray(pc=int(pc, 16), address=at, size_bytes=_SIZES[size], store=store, times=count))
    for kind, size, address, pc in _GUARD.findall(text):
        store = "write" in kind.lower()
        _add(found, Stray(pc=_number(pc), address=_number(address), size_bytes=int(size), store=store, times=1))
    return tuple(found.values()), unmodelled


def _add(found: dict[tuple[int, bool], Stray], stray: Stray) -> None:
    known = found.get((stray.pc, stray.store))
    times = stray.times + (known.times if known else 0)
    first = known or stray
    found[(stray.pc, stray.store)] = Stray(
        pc=first.pc, address=first.address, size_bytes=first.size_bytes, store=first.store, times=times
    )


def _number(text: str) -> int:
    """``0x20`` or ``32``, also with Python 2's trailing L."""
    try:
        return int(text.rstrip("L,;"), 0)
    except ValueError:
        return 0


def _seconds(time: float) -> str:
    """Without an exponent, which the monitor does not read."""
    return f"{time:.6f}".rstrip("0").rstrip(".")


def _path(path: Path) -> str:
    """``@/a/b\\ c``: the monitor knows no other way to write a blank after an @."""
    return "@" + str(path).replace(" ", "\\ ")


def _quoted(code: str) -> str:
    return '"' + code.replace('"', "'") + '"'
