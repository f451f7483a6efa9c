"""A TFLite file, tensor by tensor and operator by operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import tflite  # type: ignore[import-untyped]
from numpy.typing import NDArray

_BUFFER_ALIGNMENT = 16  # schema.fbs: force_align of Buffer.data
_TYPES = {
    "float32": tflite.TensorType.FLOAT32,
    "float16": tflite.TensorType.FLOAT16,
    "int16": tflite.TensorType.INT16,
    "int64": tflite.TensorType.INT64,
    "bool": tflite.TensorType.BOOL,
    "int32": tflite.TensorType.INT32,
    "int8": tflite.TensorType.INT8,
    "uint8": tflite.TensorType.UINT8,
    "complex64": tflite.TensorType.COMPLEX64,
}
Dtype = Literal["float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool", "complex64"]


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """real = scale * (quantised - zero_point); per channel when there are several scales."""

    scales: Sequence[float]
    zero_point: int = 0
    axis: int = 0


@dataclass(frozen=True, kw_only=True)
class _Tensor:
    name: str
    dtype: str
    shape: Sequence[int]
    signature: Sequence[int] | None
    buffer: int
    quantisation: Quantisation | None


@dataclass(frozen=True, kw_only=True)
class Options:
    """Operator options: a table of the schema and its fields, as in ``Options("Conv2DOptions", {"StrideW": 2})``."""

    table: str
    fields: dict[str, int | float | bool]


@dataclass(frozen=True, kw_only=True)
class _Operator:
    code: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Options | None


class TfliteFile:
    """One subgraph. Methods that add return the index of what they added."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._tensors: list[_Tensor] = []
        self._buffers: list[bytes] = [b""]  # buffer 0 is empty by convention: "no constant data"
        self._codes: list[tuple[str, int]] = []
        self._operators: list[_Operator] = []

    def tensor(
        self,
        name: str,
        dtype: Dtype,
        shape: Sequence[int],
        *,
        signature: Sequence[int] | None = None,
        quantisation: Quantisation | None = None,
    ) -> int:
        self._tensors.append(
            _Tensor(name=name, dtype=dtype, shape=shape, signature=signature, buffer=0, quantisation=quantisation)
        )
        return len(self._tensors) - 1

    def constant(self, name: str, values: NDArray[Any], quantisation: Quantisation | None = None) -> int:
        self._buffers.append(values.tobytes())
        self._tensors.append(
            _Tensor(
                name=name,
                dtype=values.dtype.name,
                shape=values.shape,
                signature=None,
                buffer=len(self._buffers) - 1,
                quantisation=quantisation,
            )
        )
        return len(self._tensors) - 1

    def operator(
        self, kind: str, version: int, inputs: Sequence[int], outputs: Sequence[int], options: Options | None = None
    ) -> int:
        """A builtin by its schema name; any other ``kind`` is a custom code."""
        if (kind, version) not in self._codes:
            self._codes.append((kind, version))
        code = self._codes.index((kind, version))
        self._operators.append(_Operator(code=code, inputs=inputs, outputs=outputs, options=options))
        return len(self._operators) - 1

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        b = flatbuffers.Builder(1 << 16)
        # The builder writes back to front: what is created first ends up last in the file.
        buffers = _vector(b, [_buffer(b, data) for data in self._buffers])
        tensors = _vector(b, [_tensor(b, tensor) for tensor in self._tensors])
        operators = _vector(b, [_operator(b, operator) for operator in self._operators])
        subgraph_inputs, subgraph_outputs = _numbers(b, inputs), _numbers(b, outputs)
        subgraph_name = b.CreateString("main")
        _align(b)
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, tensors)
        tflite.SubGraphAddInputs(b, subgraph_inputs)
        tflite.SubGraphAddOutputs(b, subgraph_outputs)
        tflite.SubGraphAddOperators(b, operators)
        tflite.SubGraphAddName(b, subgraph_name)
        subgraphs = _vector(b, [tflite.SubGraphEnd(b)])
        codes = _vector(b, [_code(b, kind, version) for kind, version in self._codes])
        description = b.CreateString(self._description)
        _align(b)
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, codes)
        tflite.ModelAddSubgraphs(b, subgraphs)
        tflite.ModelAddDescription(b, description)
        tflite.ModelAddBuffers(b, buffers)
        b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
        return bytes(b.Output())


