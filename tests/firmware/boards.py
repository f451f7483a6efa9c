"""Boards that are made up for tests: a spec with the memory that a test needs."""

from __future__ import annotations

from pathlib import Path

from sandbox.microcontroller.board import Cpu, Emulation, Flash, Microcontroller, Ram

QEMU = Emulation(engine="qemu-system", model="netduinoplus2", differs=("a made-up board",))
RENODE = Emulation(engine="renode", model="cortex-m4f", differs=("a made-up board",))


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
