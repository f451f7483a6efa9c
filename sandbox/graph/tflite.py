"""TFLite flatbuffer → `ModelGraph`."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatbuffers.number_types import Int32Flags  # type: ignore[import-untyped]
from tflite import BuiltinOperator, TensorType  # type: ignore[import-untyped]
from tflite.Model import Model  # type: ignore[import-untyped]

from sandbox.errors import DataFileError

from . import ModelGraph, Operator, Tensor
from .flat import Budget, DamagedError, at, damage_reported

_SCHEMA_VERSION = 3  # the only one that TFLite has ever loaded

_BUILTIN_NAMES = {n: name for name, n in vars(BuiltinOperator).items() if isinstance(n, int)}
_CUSTOM = int(BuiltinOperator.CUSTOM)
_DTYPES = {n: name.lower() for name, n in vars(TensorType).items() if isinstance(n, int)}


@dataclass(frozen=True, kw_only=True)
class OperatorCode:
    type: str
    version: int
    custom: bool


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    tensor: Tensor
    buffer: int
    sparse: bool


def read(path: Path, content: mmap.mmap) -> ModelGraph:
    """The graph in ``content``, which has TFLite's file identifier. Raises `DataFileError`."""
    with damage_reported(path):
        return _read(path, content)


def _read(path: Path, content: mmap.mmap) -> ModelGraph:
    budget = Budget(len(content))
    model = Model.GetRootAs(content, 0)
    if model.Version() != _SCHEMA_VERSION:
        raise DamagedError(f"its schema version is {model.Version()}, not {_SCHEMA_VERSION}")
    codes = [
        operator_code(model.OperatorCodes(i), budget)
        for i in budget.tables(model.OperatorCodesLength(), "operator codes")
    ]
    subgraphs = [model.Subgraphs(i) for i in budget.tables(model.SubgraphsLength(), "subgraphs")]
    if not subgraphs:
        raise _no_model(path, "has no subgraph")
    tensors = [_tensors(subgraph, budget) for subgraph in subgraphs]
    operators = [
        operator
        for number, subgraph in enumerate(subgraphs)
        for operator in _operators(subgraph, number, codes, tensors[number], budget)
    ]
    main = subgraphs[0]
    inputs = budget.numbers(main.InputsLength(), main.InputsAsNumpy, "the model's inputs")
    outputs = budget.numbers(main.OutputsLength(), main.OutputsAsNumpy, "the model's outputs")
    if not operators:
        raise _no_model(path, "has no operators")
    if not outputs:
        raise _no_model(path, "has no outputs")
    weights = _weights(model, content, tensors, budget)
    return ModelGraph(
        path=path,
        format="tflite",
        size_bytes=len(content),
        inputs=tuple(at(tensors[0], i, "tensor").tensor for i in inputs),
        outputs=tuple(at(tensors[0], i, "tensor").tensor for i in outputs),
        operators=tuple(operators),
        weights_bytes=sum(weights.values()),
        weight_types=tuple(
            sorted(
                {
                    f"sparse {entry.tensor.dtype}" if entry.sparse else entry.tensor.dtype
                    for entries in tensors
                    for entry in entries
                    if weights[entry.buffer]
                }
            )
        ),
        producer=budget.text(model.Description(), "descriptions"),
    )


def _no_model(path: Path, what: str) -> DataFileError:
    return DataFileError(f"{path} is a TFLite file that {what}: nothing to run", hint="convert the model again")


def operator_code(code: Any, budget: Budget) -> OperatorCode:
    # Numbers above 127 moved to a wider field, which older files lack (schema_utils.cc, GetBuiltinCode). The accessor
    # of that name falls back by itself, and wrongly so if only the wide field is set; so read the field itself.
    at = code._tab.Offset(10)  # noqa: SLF001
    wide = code._tab.Get(Int32Flags, at + code._tab.Pos) if at else 0  # noqa: SLF001
    number = max(code.DeprecatedBuiltinCode(), wide)
    if number == _CUSTOM:
        return OperatorCode(type=budget.text(code.CustomCode(), "custom codes"), version=code.Version(), custom=True)
    return OperatorCode(type=_BUILTIN_NAMES.get(number, f"BUILTIN_{number}"), version=code.Version(), custom=False)


def _tensors(subgraph: Any, budget: Budget) -> list[TensorEntry]:
    return [tensor_entry(subgraph.Tensors(i), i, budget) for i in budget.tables(subgraph.TensorsLength(), "tensors")]


def tensor_entry(tensor: Any, index: int, budget: Budget) -> TensorEntry:
    shape = budget.numbers(tensor.ShapeLength(), tensor.ShapeAsNumpy, "shapes")
    # The signature is the shape as the author wrote it; the shape has 1 where the signature has -1.
    signature = budget.numbers(tensor.ShapeSignatureLength(), tensor.ShapeSignatureAsNumpy, "shape signatures")
    dims = signature if len(signature) == len(shape) else shape
    if any(dim < -1 for dim in dims):
        raise DamagedError(f"tensor {index} has the shape {dims}")
    return TensorEntry(
        tensor=Tensor(
            name=budget.text(tensor.Name(), "tensor names") or f"tensor_{index}",
            dtype=_DTYPES.get(tensor.Type(), f"tensortype_{tensor.Type()}"),
            shape=tuple(None if dim == -1 else dim for dim in dims),
        ),
        buffer=tensor.Buffer(),
        sparse=tensor.Sparsity() is not None,
    )


def _operators(
    subgraph: Any, number: int, codes: list[OperatorCode], tensors: list[TensorEntry], budget: Budget
) -> list[Operator]:
    found = []
    for index in budget.tables(subgraph.OperatorsLength(), "operators"):
        operator = subgraph.Operators(index)
        code = at(codes, operator.OpcodeIndex(), "operator code")
        inputs = budget.numbers(operator.InputsLength(), operator.InputsAsNumpy, "operator inputs")
        outputs = budget.numbers(operator.OutputsLength(), operator.OutputsAsNumpy, "operator outputs")
        named = [None if i == -1 else at(tensors, i, "tensor").tensor for i in (*outputs, *inputs)]
        found.append(
            Operator(
                index=index,
                type=code.type,
                version=code.version,
                domain="",
                custom=code.custom,
                inputs=tuple(tensor.name if tensor else "" for tensor in named[len(outputs) :]),
                outputs=tuple(tensor.name if tensor else "" for tensor in named[: len(outputs)]),
                dtype=next((tensor.dtype for tensor in named if tensor), None),
                subgraph=number,
            )
        )
    return found


def _weights(model: Any, content: mmap.mmap, tensors: list[list[TensorEntry]], budget: Budget) -> dict[int, int]:
    """Bytes of each buffer that tensors use. Metadata lives in buffers too and is no weight."""
    count = len(budget.tables(model.BuffersLength(), "buffers"))
    found: dict[int, int] = {}
    for index in {entry.buffer for subgraph in tensors for entry in subgraph}:
        if not 0 <= index < count:
            raise DamagedError(f"it has no buffer {index}")
        buffer = model.Buffers(index)
        # Models beyond 2 GB keep data behind the flatbuffer; offsets 0 and 1 mean "not so" (schema.fbs, Buffer).
        start, length = (buffer.Offset(), buffer.Size()) if buffer.Offset() > 1 else (0, buffer.DataLength())
        if start + length > len(content):
            raise DamagedError(f"buffer {index} ends beyond the end of the file")
        if not start and length:
            buffer.DataAsNumpy()  # a view: costs nothing, and raises if it does not lie within the file
        found[index] = length
    if sum(found.values()) > len(content):
        raise DamagedError("its buffers overlap")
    return found
