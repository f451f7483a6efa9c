"""Which engine runs a microcontroller's program: what the user asked for, the board names and this host has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sandbox.engines.guard import Guard
from sandbox.engines.qemu_system import QemuSystemEngine
from sandbox.engines.renode import RenodeEngine
from sandbox.errors import HostError, UsageError
from sandbox.image.build import ImageBuilder

from .board import Emulation, EmulatorName, Microcontroller
from .job import FirmwareEngine

Makers = Mapping[EmulatorName, Callable[[], FirmwareEngine]]
"""How to make each engine; making one may unpack an emulator."""


def emulator_name(engine: str) -> EmulatorName | None:
    """The emulator of microcontrollers that ``--engine`` names; None where it names none."""
    return "qemu-system" if engine == "qemu-system" else "renode" if engine == "renode" else None


def makers(builder: ImageBuilder, protector: Guard, renode: str | None) -> Makers:
    """The real ones; ``renode`` as `RenodeEngine` takes it."""
    return {
        "qemu-system": lambda: QemuSystemEngine(builder.system_emulator(), protector),
        "renode": lambda: RenodeEngine(protector, renode),
    }


def choose(
    board: Microcontroller, asked: EmulatorName | None, makers: Makers
) -> tuple[Emulation, FirmwareEngine] | str:
    """The engine, or for a board that none can stand for the reason.

    Raises `UsageError` when the one asked for cannot stand for the board, `HostError` when it does not work here.
    """
    able = [emulation for emulation in board.emulator if asked in (None, emulation.engine)]
    if not able and asked is not None and board.emulator:
        others = " or ".join(f"--engine {emulation.engine}" for emulation in board.emulator)
        raise UsageError(f"{asked} has no machine for {board.id} ({board.cpu.core})", hint=f"use {others}")
    if not able:
        return f"no emulator stands for {board.id}: its spec names none"
    reasons = []
    for emulation in able:
        engine = makers[emulation.engine]()
        problem = engine.probe()
        if problem is None:
            return emulation, engine
        if asked is not None or len(able) == 1:
            raise HostError(f"engine {emulation.engine}: {problem.reason}", hint=problem.hint)
        reasons.append(problem)
    raise HostError(f"no engine for {board.id}: " + "; ".join(p.reason for p in reasons), hint=reasons[0].hint)
