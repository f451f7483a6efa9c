"""QEMU 7.2's machines with a Cortex-M core, and which of them can stand for a board while a program runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.microcontroller.board import Core
from sandbox.microcontroller.job import FirmwareJob, Span

_M, _K = 1 << 20, 1 << 10


@dataclass(frozen=True)
class Machine:
    """A board that QEMU 7.2 knows: its core, and (first address, bytes) of its memory, as ``info mtree`` lists it."""

    core: Core
    memory: tuple[tuple[int, int], ...]
    alias: tuple[int, int] | None = None
    """Where the first of ``memory`` is found a second time."""


MACHINES: Mapping[str, Machine] = {
    "microbit": Machine("cortex-m0", ((0, 256 * _K), (0x2000_0000, 16 * _K))),
    "stm32vldiscovery": Machine("cortex-m3", ((0x0800_0000, 128 * _K), (0x2000_0000, 8 * _K)), alias=(0, 128 * _K)),
    "lm3s6965evb": Machine("cortex-m3", ((0, 256 * _K), (0x2000_0000, 64 * _K))),
    "netduino2": Machine("cortex-m3", ((0x0800_0000, _M), (0x2000_0000, 128 * _K)), alias=(0, _M)),
    "mps2-an385": Machine("cortex-m3", ((0, 4 * _M), (0x2000_0000, 4 * _M), (0x2100_0000, 16 * _M))),
    "netduinoplus2": Machine("cortex-m4", ((0x0800_0000, _M), (0x2000_0000, 192 * _K)), alias=(0, _M)),
    "mps2-an386": Machine("cortex-m4", ((0, 4 * _M), (0x2000_0000, 4 * _M), (0x2100_0000, 16 * _M))),
    "mps2-an500": Machine("cortex-m7", ((0, 4 * _M), (0x2000_0000, 4 * _M), (0x6000_0000, 16 * _M))),
    "mps2-an505": Machine(
        "cortex-m33", ((0x1000_0000, 4 * _M), (0x3800_0000, 4 * _M), (0x3000_0000, 128 * _K), (0x8000_0000, 16 * _M))
    ),
    "mps3-an547": Machine(
        "cortex-m55", ((0, 512 * _K), (0x2000_0000, 512 * _K), (0x2100_0000, 4 * _M), (0x6000_0000, 256 * _M))
    ),
}

STARTS: Mapping[str, int] = {"mps2-an505": 0x1000_0000}
"""Where the core looks for its vector table, if not at 0."""

_SMALL: frozenset[Core] = frozenset({"cortex-m0", "cortex-m0+"})

_OTHERS: Mapping[Core, tuple[Core, ...]] = {
    "cortex-m0": ("cortex-m3", "cortex-m4"),
    "cortex-m3": ("cortex-m4",),
    "cortex-m7": ("cortex-m4",),
}
"""Cores that run another one's programs, instruction by instruction. An M33's have other exceptions: none stands for
it."""
_NEWER_THAN_M4 = "those of FPv5 (double precision, VSEL, VMAXNM, VRINT, VCVTA)"


def machine_for(job: FirmwareJob) -> str | None:
    """The machine that the board's spec names, or another one of the same core, or of a core that runs its programs, in
    which the whole program has a place; rather one that has all of the RAM that its stack lies in, for heap and all
    else that the file does not tell of. None when there is none."""
    able = [name for name in _candidates(job) if _holds(name, job)]
    stack = [s for s in job.painted if s.start < job.firmware.initial_stack <= s.end]
    return next(iter([name for name in able if set(stack) <= set(present(name, stack))] or able), None)


def traps_unaligned(job: FirmwareJob, machine: str) -> bool:
    """Whether the machine's core must be told to fault at unaligned accesses (CCR.UNALIGN_TRP), as the board's does."""
    return job.board.cpu.core in _SMALL and MACHINES[machine].core not in _SMALL


def lacking(job: FirmwareJob, machine: str) -> str | None:
    """Instructions of the board's core that the machine's has not; None where it has all."""
    newer = job.board.cpu.core == "cortex-m7" and MACHINES[machine].core == "cortex-m4"
    return _NEWER_THAN_M4 if newer and job.firmware.fpu != "none" else None


def present(name: str, spans: Iterable[Span]) -> tuple[Span, ...]:
    """What of these stretches of a board's memory the machine has, too: painting its alias of flash would destroy the
    program."""
    memory = MACHINES[name].memory
    parts = [(max(s.start, first), min(s.end, first + size)) for s in spans for first, size in memory]
    return tuple(Span(start=start, end=end) for start, end in parts if start < end)


def no_machine(job: FirmwareJob) -> str:
    """Why no machine can stand for the board, and what memory those have that come nearest."""
    places = {address & ~0xFFF for s in job.firmware.segments for address in (s.address, s.stored_at)}
    core = MACHINES[job.emulation.model].core if job.emulation.model in MACHINES else job.board.cpu.core
    lies = (
        f"{', '.join(f'{place:#010x}' for place in sorted(places))} with its stack below "
        f"{job.firmware.initial_stack:#010x}"
    )
    near = [
        name for name in _candidates(job) if present(name, [Span(start=job.firmware.reset, end=job.firmware.reset + 2)])
    ]
    there = "; ".join(f"{name} has {_ranges(MACHINES[name])}" for name in near)
    return (
        f"QEMU 7.2 has no machine with a {core} and memory for this program, which lies at {lies}"
        f"{f' ({there})' if there else ''}"
    )


def _ranges(machine: Machine) -> str:
    return ", ".join(f"{first:#010x} to {first + size:#010x}" for first, size in machine.memory)


def _candidates(job: FirmwareJob) -> tuple[str, ...]:
    named = MACHINES.get(job.emulation.model)
    if named is None:
        return ()
    cores = (named.core, *_OTHERS.get(named.core, ()))
    same = [name for core in cores for name, machine in MACHINES.items() if machine.core == core]
    return tuple(dict.fromkeys((job.emulation.model, *same)))


def _holds(name: str, job: FirmwareJob) -> bool:
    machine = MACHINES[name]
    memory = (*machine.memory, *([] if machine.alias is None else [machine.alias]))
    wanted = [(s.address, s.size_bytes) for s in job.firmware.segments]
    wanted += [(s.stored_at, len(s.data)) for s in job.firmware.segments if s.data]
    wanted += [(job.firmware.initial_stack - 4, 4)]
    wanted += [(address, len(data)) for address, data in (job.loads or {}).items()]
    return all(any(first <= at and at + size <= first + room for first, room in memory) for at, size in wanted)
