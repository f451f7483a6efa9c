"""What has to lie in flash: the model as it is, and TFLM's code for its operators. Pure."""

from __future__ import annotations

from sandbox.metrics import Metric, Quantity

from .board import Microcontroller
from .outcome import Flash, Kernels

_CODE_BYTES = {"reference": (42_000, 2_990), "cmsis-nn": (87_000, 3_150)}
"""(bytes without any operator, bytes an operator) of TFLM's .text and .rodata: a line through two builds for Cortex-M4F
with GCC 12.2, one with 6 operators (60 and 106 kB) and one with all 118 (395 and 459 kB)."""
_CODE_MARGIN = 0.4
"""Operators differ: a convolution of CMSIS-NN is many times larger than a RELU."""


def predicted_flash(board: Microcontroller, kernels: Kernels, model_bytes: int, kinds: int) -> Flash:
    """For a model file of that size with so many kinds of operators."""
    base, each = _CODE_BYTES[kernels]
    code = base + each * kinds
    low, high = round(code * (1 - _CODE_MARGIN)), round(code * (1 + _CODE_MARGIN))
    source = f"line through two builds of TFLM with {kernels} kernels, {kinds} kinds of operators"
    return Flash(
        model=Metric(value=model_bytes, unit="byte", mode="predicted", source="size of the model file"),
        code=_size(code, low, high, source),
        total=_size(code + model_bytes, low + model_bytes, high + model_bytes, "model and TFLM's code"),
        available=board_flash(board),
    )


def board_flash(board: Microcontroller) -> Quantity:
    """The flash that a program can lie in."""
    names = ", ".join(region.name for region in board.flash)
    return Metric(value=board.flash_bytes, unit="byte", mode="measured", source=f"{board.origin.name}: {names}")


def _size(value: int, low: int, high: int, source: str) -> Metric:
    return Metric(value=value, unit="byte", mode="predicted", low=low, high=high, source=source)
