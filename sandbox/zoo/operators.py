"""Single operators as models: what `calibration measure` times beside small classifiers."""

from __future__ import annotations

import re

from .network import Network, Precision
from .weights import Weights

_KINDS = r"op_(conv1x1|conv3x3|depthwise3x3|dense)_([0-9]{1,4})_([0-9]{1,3})"


def operator(name: str, dtype: Precision) -> bytes:
    """``op_<kind>_<channels>_<size>``: eight such layers on ``size`` × ``size`` values. Else raises `KeyError`."""
    match = re.fullmatch(_KINDS, name)
    if match is None:
        raise KeyError(name)
    kind, channels, size = match[1], int(match[2]), int(match[3])
    weights, net = Weights(seed=5), Network(f"{name}, {dtype}", dtype, (1, size, size, channels))
    if kind == "dense":
        net.reshape("flatten", (1, size * size * channels))
    for number in range(8):
        depth = net.depth
        if kind == "dense":
            net.fully_connected(f"dense_{number}", weights.layer(depth, channels, fan_in=depth))
        elif kind == "depthwise3x3":
            net.depthwise(f"depthwise_{number}", weights.layer(3, 3, depth, fan_in=9))
        else:
            kernel = 1 if kind == "conv1x1" else 3
            layer = weights.layer(kernel, kernel, depth, channels, fan_in=kernel * kernel * depth)
            net.conv(f"conv_{number}", layer)
    return net.finish()
