"""TFLite models: MobileNet v1 as TensorFlow 2 converts it, and small ones with one peculiarity each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tflite  # type: ignore[import-untyped]
from numpy.typing import NDArray

from .flatbuffer import Options, Quantisation, TfliteFile
from .mobilenet import LOGIT_GAIN, blocks, channels
from .weights import Layer, Weights

Precision = Literal["float32", "int8"]

_SAME = tflite.Padding.SAME
_VALID = tflite.Padding.VALID
_NONE = tflite.ActivationFunctionType.NONE
_RELU6 = tflite.ActivationFunctionType.RELU6

# What post-training quantisation writes for inputs in -1…1, for ReLU6, for these models' logits and for probabilities.
_INPUT = Quantisation(scales=[2 / 255], zero_point=-1)
_RELU6_RANGE = Quantisation(scales=[6 / 255], zero_point=-128)
_LOGITS = Quantisation(scales=[32 / 255])
_PROBABILITIES = Quantisation(scales=[1 / 256], zero_point=-128)

# Operator versions as TensorFlow 2's converter writes them (lite/tools/versioning/op_version.cc): float, int8.
_VERSIONS = {
    "CONV_2D": (1, 3),
    "DEPTHWISE_CONV_2D": (1, 3),
    "AVERAGE_POOL_2D": (1, 2),
    "FULLY_CONNECTED": (1, 4),
    "RESHAPE": (1, 1),
    "SOFTMAX": (1, 2),
}


@dataclass(frozen=True, kw_only=True)
class _Value:
    """A tensor on the way through the network."""

    index: int
    shape: tuple[int, ...]
    quantisation: Quantisation


class _Network:
    """A chain of layers in one precision."""

    def __init__(
        self, description: str, dtype: Precision, input_shape: tuple[int, ...], *, any_batch: bool = False
    ) -> None:
        self._file = TfliteFile(description)
        self._dtype: Precision = dtype
        signature = (-1, *input_shape[1:]) if any_batch else None
        self._any_batch = any_batch
        index = self._file.tensor(
            "input", dtype, input_shape, signature=signature, quantisation=self._quantised(_INPUT)
        )
        self.value = _Value(index=index, shape=input_shape, quantisation=_INPUT)
        self._first = index

    def finish(self) -> bytes:
        return self._file.finish([self._first], [self.value.index])

    def conv(self, name: str, layer: Layer, stride: int, out: Quantisation = _RELU6_RANGE) -> None:
        """``layer`` is height × width × in × out; TFLite stores out × height × width × in."""
        kernel = np.moveaxis(layer.values, -1, 0)
        activation = _RELU6 if out is _RELU6_RANGE else _NONE
        fields = {"Padding": _SAME, "StrideW": stride, "StrideH": stride, "FusedActivationFunction": activation}
        options = Options(table="Conv2DOptions", fields={**fields, "DilationWFactor": 1, "DilationHFactor": 1})
        inputs = [self.value.index, *self._parameters(name, layer, kernel, axis=0)]
        self._add("CONV_2D", name, inputs, options, shape=self._strided(stride, kernel.shape[0]), out=out)

    def depthwise(self, name: str, layer: Layer, stride: int) -> None:
        """``layer`` is height × width × channels."""
        kernel = layer.values[np.newaxis]
        fields = {"Padding": _SAME, "StrideW": stride, "StrideH": stride, "FusedActivationFunction": _RELU6}
        options = Options(
            table="DepthwiseConv2DOptions",
            fields={**fields, "DepthMultiplier": 1, "DilationWFactor": 1, "DilationHFactor": 1},
        )
        inputs = [self.value.index, *self._parameters(name, layer, kernel, axis=3)]
        self._add(
            "DEPTHWISE_CONV_2D", name, inputs, options, shape=self._strided(stride, kernel.shape[3]), out=_RELU6_RANGE
        )

    def average_pool(self, name: str) -> None:
        """Over the whole height and width."""
        batch, height, width, depth = self.value.shape
        fields = {"Padding": _VALID, "StrideW": width, "StrideH": height, "FilterWidth": width, "FilterHeight": height}
        options = Options(table="Pool2DOptions", fields=fields)
        self._add(
            "AVERAGE_POOL_2D",
            name,
            [self.value.index],
            options,
            shape=(batch, 1, 1, depth),
            out=self.value.quantisation,
        )

    def reshape(self, name: str, shape: tuple[int, ...]) -> None:
        target = (-1, *shape[1:]) if self._any_batch else shape
        constant = self._file.constant(f"{name}/shape", np.array(target, dtype=np.int32))
        options = Options(table="ReshapeOptions", fields={})
        self._add("RESHAPE", name, [self.value.index, constant], options, shape=shape, out=self.value.quantisation)

    def fully_connected(self, name: str, layer: Layer, *, version: int | None = None) -> None:
        """``layer`` is in × out, with one scale for all, as FULLY_CONNECTED before version 12 wants it."""
        one_scale = Layer(values=layer.values, scales=np.full_like(layer.scales, layer.scales[0]), bias=layer.bias)
        inputs = [self.value.index, *self._parameters(name, one_scale, layer.values.T, axis=None)]
        shape = (self.value.shape[0], layer.values.shape[1])
        options = Options(table="FullyConnectedOptions", fields={"FusedActivationFunction": _NONE})
        self._add("FULLY_CONNECTED", name, inputs, options, shape=shape, out=_LOGITS, version=version)

    def softmax(self, name: str) -> None:
        options = Options(table="SoftmaxOptions", fields={"Beta": 1.0})
        self._add("SOFTMAX", name, [self.value.index], options, shape=self.value.shape, out=_PROBABILITIES)

    def _add(
        self,
        kind: str,
        name: str,
        inputs: Sequence[int],
        options: Options,
        *,
        shape: tuple[int, ...],
        out: Quantisation,
        version: int | None = None,
    ) -> None:
        signature = (-1, *shape[1:]) if self._any_batch else None
        index = self._file.tensor(name, self._dtype, shape, signature=signature, quantisation=self._quantised(out))
        if version is None:
            version = _VERSIONS[kind][self._dtype == "int8"]
        self._file.operator(kind, version, inputs, [index], options)
        self.value = _Value(index=index, shape=shape, quantisation=out)

    def _parameters(self, name: str, layer: Layer, kernel: NDArray[np.int8], axis: int | None) -> tuple[int, int]:
        """Indices of the kernel's and the bias's tensor. ``axis`` is the kernel's channel axis; none: one scale."""
        scales = layer.scales if axis is not None else layer.scales[:1]
        if self._dtype == "float32":
            shape = [-1 if each == axis else 1 for each in range(kernel.ndim)]
            weights = self._file.constant(f"{name}/weights", kernel.astype(np.float32) * scales.reshape(shape))
            return weights, self._file.constant(f"{name}/bias", layer.bias)
        quantisation = Quantisation(scales=scales.tolist(), axis=axis or 0)
        weights = self._file.constant(f"{name}/weights", np.ascontiguousarray(kernel), quantisation)
        bias_scales = self.value.quantisation.scales[0] * scales.astype(np.float64)
        bias = np.rint(layer.bias / bias_scales).astype(np.int32)
        return weights, self._file.constant(f"{name}/bias", bias, Quantisation(scales=bias_scales.tolist()))

    def _strided(self, stride: int, depth: int) -> tuple[int, ...]:
        batch, height, width, _ = self.value.shape
        return batch, -(-height // stride), -(-width // stride), depth

    def _quantised(self, quantisation: Quantisation) -> Quantisation | None:
        return quantisation if self._dtype == "int8" else None


def mobilenet_v1(width: float, size: int, dtype: Precision) -> bytes:
    """MobileNet v1 (Howard et al. 2017, table 1) for ``size`` × ``size`` RGB images and 1001 classes, batch 1.

    28 convolutions as in TensorFlow's model zoo, where the classifier is a 1×1 convolution. ``int8`` is quantised per
    channel, inputs and outputs included. Same weights in both types.
    """
    weights = Weights(seed=1)
    network = _Network(f"MobileNet v1 {width}/{size} {dtype}, random weights", dtype, (1, size, size, 3))
    depth = channels(32, width)
    network.conv("conv", weights.layer(3, 3, 3, depth, fan_in=27), stride=2)
    for number, block in enumerate(blocks(width), start=1):
        network.depthwise(f"depthwise_{number}", weights.layer(3, 3, depth, fan_in=9), block.stride)
        network.conv(f"pointwise_{number}", weights.layer(1, 1, depth, block.depth, fan_in=depth), stride=1)
        depth = block.depth
    network.average_pool("average_pool")
    classifier = weights.layer(1, 1, depth, 1001, fan_in=depth, gain=LOGIT_GAIN)
    network.conv("logits", classifier, stride=1, out=_LOGITS)
    network.reshape("reshape", (1, 1001))
    network.softmax("probabilities")
    return network.finish()


def tiny_conv_tflite(dtype: Precision) -> bytes:
    """8 × 8 × 3 → convolution of 4 channels → 10 classes; a few kB, runs in microseconds."""
    weights = Weights(seed=2)
    network = _Network(f"tiny convolution {dtype}, random weights", dtype, (1, 8, 8, 3))
    network.conv("conv", weights.layer(3, 3, 3, 4, fan_in=27), stride=2)
    network.reshape("reshape", (1, 64))
    network.fully_connected("logits", weights.layer(64, 10, fan_in=64, gain=LOGIT_GAIN))
    network.softmax("probabilities")
    return network.finish()


def dynamic_tflite() -> bytes:
    """A dense float layer for any batch: ``shape_signature`` has -1 where ``shape`` has 1."""
    network = _Network("dense, any batch", "float32", (1, 16), any_batch=True)
    network.fully_connected("logits", Weights(seed=3).layer(16, 4, fan_in=16))
    network.softmax("probabilities")
    return network.finish()


def too_new_op_version_tflite(version: int = 12) -> bytes:
    """A dense int8 layer whose FULLY_CONNECTED has a version that runtimes before 2.17 refuse by name."""
    network = _Network(f"FULLY_CONNECTED version {version}", "int8", (1, 16))
    network.fully_connected("logits", Weights(seed=4).layer(16, 4, fan_in=16), version=version)
    return network.finish()


def custom_op_tflite(code: str = "FlexRFFT") -> bytes:
    """One custom operator, by default a TensorFlow operator that needs the Flex delegate."""
    file = TfliteFile(f"custom operator {code}")
    signal = file.tensor("signal", "float32", (1, 512))
    length = file.constant("length", np.array([512], dtype=np.int32))
    spectrum = file.tensor("spectrum", "complex64", (1, 257))
    file.operator(code, 1, [signal, length], [spectrum])
    return file.finish([signal], [spectrum])


def memory_hog_tflite(mib: int) -> bytes:
    """Writes ``mib`` MiB of activations at run time, then keeps one number of them; the file has under 2 kB."""
    file = TfliteFile(f"fills {mib} MiB")
    value = file.tensor("value", "float32", ())
    dims = file.constant("dims", np.array([mib, 1024, 256], dtype=np.int32))
    filled = file.tensor("filled", "float32", (mib, 1024, 256))
    file.operator("FILL", 1, [dims, value], [filled], Options(table="FillOptions", fields={}))
    begin = file.constant("begin", np.zeros(3, dtype=np.int32))
    size = file.constant("size", np.ones(3, dtype=np.int32))
    first = file.tensor("first", "float32", (1, 1, 1))
    file.operator("SLICE", 1, [filled, begin, size], [first], Options(table="SliceOptions", fields={}))
    return file.finish([value], [first])
