"""Level 3 as a profile asks for it: the user's TFLM, an emulator that stands for the board, and a run of both."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.plan import ProfileRequest

from .board import Emulation, Microcontroller
from .emulators import Makers, choose, emulator_name
from .inputs import input_bytes
from .job import FirmwareEngine
from .record import MicrocontrollerRecord
from .runner import run_model
from .runner_record import RunnerRecord
from .tflm import Library, find_library, remember
from .toolchain import find_compiler


@dataclass(frozen=True, kw_only=True)
class EmulatedCore:
    """All that is settled before the runner is built."""

    library: Library
    emulation: Emulation
    engine: FirmwareEngine

    def run(
        self, request: ProfileRequest, record: MicrocontrollerRecord, run_dir: Path, cancel: threading.Event
    ) -> RunnerRecord:
        """See `run_model` for the errors."""
        return run_model(
            library=self.library,
            board=record.board,
            emulation=self.emulation,
            engine=self.engine,
            model=request.model.read_bytes(),
            operators=tuple(dict.fromkeys(operator.type for operator in record.model.operators)),
            inputs=input_bytes(record.model.inputs, request.inputs, request.seed),
            run_dir=run_dir,
            timeout_seconds=request.timeout_seconds,
            cancel=cancel,
        )


def emulated_core(request: ProfileRequest, tflm: Path, board: Microcontroller, makers: Makers) -> EmulatedCore:
    """Check library, compiler and emulator before anything runs, and remember the library's folder.

    Raises `UsageError`, `DataFileError` and `HostError` for what cannot be used.
    """
    library = find_library(tflm, board.cpu)
    find_compiler()
    choice = choose(board, emulator_name(request.engine), makers)
    if isinstance(choice, str):
        raise UsageError(f"--tflm: {choice}", hint="leave --tflm away, or take a board that an emulator stands for")
    remember(tflm)
    return EmulatedCore(library=library, emulation=choice[0], engine=choice[1])
