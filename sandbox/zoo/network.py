"""Layers of image classifiers in one precision, as TensorFlow's converters write them. Weights are random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tflite  # type: ignore[import-untyped]
from numpy.typing import NDArray

from .flatbuffer import Options, Quantisation, TfliteFile
from .weights import Layer

Precision = Literal["float32", "int8", "uint8"]
"""``int8``: convolutions per channel, as TensorFlow 2 quantises; ``uint8``: one scale a tensor, as TensorFlow 1 did."""
Activation = Literal["none", "relu", "relu6"]

_ACTIVATIONS = {
    "none": tflite.ActivationFunctionType.NONE,
    "relu": tflite.ActivationFunctionType.RELU,
    "relu6": tflite.ActivationFunctionType.RELU6,
}
_SAME, _VALID = tflite.Padding.SAME, tflite.Padding.VALID

# What post-training quantisation writes for inputs in -1…1, for ReLU6, for values of both signs and for probabilities.
INPUT_RANGE = Quantisation(scales=[2 / 255], zero_point=-1)
RELU6_RANGE = Quantisation(scales=[6 / 255], zero_point=-128)
SIGNED_RANGE = Quantisation(scales=[32 / 255])
PROBABILITIES = Quantisation(scales=[1 / 256], zero_point=-128)
_UINT8_OFFSET = 128

# Operator versions as the converters write them (lite/tools/versioning/op_version.cc): float and uint8, int8.
_VERSIONS = {
    "ADD": (1, 2),
    "AVERAGE_POOL_2D": (1, 2),
    "CONCATENATION": (1, 2),
    "CONV_2D": (1, 3),
    "DEPTHWISE_CONV_2D": (1, 3),
    "FULLY_CONNECTED": (1, 4),
    "HARD_SWISH": (1, 1),
    "MAX_POOL_2D": (1, 2),
    "MUL": (1, 2),
    "PAD": (1, 2),
    "RESHAPE": (1, 1),
    "SOFTMAX": (1, 2),
}


@dataclass(frozen=True, kw_only=True)
class Value:
    """A tensor on the way through the network."""

    index: int
    shape: tuple[int, ...]
    quantisation: Quantisation


class Network:
    """Each method adds a layer behind ``value``; put an earlier value back there to branch off."""

    def __init__(
        self, description: str, dtype: Precision, input_shape: tuple[int, ...], *, any_batch: bool = False
    ) -> None:
        self._file = TfliteFile(description)
        self._dtype: Precision = dtype
        signature = (-1, *input_shape[1:]) if any_batch else None
        self._any_batch = any_batch
        index = self._file.tensor(
            "input", dtype, input_shape, signature=signature, quantisation=self._quantised(INPUT_RANGE)
        )
        self.value = Value(index=index, shape=input_shape, quantisation=INPUT_RANGE)
        self._first = index

    @property
    def depth(self) -> int:
        """Channels of the current value."""
        return self.value.shape[-1]

    def finish(self) -> bytes:
        """The file, whose output is the current value."""
        return self._file.finish([self._first], [self.value.index])

    def conv(
        self,
        name: str,
        layer: Layer,
        *,
        stride: int = 1,
        activation: Activation = "relu6",
        valid: bool = False,
        version: int | None = None,
    ) -> None:
        """``layer`` is height × width × in × out; TFLite stores out × height × width × in."""
        kernel = np.moveaxis(layer.values, -1, 0)
        options = Options(
            table="Conv2DOptions",
            fields={**_window(stride, valid=valid), **_fused(activation), "DilationWFactor": 1, "DilationHFactor": 1},
        )
        inputs = [self.value.index, *self._parameters(name, layer, kernel, axis=0)]
        shape = self._strided(kernel.shape[1:3], stride, kernel.shape[0], valid=valid)
        self._add("CONV_2D", name, inputs, options, shape=shape, out=_range(activation), version=version)

    def depthwise(self, name: str, layer: Layer, *, stride: int = 1, activation: Activation = "relu6") -> None:
        """``layer`` is height × width × channels."""
        kernel = layer.values[np.newaxis]
        options = Options(
            table="DepthwiseConv2DOptions",
            fields={
                **_window(stride),
                **_fused(activation),
                "DepthMultiplier": 1,
                "DilationWFactor": 1,
                "DilationHFactor": 1,
            },
        )
        inputs = [self.value.index, *self._parameters(name, layer, kernel, axis=3)]
        shape = self._strided(kernel.shape[1:3], stride, kernel.shape[3], valid=False)
        self._add("DEPTHWISE_CONV_2D", name, inputs, options, shape=shape, out=_range(activation))

    def average_pool(self, name: str) -> None:
        """Over the whole height and width."""
        batch, height, width, depth = self.value.shape
        fields = {"Padding": _VALID, "StrideW": width, "StrideH": height, "FilterWidth": width, "FilterHeight": height}
        self._add(
            "AVERAGE_POOL_2D",
            name,
            [self.value.index],
            Options(table="Pool2DOptions", fields=fields),
            shape=(batch, 1, 1, depth),
            out=self.value.quantisation,
        )

    def max_pool(self, name: str, window: int, stride: int) -> None:
        """Over squares of ``window`` values, padded as a convolution is."""
        fields = {**_window(stride), "FilterWidth": window, "FilterHeight": window}
        shape = self._strided((window, window), stride, self.depth, valid=False)
        options = Options(table="Pool2DOptions", fields=fields)
        self._add("MAX_POOL_2D", name, [self.value.index], options, shape=shape, out=self.value.quantisation)

    def pad(self, name: str, edge: int) -> None:
        """Zeros on all four edges."""
        batch, height, width, depth = self.value.shape
        rows = np.array([[0, 0], [edge, edge], [edge, edge], [0, 0]], dtype=np.int32)
        inputs = [self.value.index, self._file.constant(f"{name}/paddings", rows)]
        shape = (batch, height + 2 * edge, width + 2 * edge, depth)
        self._add("PAD", name, inputs, Options(table="PadOptions", fields={}), shape=shape, out=self.value.quantisation)

    def add(self, name: str, other: Value, *, activation: Activation = "none") -> None:
        """The current value plus another of the same shape."""
        options = Options(table="AddOptions", fields=_fused(activation))
        inputs = [other.index, self.value.index]
        self._add("ADD", name, inputs, options, shape=self.value.shape, out=_range(activation))

    def multiply(self, name: str, other: Value) -> None:
        """Another value, scaled channel by channel by the current one, which is 1 × 1."""
        options = Options(table="MulOptions", fields=_fused("none"))
        self._add("MUL", name, [other.index, self.value.index], options, shape=other.shape, out=other.quantisation)

    def hard_swish(self, name: str) -> None:
        """x · relu6(x + 3) / 6 (Howard et al. 2019)."""
        self._add("HARD_SWISH", name, [self.value.index], None, shape=self.value.shape, out=SIGNED_RANGE)

    def hard_sigmoid(self, name: str) -> None:
        """relu6(x + 3) / 6, in the two operators that TensorFlow's converter leaves of it."""
        three = self._scalar(f"{name}/three", 3.0)
        options = Options(table="AddOptions", fields=_fused("relu6"))
        inputs = [self.value.index, three]
        self._add("ADD", f"{name}/relu6", inputs, options, shape=self.value.shape, out=RELU6_RANGE)
        sixth = self._scalar(f"{name}/sixth", 1 / 6)
        options = Options(table="MulOptions", fields=_fused("none"))
        self._add("MUL", name, [self.value.index, sixth], options, shape=self.value.shape, out=PROBABILITIES)

    def concatenate(self, name: str, values: Sequence[Value]) -> None:
        """Channels of several values, one after the other; the current value counts only if it is among them."""
        shape = (*values[0].shape[:-1], sum(value.shape[-1] for value in values))
        options = Options(table="ConcatenationOptions", fields={"Axis": 3})
        indices = [value.index for value in values]
        self._add("CONCATENATION", name, indices, options, shape=shape, out=values[0].quantisation)

    def reshape(self, name: str, shape: tuple[int, ...]) -> None:
        """The same values in another shape."""
        target = (-1, *shape[1:]) if self._any_batch else shape
        constant = self._file.constant(f"{name}/shape", np.array(target, dtype=np.int32))
        options = Options(table="ReshapeOptions", fields={})
        self._add("RESHAPE", name, [self.value.index, constant], options, shape=shape, out=self.value.quantisation)

    def fully_connected(self, name: str, layer: Layer, *, version: int | None = None) -> None:
        """``layer`` is in × out, with one scale for all, as FULLY_CONNECTED before version 12 wants it."""
        one_scale = Layer(values=layer.values, scales=np.full_like(layer.scales, layer.scales[0]), bias=layer.bias)
        inputs = [self.value.index, *self._parameters(name, one_scale, layer.values.T, axis=None)]
        shape = (self.value.shape[0], layer.values.shape[1])
        options = Options(table="FullyConnectedOptions", fields=_fused("none"))
        self._add("FULLY_CONNECTED", name, inputs, options, shape=shape, out=SIGNED_RANGE, version=version)

    def softmax(self, name: str) -> None:
        """Probabilities of the current value's last dimension."""
        options = Options(table="SoftmaxOptions", fields={"Beta": 1.0})
        self._add("SOFTMAX", name, [self.value.index], options, shape=self.value.shape, out=PROBABILITIES)

    def _add(
        self,
        kind: str,
        name: str,
        inputs: Sequence[int],
        options: Options | None,
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
        self.value = Value(index=index, shape=shape, quantisation=out)

    def _parameters(self, name: str, layer: Layer, kernel: NDArray[np.int8], axis: int | None) -> tuple[int, int]:
        """Indices of the kernel's and the bias's tensor. ``axis`` is the kernel's channel axis; none: one scale."""
        if self._dtype == "uint8":
            axis = None
        scales = layer.scales if axis is not None else layer.scales[:1]
        if self._dtype == "float32":
            shape = [-1 if each == axis else 1 for each in range(kernel.ndim)]
            weights = self._file.constant(f"{name}/weights", kernel.astype(np.float32) * scales.reshape(shape))
            return weights, self._file.constant(f"{name}/bias", layer.bias)
        stored: NDArray[np.int8 | np.uint8] = np.ascontiguousarray(kernel)
        if self._dtype == "uint8":
            stored = (stored.astype(np.int16) + _UINT8_OFFSET).astype(np.uint8)
        zero_point = _UINT8_OFFSET if self._dtype == "uint8" else 0
        quantisation = Quantisation(scales=scales.tolist(), zero_point=zero_point, axis=axis or 0)
        weights = self._file.constant(f"{name}/weights", stored, quantisation)
        bias_scales = self.value.quantisation.scales[0] * scales.astype(np.float64)
        bias = np.rint(layer.bias / bias_scales).astype(np.int32)
        return weights, self._file.constant(f"{name}/bias", bias, Quantisation(scales=bias_scales.tolist()))

    def _scalar(self, name: str, number: float) -> int:
        if self._dtype == "float32":
            return self._file.constant(name, np.array(number, dtype=np.float32))
        stored = np.array(_UINT8_OFFSET + 127, np.uint8) if self._dtype == "uint8" else np.array(127, np.int8)
        quantisation = self._quantised(Quantisation(scales=[number / 127]))
        return self._file.constant(name, stored, quantisation)

    def _strided(self, window: Sequence[int], stride: int, depth: int, *, valid: bool) -> tuple[int, ...]:
        batch, height, width, _ = self.value.shape
        if valid:
            height, width = height - window[0] + 1, width - window[1] + 1
        return batch, -(-height // stride), -(-width // stride), depth

    def _quantised(self, quantisation: Quantisation) -> Quantisation | None:
        if self._dtype == "float32":
            return None
        if self._dtype == "int8":
            return quantisation
        return Quantisation(scales=quantisation.scales, zero_point=quantisation.zero_point + _UINT8_OFFSET)


def _window(stride: int, *, valid: bool = False) -> dict[str, int | float | bool]:
    return {"Padding": _VALID if valid else _SAME, "StrideW": stride, "StrideH": stride}


def _fused(activation: Activation) -> dict[str, int | float | bool]:
    return {"FusedActivationFunction": _ACTIVATIONS[activation]}


def _range(activation: Activation) -> Quantisation:
    return SIGNED_RANGE if activation == "none" else RELU6_RANGE
