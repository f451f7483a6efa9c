"""TFLite flatbuffer → `Dataflow` of every subgraph."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tflite as schema  # type: ignore[import-untyped]
from tflite.Model import Model  # type: ignore[import-untyped]

from .dataflow import LEFT_OUT, Dataflow, Step, Value
from .flat import Budget, at, damage_reported
from .tflite import operator_code, tensor_entry

_WINDOWED = {
    schema.BuiltinOptions.Conv2DOptions: schema.Conv2DOptions,
    schema.BuiltinOptions.DepthwiseConv2DOptions: schema.DepthwiseConv2DOptions,
    schema.BuiltinOptions.Pool2DOptions: schema.Pool2DOptions,
    schema.BuiltinOptions.TransposeConvOptions: schema.TransposeConvOptions,
}


def read(path: Path, content: mmap.mmap, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Dataflow, ...]:
    """The subgraphs in the file's order. ``shapes`` by name of the main graph's inputs. Raises `DataFileError`."""
    with damage_reported(path):
        budget = Budget(len(content))
        model = Model.GetRootAs(content, 0)
        codes = [
            operator_code(model.OperatorCodes(i), budget).type
            for i in budget.tables(model.OperatorCodesLength(), "operator codes")
        ]
        has_data = [
            model.Buffers(i).DataLength() > 0 or model.Buffers(i).Offset() > 1
            for i in budget.tables(model.BuffersLength(), "buffers")
        ]
        subgraphs = [model.Subgraphs(i) for i in budget.tables(model.SubgraphsLength(), "subgraphs")]
        flows = [_dataflow(subgraph, codes, has_data, budget) for subgraph in subgraphs]
    return tuple(flows) if not flows or not _resized(flows[0], shapes) else (_opened_up(flows[0], shapes), *flows[1:])


def _dataflow(subgraph: Any, codes: list[str], has_data: list[bool], budget: Budget) -> Dataflow:
    values = []
    for index in budget.tables(subgraph.TensorsLength(), "tensors"):
        table = subgraph.Tensors(index)
        entry = tensor_entry(table, index, budget)
        # The allocated size is that of the plain shape, which has 1 where the signature leaves a dimension open.
        shape = budget.numbers(table.ShapeLength(), table.ShapeAsNumpy, "shapes")
        values.append(
            Value(
                name=entry.tensor.name,
                dtype=entry.tensor.dtype,
                shape=None if any(size < 0 for size in shape) else tuple(shape),
                constant=at(has_data, entry.buffer, "buffer"),
                variable=bool(table.IsVariable()),
            )
        )
    steps = [
        _step(subgraph.Operators(index), index, codes, values, budget)
        for index in budget.tables(subgraph.OperatorsLength(), "operators")
    ]
    inputs = budget.numbers(subgraph.InputsLength(), subgraph.InputsAsNumpy, "the model's inputs")
    outputs = budget.numbers(subgraph.OutputsLength(), subgraph.OutputsAsNumpy, "the model's outputs")
    return Dataflow(
        values=tuple(values),
        steps=tuple(steps),
        inputs=_checked(inputs, values),
        outputs=_checked(outputs, values),
        name=budget.text(subgraph.Name(), "subgraph names") or "main",
    )


def _step(operator: Any, index: int, codes: list[str], values: list[Value], budget: Budget) -> Step:
    inputs = budget.numbers(operator.InputsLength(), operator.InputsAsNumpy, "operator inputs")
    outputs = budget.numbers(operator.OutputsLength(), operator.OutputsAsNumpy, "operator outputs")
    strides, dilations = _window(operator)
    type_ = at(codes, operator.OpcodeIndex(), "operator code")
    written = _checked(outputs, values)
    return Step(
        index=index,
        type=type_,
        name=next((values[position].name for position in written if position != LEFT_OUT), type_),
        inputs=_checked(inputs, values),
        outputs=written,
        strides=strides,
        dilations=dilations,
    )


def _window(operator: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    table = _WINDOWED.get(operator.BuiltinOptionsType())
    raw = operator.BuiltinOptions()
    if table is None or raw is None:
        return (), ()
    options = table()
    options.Init(raw.Bytes, raw.Pos)
    strides = (options.StrideH(), options.StrideW())
    if not hasattr(options, "DilationHFactor"):
        return strides, ()
    return strides, (options.DilationHFactor(), options.DilationWFactor())


def _checked(positions: list[int], values: list[Value]) -> tuple[int, ...]:
    for position in positions:
        if position != LEFT_OUT:
            at(values, position, "tensor")
    return tuple(positions)


def _resized(flow: Dataflow, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    own = {flow.values[i].name: flow.values[i].shape for i in flow.inputs if i != LEFT_OUT}
    return any(shape != own.get(name) for name, shape in shapes.items())


def _opened_up(flow: Dataflow, shapes: Mapping[str, tuple[int, ...]]) -> Dataflow:
    """The same graph fed with other shapes: those that follow from them are not in the file."""
    fed = {i: shapes.get(flow.values[i].name, flow.values[i].shape) for i in flow.inputs if i != LEFT_OUT}
    values = [
        value if value.constant else replace(value, shape=fed.get(position))
        for position, value in enumerate(flow.values)
    ]
    return replace(flow, values=tuple(values))
