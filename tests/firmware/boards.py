"""Boards that are made up for tests: a spec with the memory that a test needs."""

from __future__ import annotations

from pathlib import Path

from sandbox.microcontroller.board import Core, Cpu, Emulation, Flash, Microcontroller, Ram

QEMU = Emulation(engine="qemu-system", model="netduinoplus2", differs=("a made-up board",))
RENODE = Emulation(engine="renode", model="cortex-m4f", differs=("a made-up board",))

_FPU_OF = {"cortex-m0": "none", "cortex-m7": "double", "cortex-m33": "single", "cortex-m55": "double"}
_PLACES = {
    "cortex-m0": ("microbit", 0, 128 << 10, 0x2000_0000, 8 << 10),
    "cortex-m7": ("mps2-an500", 0, 1 << 20, 0x2000_0000, 128 << 10),
    "cortex-m33": ("mps2-an505", 0x1000_0000, 1 << 20, 0x3800_0000, 128 << 10),
    "cortex-m55": ("mps3-an547", 0, 256 << 10, 0x2100_0000, 128 << 10),
}
"""Core → QEMU's machine, flash and RAM; the machine's own RAM is larger."""
OTHER_CORES = tuple(_PLACES)
"""Beside the Cortex-M4."""


def board_of(core: Core) -> Microcontroller:
    """One with another core, and memory where QEMU's machine of that core has some."""
    machine, flash, flash_bytes, ram, ram_bytes = _PLACES[core]
    return board(
        cpu=Cpu(
            core=core,
            fpu=_FPU_OF[core],
            dsp=core != "cortex-m0",
            mve="float" if core == "cortex-m55" else "none",
            clock_hz=100_000_000,
        ),
        flash=(flash, flash_bytes),
        ram=(ram, ram_bytes),
        emulator=(Emulation(engine="qemu-system", model=machine, differs=("a made-up board",)),),
    )


def board(
    *,
    cpu: Cpu | None = None,
    flash: tuple[int, int] = (0x0800_0000, 1 << 20),
    ram: tuple[int, int] = (0x2000_0000, 128 << 10),
    emulator: tuple[Emulation, ...] = (QEMU, RENODE),
) -> Microcontroller:
    """A Cortex-M4 with a single-precision FPU, if nothing else is said."""
    return Microcontroller(
        id="made-up",
        origin=Path("made-up.toml"),
        name="Made-up board",
        soc="MADE-UP",
        cpu=cpu or Cpu(core="cortex-m4", fpu="single", dsp=True, mve="none", clock_hz=100_000_000),
        flash=(Flash(name="flash", base=flash[0], size_bytes=flash[1], medium="flash"),),
        ram=(Ram(name="sram", base=ram[0], size_bytes=ram[1], kind="sram"),),
        emulator=emulator,
    )
