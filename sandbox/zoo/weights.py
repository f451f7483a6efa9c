"""Seeded weights that keep signals alive through many layers, in int8 with per-channel scales and in float alike."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

_UNIFORM_INT8_STD = sqrt((255**2 - 1) / 12)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer's weights: ``values[..., channel] * scales[channel]``, output channels last, and its bias."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def kernel(self) -> NDArray[np.float32]:
        return self.values.astype(np.float32) * self.scales


class Weights:
    """A stream of layers. Only integers are drawn, and from numpy's frozen generator: same bytes on every machine."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.RandomState(seed)

    def layer(self, *shape: int, fan_in: int, gain: float = 1.0) -> Layer:
        """Weights of standard deviation ``gain * sqrt(2 / fan_in)`` (He et al. 2015: ReLU keeps the power)."""
        channels = shape[-1]
        spread = self._random.randint(70, 131, size=channels) / 100
        std = gain * sqrt(2 / fan_in)
        return Layer(
            values=self._random.randint(-127, 128, size=shape).astype(np.int8),
            scales=(spread * std / _UNIFORM_INT8_STD).astype(np.float32),
            bias=(self._random.randint(-100, 101, size=channels) / 500).astype(np.float32),
        )
