"""Time between two symbols of a user's program: known only where that is an inference of TFLM, whose times are."""

from __future__ import annotations

import re
from pathlib import Path

from sandbox.metrics import Quantity, Unavailable
from sandbox.result import CalibrationUse

from .board import Microcontroller
from .elf import Firmware
from .latency import counted_latency
from .outcome import Kernels

_CMSIS_NN = re.compile(r"arm_(?:convolve|depthwise_conv|fully_connected)\w*_s8")
_OF_INT8 = "holds if one inference of an int8 model lies between the symbols, and nothing else"


def time_between(
    firmware: Firmware, board: Microcontroller, instructions: Quantity, directory: Path
) -> tuple[Quantity, CalibrationUse | None]:
    """Time of the instructions between the symbols. ``directory``: of calibrations.

    Published times are of TFLM's inferences. What other programs take of a core, none of them tells.
    """
    if isinstance(instructions, Unavailable):
        return instructions, None
    kernels = _kernels(firmware)
    if isinstance(kernels, Unavailable):
        return kernels, None
    found = counted_latency(board, kernels, instructions, "int8", directory)
    used = found.calibration
    if isinstance(found.mean, Unavailable) or used is None:
        return found.mean, None
    return found.mean, used.model_copy(update={"notes": (_OF_INT8, *used.notes)})


def _kernels(firmware: Firmware) -> Kernels | Unavailable:
    if not firmware.symbols:
        return Unavailable(unavailable="the file is stripped: no symbol says whether TFLM is in it")
    names = [symbol.name for symbol in firmware.symbols]
    if not any("MicroInterpreter" in name for name in names):
        return Unavailable(
            unavailable="published times are of TFLM, and no symbol of the program is TFLM's interpreter"
        )
    return "cmsis-nn" if any(_CMSIS_NN.match(name) for name in names) else "reference"
