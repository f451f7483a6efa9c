"""One run of a microcontroller's program in an emulator: what an engine takes, and what it gives back."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from sandbox.engines.base import Problem

from .board import Emulation, EmulatorName, Microcontroller
from .elf import Firmware

PAINT = 0xA5
"""What RAM holds before the program starts, so that what it touched can be told afterwards."""

PERIPHERALS = ((0x4000_0000, 0x6000_0000), (0xE000_0000, 0x1_0000_0000))
"""Where a Cortex-M core finds peripherals and its own registers ("System address map" in Arm's manuals)."""

LARGEST_CONSOLE_BYTES = 1 << 18
"""A program that prints more has run away."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Addresses from ``start`` up to, but not including, ``end``."""

    start: int
    end: int
    writable: bool = True


@dataclass(frozen=True, kw_only=True)
class FirmwareJob:
    """A program, the board that it is for, and what to look at while it runs."""

    firmware: Firmware
    board: Microcontroller
    emulation: Emulation
    run_dir: Path
    """An empty folder for the emulator's files."""
    timeout_seconds: float
    marks: Mapping[str, int]
    """Name → address of an instruction: whenever it is reached, the instructions so far are written down."""
    stop_at: int | None = None
    """The run is over when the instruction at this address is reached."""
    allowed: tuple[Span, ...]
    """Memory of the board, peripherals included: what is accessed elsewhere is a finding."""
    painted: tuple[Span, ...] = ()
    """RAM to paint before the start and to look at in the end."""
    loads: Mapping[int, bytes] | None = None
    """Address → further bytes to put into memory before the start."""


@dataclass(frozen=True, kw_only=True)
class Stray:
    """Accesses of one instruction to memory that the board has not, or must not write."""

    pc: int
    address: int
    """Of the first of them."""
    size_bytes: int
    store: bool
    times: int


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault exception as the core left it for the handler."""

    exception: int
    pc: int | None = None
    """Of the instruction that failed, as the core stacked it; None when the frame cannot be read."""
    lr: int | None = None
    stack_pointer: int
    cfsr: int | None = None
    """Configurable Fault Status Register; None on an Armv6-M core, which has none."""
    hfsr: int | None = None
    address: int | None = None
    """What could not be accessed, where the core says it (BFAR, MMFAR)."""
    process_stack: bool = False
    """``stack_pointer`` is PSP: a task's own stack, of which the file does not say where it ends."""


Ended = Literal["exit", "stop", "fault", "lockup", "timeout", "flood", "abort", "reset"]
"""``exit``: by semihosting; ``stop``: at `FirmwareJob.stop_at`; ``flood``: it printed without end; ``abort``: the
emulator cannot go on, as when code is executed where there is no memory; ``reset``: the program reset the core."""


@dataclass(frozen=True, kw_only=True)
class FirmwareRun:
    """How it went. Nothing in here is an error of the tool."""

    ended: Ended
    exit_code: int | None = None
    console: str = ""
    instructions: int | None
    """All that ran, start-up included."""
    passes: tuple[tuple[str, int], ...] = ()
    """(mark, instructions that had run before), in order."""
    lost_passes: int = 0
    strays: tuple[Stray, ...] = ()
    fault: Fault | None = None
    pc: int | None = None
    """Where it was in the end."""
    exception: int = 0
    """Number of the exception that was being handled in the end; 0 for none."""
    block: int | None = None
    """Start of the straight piece of code that ran last before that, or before the fault."""
    ram: Mapping[int, bytes] | None = None
    """Start of each painted span → its bytes in the end; None when they were gone."""
    emulator: str
    machine: str
    differs: tuple[str, ...]
    """What is different from the board."""
    seconds: float
    lacks: str | None = None
    """Instructions of the board's core that the emulator's has not."""
    words: str = ""
    """The emulator's own last words, where it failed."""


class FirmwareEngine(Protocol):
    """Runs programs of microcontrollers."""

    name: EmulatorName

    def probe(self) -> Problem | None:
        """What keeps this engine from working here, or None."""
        ...

    def refusal(self, job: FirmwareJob) -> str | None:
        """Why this engine cannot stand for the job's board, or None."""
        ...

    def run(self, job: FirmwareJob, cancel: threading.Event) -> FirmwareRun:
        """Run to the end. Raises `Cancelled` once ``cancel`` is set, `HostError` when the emulator cannot start."""
        ...
