"""Published image classifiers, rebuilt layer by layer with random weights: time and memory do not depend on weights.

Batch 1, RGB. Batch normalisation is folded into the convolutions, as converters do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from .network import Activation, Network, Precision, Value
from .operators import operator
from .weights import Weights

LOGIT_GAIN = 4.0
"""Spreads the logits so that probabilities of 1001 classes differ by more than the int8 step of 1/256."""


class _Builder:
    """A network and the stream of its weights, with the blocks that the families share."""

    def __init__(self, title: str, dtype: Precision, size: int) -> None:
        self.net = Network(f"{title}, {dtype}, random weights", dtype, (1, size, size, 3))
        self._weights = Weights(seed=1)
        self._layers = 0

    def name(self, kind: str) -> str:
        """A name that no other layer has."""
        self._layers += 1
        return f"{kind}_{self._layers}"

    def conv(
        self, depth: int, kernel: int = 1, stride: int = 1, *, act: Activation = "relu6", valid: bool = False
    ) -> None:
        """A convolution to ``depth`` channels."""
        inputs = self.net.depth
        layer = self._weights.layer(kernel, kernel, inputs, depth, fan_in=kernel * kernel * inputs)
        self.net.conv(self.name("conv"), layer, stride=stride, activation=act, valid=valid)

    def depthwise(self, kernel: int, stride: int, *, act: Activation = "relu6") -> None:
        """A depthwise convolution."""
        layer = self._weights.layer(kernel, kernel, self.net.depth, fan_in=kernel * kernel)
        self.net.depthwise(self.name("depthwise"), layer, stride=stride, activation=act)

    def squeeze_excite(self, depth: int) -> None:
        """Scale each channel by what two small convolutions make of all channels' means (Hu et al. 2018)."""
        whole = self.net.value
        self.net.average_pool(self.name("squeeze"))
        self.conv(depth, act="relu")
        self.conv(whole.shape[-1], act="none")
        self.net.hard_sigmoid(self.name("excite"))
        self.net.multiply(self.name("scale"), whole)

    def shortcut(self, before: Value, *, act: Activation = "none") -> None:
        """Add what was there before the block."""
        self.net.add(self.name("add"), before, activation=act)

    def classify(self, classes: int, *, dense: bool) -> bytes:
        """Pool, logits of a dense layer or of a 1 × 1 convolution, probabilities."""
        self.net.average_pool(self.name("average_pool"))
        return self.logits(classes, dense=dense)

    def logits(self, classes: int, *, dense: bool) -> bytes:
        """Logits and probabilities of pooled features."""
        depth = self.net.depth
        if dense:
            self.net.reshape(self.name("flatten"), (1, depth))
            layer = self._weights.layer(depth, classes, fan_in=depth, gain=LOGIT_GAIN)
            self.net.fully_connected(self.name("logits"), layer)
        else:
            layer = self._weights.layer(1, 1, depth, classes, fan_in=depth, gain=LOGIT_GAIN)
            self.net.conv(self.name("logits"), layer, activation="none")
            self.net.reshape(self.name("flatten"), (1, classes))
        self.net.softmax(self.name("probabilities"))
        return self.net.finish()


