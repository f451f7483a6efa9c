"""MobileNet v1's layer table, shared by both formats (Howard et al. 2017, table 1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

LOGIT_GAIN = 4.0
"""Spreads the logits so that probabilities of 1001 classes differ by more than the int8 step of 1/256."""

_DEPTHS_AND_STRIDES = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


@dataclass(frozen=True, kw_only=True)
class Block:
    """A depthwise convolution of ``stride``, then a pointwise one to ``depth`` channels."""

    depth: int
    stride: int


def channels(depth: int, width: float) -> int:
    """``depth`` scaled by the width multiplier, at least 8, as TensorFlow's implementation has it."""
    return max(int(depth * width), 8)


def blocks(width: float) -> Iterator[Block]:
    """The 13 separable blocks after the first convolution."""
    for depth, stride in _DEPTHS_AND_STRIDES:
        yield Block(depth=channels(depth, width), stride=stride)
