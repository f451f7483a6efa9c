"""TFLite models of one operator in one type: what a build does with them tells which types its kernels take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from sandbox.zoo.flatbuffer import Dtype, Options, Quantisation, TfliteFile

DTYPES: Sequence[Dtype] = ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")
_QUANTISED = {"int8", "uint8", "int16"}
_SHAPE = (1, 4, 4, 8)
_PADDING_SAME = 0


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """One output of the same type as the first input, after constants as ``constants`` lists them."""

    inputs: int = 1
    output: Sequence[int] = _SHAPE
    constants: Sequence[Sequence[int]] = ()
    options: Options | None = None
    scale: float = 0.05
    """Of a quantised output."""
    zero_point: int = 0
    extra: Sequence[Sequence[int]] = field(default=())
    """Shapes of further outputs."""


def _plain(table: str, **fields: float | bool) -> Options:
    return Options(table=table, fields=dict(fields))


_POOL = _plain("Pool2DOptions", Padding=_PADDING_SAME, StrideW=2, StrideH=2, FilterWidth=2, FilterHeight=2)
_UNARY = "ABS CEIL COS ELU EXP FLOOR HARD_SWISH LOG NEG RELU RELU6 RELU_N1_TO_1 ROUND RSQRT SIGN SIN SQRT SQUARE"
_BINARY = "FLOOR_DIV FLOOR_MOD MAXIMUM MINIMUM POW SQUARED_DIFFERENCE PRELU"
_KINDS: dict[str, _Kind] = {
    **{name: _Kind() for name in (*_UNARY.split(), "ZEROS_LIKE")},
    **{name: _Kind(inputs=2) for name in _BINARY.split()},
    "ADD": _Kind(inputs=2, options=_plain("AddOptions")),
    "SUB": _Kind(inputs=2, options=_plain("SubOptions")),
    "MUL": _Kind(inputs=2, options=_plain("MulOptions")),
    "DIV": _Kind(inputs=2, options=_plain("DivOptions")),
    "GELU": _Kind(options=_plain("GeluOptions", Approximate=False)),
    "LEAKY_RELU": _Kind(options=_plain("LeakyReluOptions", Alpha=0.1)),
    "L2_NORMALIZATION": _Kind(options=_plain("L2NormOptions"), scale=1 / 128),
    "LOGISTIC": _Kind(scale=1 / 256, zero_point=-128),
    "LOG_SOFTMAX": _Kind(scale=16 / 256, zero_point=127),
    "TANH": _Kind(scale=1 / 128),
    "SOFTMAX": _Kind(options=_plain("SoftmaxOptions", Beta=1.0), scale=1 / 256, zero_point=-128),
    "AVERAGE_POOL_2D": _Kind(output=(1, 2, 2, 8), options=_POOL),
    "MAX_POOL_2D": _Kind(output=(1, 2, 2, 8), options=_POOL),
    "L2_POOL_2D": _Kind(output=(1, 2, 2, 8), options=_POOL),
    "RESHAPE": _Kind(output=(1, 128), constants=((1, 128),)),
    "SQUEEZE": _Kind(output=(4, 4, 8)),
    "EXPAND_DIMS": _Kind(output=(1, 1, 4, 4, 8), constants=((0,),)),
    "TRANSPOSE": _Kind(output=(1, 8, 4, 4), constants=((0, 3, 1, 2),)),
    "PAD": _Kind(output=(1, 6, 6, 8), constants=((0, 0, 1, 1, 1, 1, 0, 0),)),
    "TILE": _Kind(output=(1, 4, 4, 16), constants=((1, 1, 1, 2),)),
    "SLICE": _Kind(output=(1, 2, 4, 8), constants=((0, 0, 0, 0), (1, 2, 4, 8))),
    "STRIDED_SLICE": _Kind(
        output=(1, 2, 4, 8),
        constants=((0, 0, 0, 0), (1, 2, 4, 8), (1, 1, 1, 1)),
        options=_plain("StridedSliceOptions"),
    ),
    "CONCATENATION": _Kind(inputs=2, output=(1, 4, 4, 16), options=_plain("ConcatenationOptions", Axis=3)),
    "PACK": _Kind(inputs=2, output=(2, 1, 4, 4, 8), options=_plain("PackOptions", ValuesCount=2, Axis=0)),
    "GATHER": _Kind(output=(1, 4, 4, 2), constants=((0, 1),), options=_plain("GatherOptions", Axis=3)),
    "MEAN": _Kind(output=(1, 8), constants=((1, 2),), options=_plain("ReducerOptions", KeepDims=False)),
    "SUM": _Kind(output=(1, 8), constants=((1, 2),), options=_plain("ReducerOptions", KeepDims=False)),
    "REDUCE_MAX": _Kind(output=(1, 8), constants=((1, 2),), options=_plain("ReducerOptions", KeepDims=False)),
    "RESIZE_BILINEAR": _Kind(output=(1, 8, 8, 8), constants=((8, 8),), options=_plain("ResizeBilinearOptions")),
    "RESIZE_NEAREST_NEIGHBOR": _Kind(
        output=(1, 8, 8, 8), constants=((8, 8),), options=_plain("ResizeNearestNeighborOptions")
    ),
    "SPACE_TO_DEPTH": _Kind(output=(1, 2, 2, 32), options=_plain("SpaceToDepthOptions", BlockSize=2)),
    "DEPTH_TO_SPACE": _Kind(output=(1, 8, 8, 2), options=_plain("DepthToSpaceOptions", BlockSize=2)),
    "BATCH_MATMUL": _Kind(inputs=2, output=(1, 4, 4, 4), options=_plain("BatchMatMulOptions", AdjY=True)),
}
CUSTOM = (
    "TFLite_Detection_PostProcess",
    "AudioSpectrogram",
    "Mfcc",
    "NumericVerify",
    "edgetpu-custom-op",
    "NobodysOperator",
)
"""Custom operators that some builds register (TensorFlow, tensorflow/lite/core/kernels/register.cc), and others."""
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def models() -> Iterator[tuple[str, bytes]]:
    """(``<OPERATOR>.<type>``, model); the type of custom operators is ``custom``."""
    for name in CUSTOM:
        yield f"{name}.custom", _model(name, _Kind(), "float32")
    for dtype in DTYPES:
        for name, kind in _KINDS.items():
            yield f"{name}.{dtype}", _model(name, kind, dtype)
        if dtype not in {"bool", "int32", "int64"}:
            for name in _WEIGHTED:
                yield f"{name}.{dtype}", _weighted(name, dtype)


def _quantisation(dtype: Dtype, scale: float = 0.05, zero_point: int = 0) -> Quantisation | None:
    if dtype not in _QUANTISED:
        return None
    if dtype == "uint8":
        zero_point += 128
    return Quantisation(
        scales=[1 / 32768 if dtype == "int16" else scale], zero_point=0 if dtype == "int16" else zero_point
    )


def _model(name: str, kind: _Kind, dtype: Dtype) -> bytes:
    file = TfliteFile(name)
    inputs = [file.tensor(f"input_{i}", dtype, _SHAPE, quantisation=_quantisation(dtype)) for i in range(kind.inputs)]
    constants = [
        file.constant(f"constant_{i}", np.array(values, np.int32).reshape((-1, 2) if name == "PAD" else (-1,)))
        for i, values in enumerate(kind.constants)
    ]
    quantisation = _quantisation(dtype, kind.scale, kind.zero_point)
    output = file.tensor("output", dtype, kind.output, quantisation=quantisation)
    file.operator(name, 1, [*inputs, *constants], [output], kind.options)
    return file.finish(inputs, [output])


def _weighted(name: str, dtype: Dtype) -> bytes:
    file = TfliteFile(name)
    shape: Sequence[int] = (1, 8) if name == "FULLY_CONNECTED" else _SHAPE
    source = file.tensor("input", dtype, shape, quantisation=_quantisation(dtype))
    sizes = {"CONV_2D": (8, 1, 1, 8), "DEPTHWISE_CONV_2D": (1, 3, 3, 8), "FULLY_CONNECTED": (8, 8)}[name]
    kept = {"int16": np.int8, "int8": np.int8, "uint8": np.uint8, "float16": np.float16}.get(dtype, np.float32)
    scale = 1 / 32768 if dtype == "int16" else 0.05
    quantised = dtype in _QUANTISED
    zero = 128 if dtype == "uint8" else 0
    weights = file.constant(
        "weights", np.ones(sizes, kept), Quantisation(scales=[0.02], zero_point=zero) if quantised else None
    )
    bias_type = {"int16": np.int64, "int8": np.int32, "uint8": np.int32, "float16": np.float16}.get(dtype, np.float32)
    bias = file.constant("bias", np.zeros(8, bias_type), Quantisation(scales=[scale * 0.02]) if quantised else None)
    output = file.tensor("output", dtype, shape, quantisation=_quantisation(dtype))
    options = {
        "CONV_2D": _plain("Conv2DOptions", Padding=_PADDING_SAME, StrideW=1, StrideH=1,
                          DilationWFactor=1, DilationHFactor=1),
        "DEPTHWISE_CONV_2D": _plain("DepthwiseConv2DOptions", Padding=_PADDING_SAME, StrideW=1, StrideH=1,
                                    DepthMultiplier=1, DilationWFactor=1, DilationHFactor=1),
        "FULLY_CONNECTED": _plain("FullyConnectedOptions"),
    }[name]  # fmt: skip
    file.operator(name, 1, [source, weights, bias], [output], options)
    return file.finish([source], [output])