def _divisible(depth: float) -> int:
    """The nearest multiple of 8 that is no more than a tenth below (TensorFlow's make_divisible)."""
    rounded = max(8, int(depth + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * depth else rounded


def mobilenet_v1(width: float, size: int, dtype: Precision) -> bytes:
    """Howard et al. 2017, table 1, as in TensorFlow's model zoo: 1001 classes by a 1 × 1 convolution."""
    build = _Builder(f"MobileNet v1 {width}/{size}", dtype, size)
    build.conv(max(int(32 * width), 8), 3, 2)
    for depth, stride in (
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        *[(512, 1)] * 5,
        (1024, 2),
        (1024, 1),
    ):
        build.depthwise(3, stride)
        build.conv(max(int(depth * width), 8))
    return build.classify(1001, dense=False)


def mobilenet_v2(width: float, size: int, dtype: Precision) -> bytes:
    """Sandler et al. 2018, table 2; the last convolution is widened with the rest but never narrowed."""
    build = _Builder(f"MobileNet v2 {width}/{size}", dtype, size)
    build.conv(_divisible(32 * width), 3, 2)
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, depth, repeat, stride in table:
        for number in range(repeat):
            _inverted_residual(build, expansion, 3, _divisible(depth * width), stride if number == 0 else 1)
    build.conv(_divisible(1280 * max(width, 1.0)))
    return build.classify(1001, dense=False)


def _inverted_residual(build: _Builder, expansion: int, kernel: int, depth: int, stride: int) -> None:
    before = build.net.value
    if expansion > 1:
        build.conv(before.shape[-1] * expansion)
    build.depthwise(kernel, stride)
    build.conv(depth, act="none")
    if stride == 1 and before.shape[-1] == depth:
        build.shortcut(before)


_EFFICIENTNET = {
    "0": (1.0, 1.0, 224),
    "1": (1.0, 1.1, 240),
    "2": (1.1, 1.2, 260),
    "3": (1.2, 1.4, 280),
    "4": (1.4, 1.8, 300),
}


def efficientnet_lite(version: str, dtype: Precision) -> bytes:
    """EfficientNet-Lite: Tan and Le 2019 without squeeze-and-excite, with ReLU6, and stem and head of fixed size."""
    width, deep, size = _EFFICIENTNET[version]
    build = _Builder(f"EfficientNet-Lite{version}", dtype, size)
    build.conv(32, 3, 2)
    table = (
        (1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1), (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    )  # fmt: skip
    for place, (expansion, kernel, depth, repeat, stride) in enumerate(table):
        fixed = place in {0, len(table) - 1}
        for number in range(repeat if fixed else math.ceil(repeat * deep)):
            _inverted_residual(build, expansion, kernel, _divisible(depth * width), stride if number == 0 else 1)
    build.conv(1280)
    return build.classify(1000, dense=True)


# kernel, expanded depth, depth, squeeze-and-excite, hard swish, stride: Howard et al. 2019, tables 1 and 2
_V3 = {
    "large": (
        (3, 16, 16, 0, 0, 1), (3, 64, 24, 0, 0, 2), (3, 72, 24, 0, 0, 1), (5, 72, 40, 1, 0, 2), (5, 120, 40, 1, 0, 1),
        (5, 120, 40, 1, 0, 1), (3, 240, 80, 0, 1, 2), (3, 200, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1),
        (3, 184, 80, 0, 1, 1),
        (3, 480, 112, 1, 1, 1), (3, 672, 112, 1, 1, 1), (5, 672, 160, 1, 1, 2), (5, 960, 160, 1, 1, 1),
        (5, 960, 160, 1, 1, 1),
    ),
    "small": (
        (3, 16, 16, 1, 0, 2), (3, 72, 24, 0, 0, 2), (3, 88, 24, 0, 0, 1), (5, 96, 40, 1, 1, 2), (5, 240, 40, 1, 1, 1),
        (5, 240, 40, 1, 1, 1), (5, 120, 48, 1, 1, 1), (5, 144, 48, 1, 1, 1), (5, 288, 96, 1, 1, 2),
        (5, 576, 96, 1, 1, 1),
        (5, 576, 96, 1, 1, 1),
    ),
}  # fmt: skip


def mobilenet_v3(kind: str, dtype: Precision, *, minimalistic: bool = False) -> bytes:
    """Howard et al. 2019; *minimalistic*: 3 × 3 kernels, ReLU and no squeeze-and-excite throughout."""
    build = _Builder(f"MobileNet v3 {kind}{' minimalistic' if minimalistic else ''}", dtype, 224)

    def activated(run: Callable[[Activation], None], *, swish: bool) -> None:
        run("none" if swish and not minimalistic else "relu")
        if swish and not minimalistic:
            build.net.hard_swish(build.name("hard_swish"))

    activated(lambda act: build.conv(16, 3, 2, act=act), swish=True)
    for kernel, expanded, depth, excite, swish, stride in _V3[kind]:
        _v3_block(build, activated, (3 if minimalistic else kernel, expanded, depth, stride),
                  excite=bool(excite) and not minimalistic, swish=bool(swish))  # fmt: skip
    last, head = (960, 1280) if kind == "large" else (576, 1024)
    activated(lambda act: build.conv(last, act=act), swish=True)
    build.net.average_pool(build.name("average_pool"))
    activated(lambda act: build.conv(head, act=act), swish=True)
    return build.logits(1001, dense=False)


def _v3_block(
    build: _Builder,
    activated: Callable[..., None],
    sizes: tuple[int, int, int, int],
    *,
    excite: bool,
    swish: bool,
) -> None:
    kernel, expanded, depth, stride = sizes
    before = build.net.value
    if expanded != before.shape[-1]:
        activated(lambda act: build.conv(expanded, act=act), swish=swish)
    activated(lambda act: build.depthwise(kernel, stride, act=act), swish=swish)
    if excite:
        build.squeeze_excite(_divisible(expanded / 4))
    build.conv(depth, act="none")
    if stride == 1 and before.shape[-1] == depth:
        build.shortcut(before)


def resnet50(dtype: Precision) -> bytes:
    """He et al. 2016 with the stride in the 3 × 3 convolution (version 1.5), as MLPerf Inference has it."""
    build = _Builder("ResNet50 v1.5", dtype, 224)
    build.net.pad(build.name("pad"), 3)
    build.conv(64, 7, 2, act="relu", valid=True)
    build.net.max_pool(build.name("max_pool"), 3, 2)
    for depth, repeat, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for number in range(repeat):
            before, step = build.net.value, stride if number == 0 else 1
            if number == 0:
                build.conv(4 * depth, 1, step, act="none")
                projected = build.net.value
                build.net.value, before = before, projected
            build.conv(depth, act="relu")
            build.conv(depth, 3, step, act="relu")
            build.conv(4 * depth, act="none")
            build.shortcut(before, act="relu")
    return build.classify(1001, dense=True)


_MAKERS: tuple[tuple[str, Callable[..., bytes]], ...] = (
    (r"mobilenet_v1_([0-9.]+)_([0-9]+)", lambda dtype, width, size: mobilenet_v1(float(width), int(size), dtype)),
    (r"mobilenet_v2_([0-9.]+)_([0-9]+)", lambda dtype, width, size: mobilenet_v2(float(width), int(size), dtype)),
    (r"mobilenet_v3_(large|small)_1\.0_224", lambda dtype, kind: mobilenet_v3(kind, dtype)),
    (
        r"mobilenet_v3_(large|small)_minimalistic_1\.0_224",
        lambda dtype, kind: mobilenet_v3(kind, dtype, minimalistic=True),
    ),
    (r"efficientnet_lite([0-4])", lambda dtype, version: efficientnet_lite(version, dtype)),
    (r"resnet50_v1\.5", resnet50),
)


def classifier(name: str, dtype: Precision) -> bytes:
    """The TFLite file of a model by its published name, e.g. ``mobilenet_v2_1.0_224``, or an operator's.

    Raises `KeyError` for others.
    """
    for pattern, maker in _MAKERS:
        if match := re.fullmatch(pattern, name):
            return maker(dtype, *match.groups())
    return operator(name, dtype)