def _align(b: Any) -> None:
    """Start each table alike, so that tables of the same fields need the same padding and share one vtable.

    flatbuffers before 25 shares it regardless of padding, later ones do not; this way both write the same bytes.
    """
    b.Prep(8, 0)


def _vector(b: Any, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def _numbers(b: Any, values: Sequence[int]) -> int:
    return int(b.CreateNumpyVector(np.asarray(values, dtype=np.int32)))


def _buffer(b: Any, data: bytes) -> int:
    if data:
        b.StartVector(1, len(data), _BUFFER_ALIGNMENT)
        b.head = b.Head() - len(data)
        b.Bytes[b.head : b.head + len(data)] = data
        vector = b.EndVector()
    _align(b)
    tflite.BufferStart(b)
    if data:
        tflite.BufferAddData(b, vector)
    return int(tflite.BufferEnd(b))


def _tensor(b: Any, tensor: _Tensor) -> int:
    shape = _numbers(b, tensor.shape)
    signature = _numbers(b, tensor.signature) if tensor.signature is not None else None
    name = b.CreateString(tensor.name)
    quantisation = _quantisation(b, tensor.quantisation) if tensor.quantisation else None
    _align(b)
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, _TYPES[tensor.dtype])
    tflite.TensorAddBuffer(b, tensor.buffer)
    tflite.TensorAddName(b, name)
    if quantisation is not None:
        tflite.TensorAddQuantization(b, quantisation)
    if signature is not None:
        tflite.TensorAddShapeSignature(b, signature)
    tflite.TensorAddHasRank(b, hasRank=True)
    return int(tflite.TensorEnd(b))


def _quantisation(b: Any, quantisation: Quantisation) -> int:
    scales = b.CreateNumpyVector(np.asarray(quantisation.scales, dtype=np.float32))
    zero_points = b.CreateNumpyVector(np.full(len(quantisation.scales), quantisation.zero_point, dtype=np.int64))
    _align(b)
    tflite.QuantizationParametersStart(b)
    tflite.QuantizationParametersAddScale(b, scales)
    tflite.QuantizationParametersAddZeroPoint(b, zero_points)
    tflite.QuantizationParametersAddQuantizedDimension(b, quantisation.axis)
    return int(tflite.QuantizationParametersEnd(b))


def _operator(b: Any, operator: _Operator) -> int:
    inputs, outputs = _numbers(b, operator.inputs), _numbers(b, operator.outputs)
    options = _options(b, operator.options) if operator.options else None
    _align(b)
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, operator.code)
    tflite.OperatorAddInputs(b, inputs)
    tflite.OperatorAddOutputs(b, outputs)
    if operator.options:
        tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, operator.options.table))
        tflite.OperatorAddBuiltinOptions(b, options)
    return int(tflite.OperatorEnd(b))


def _options(b: Any, options: Options) -> int:
    def function(name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(tflite, f"{options.table}{name}")
        return found

    _align(b)
    function("Start")(b)
    for field, value in options.fields.items():
        function(f"Add{field}")(b, value)
    return int(function("End")(b))


def _code(b: Any, kind: str, version: int) -> int:
    builtin = getattr(tflite.BuiltinOperator, kind, tflite.BuiltinOperator.CUSTOM)
    custom_code = b.CreateString(kind) if builtin == tflite.BuiltinOperator.CUSTOM else None
    _align(b)
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(builtin, 127))
    if custom_code is not None:
        tflite.OperatorCodeAddCustomCode(b, custom_code)
    tflite.OperatorCodeAddVersion(b, version)
    tflite.OperatorCodeAddBuiltinCode(b, builtin)
    return int(tflite.OperatorCodeEnd(b))
