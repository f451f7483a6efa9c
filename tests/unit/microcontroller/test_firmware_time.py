"""Time of a user's own program: told for TFLM with kernels that were measured, and for no other program."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.microcontroller.board import load_board
from sandbox.microcontroller.elf import parse_firmware
from sandbox.microcontroller.firmware_time import time_between
from sandbox.resources import data_directory
from sandbox.result import CalibrationUse

from .elf_files import FLASH, elf_file

COUNTED = Metric(value=12_000_000, unit="instruction", mode="emulated")
INTERPRETER, CMSIS_NN = "_ZN6tflite16MicroInterpreter6InvokeEv", "arm_convolve_wrapper_s8"


def time(
    *names: str, board: str = "nucleo-l4r5zi", instructions: Quantity = COUNTED
) -> tuple[Quantity, CalibrationUse | None]:
    symbols = tuple((name, FLASH + 0x40 + 4 * place, 2, 2) for place, name in enumerate(names))
    firmware = parse_firmware(elf_file(symbols=symbols), Path("app.elf"))
    return time_between(
        firmware, load_board(board, data_directory("device_specs")), instructions, data_directory("calibration")
    )


def test_tflm_with_measured_kernels_has_a_time() -> None:
    mean, used = time("main", INTERPRETER, CMSIS_NN)
    assert isinstance(mean, Metric)
    assert mean.mode == "calibrated"
    assert 1.6 < mean.value * 120e6 / COUNTED.value < 1.75
    assert used is not None
    assert used.id == "nucleo-l4r5zi/tflm-2.3.1-cmsis-nn-int8-instructions"
    assert "int8" in used.notes[0], "what was taken for granted comes first"


@pytest.mark.parametrize(
    ("names", "board", "reason"),
    [
        (("main",), "nucleo-l4r5zi", "no symbol of the program is TFLM's interpreter"),
        (("main", CMSIS_NN), "nucleo-l4r5zi", "no symbol of the program is TFLM's interpreter"),
        (
            (INTERPRETER,),
            "nucleo-l4r5zi",
            "over instructions of TFLM with reference kernels on a cortex-m4",
        ),
        ((INTERPRETER, "arm_convolve_q7"), "nucleo-l4r5zi", "reference kernels"),
        (
            (INTERPRETER, CMSIS_NN),
            "nucleo-h743zi",
            "over instructions of TFLM with cmsis-nn kernels on a cortex-m7",
        ),
        ((), "nucleo-l4r5zi", "the file is stripped"),
    ],
)
def test_of_other_programs_no_times_are_known(names: tuple[str, ...], board: str, reason: str) -> None:
    mean, used = time(*names, board=board)
    assert isinstance(mean, Unavailable)
    assert reason in mean.unavailable
    assert used is None


def test_without_a_count_its_reason_stands() -> None:
    nothing = Unavailable(unavailable="the program has no symbol bench_begin")
    assert time(INTERPRETER, CMSIS_NN, instructions=nothing) == (nothing, None)
