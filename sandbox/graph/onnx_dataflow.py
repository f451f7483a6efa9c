"""ONNX protobuf → `Dataflow` of the main graph, its shapes inferred by the onnx package."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from .dataflow import LEFT_OUT, Dataflow, Step, Value
from .onnx import dtype_name, parsed, tensor_of, text

_INFERENCE_ERRORS = (onnx.shape_inference.InferenceError, RuntimeError, ValueError, TypeError)


def read(path: Path, content: mmap.mmap, shapes: Mapping[str, tuple[int, ...]]) -> Dataflow:
    """The main graph; bodies of control flow are no part of it. ``shapes`` by input name. Raises `DataFileError`."""
    model = parsed(path, content).model
    _fix_inputs(model.graph, shapes)
    return _dataflow(_inferred(model).graph)


def _fix_inputs(graph: GraphProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for value in graph.input:
        shape = shapes.get(text(value.name))
        if shape is not None and value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.CopyFrom(
                onnx.TensorShapeProto(dim=[onnx.TensorShapeProto.Dimension(dim_value=size) for size in shape])
            )


def _inferred(model: ModelProto) -> ModelProto:
    """The model with what shapes follow from its inputs; as it is when inference breaks off."""
    try:
        # data_prop follows the small integer tensors that Reshape and its like take their shapes from
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except _INFERENCE_ERRORS:
        return model


class _Values:
    """Values by name, in the order in which they are first named."""

    def __init__(self, graph: GraphProto) -> None:
        self.all: list[Value] = []
        self._at: dict[str, int] = {"": LEFT_OUT}
        infos = (*graph.value_info, *graph.output, *graph.input)
        self._declared = {text(info.name): tensor_of(info) for info in infos}
        self._ranked = {text(info.name) for info in infos if info.type.tensor_type.HasField("shape")}
        sparse = [tensor.values for tensor in graph.sparse_initializer]
        for tensor in (*graph.initializer, *sparse):
            shape = tuple(size for size in tensor.dims if size >= 0)
            self._add(Value(name=text(tensor.name), dtype=dtype_name(tensor.data_type), shape=shape, constant=True))

    def at(self, name: str, *, constant: bool = False) -> int:
        """The position of the value called ``name``."""
        if name not in self._at:
            declared = self._declared.get(name)
            sizes = declared.shape if declared and name in self._ranked else (None,)
            known = tuple(size for size in sizes if isinstance(size, int))
            self._add(
                Value(
                    name=name,
                    dtype=declared.dtype if declared else "undefined",
                    shape=known if len(known) == len(sizes) else None,
                    constant=constant,
                )
            )
        return self._at[name]

    def _add(self, value: Value) -> None:
        self._at[value.name] = len(self.all)
        self.all.append(value)


def _dataflow(graph: GraphProto) -> Dataflow:
    values = _Values(graph)
    constants = {value.name for value in values.all}
    # Before IR version 4 every initializer was listed as an input too.
    inputs = tuple(values.at(text(value.name)) for value in graph.input if text(value.name) not in constants)
    steps = tuple(_step(node, index, values) for index, node in enumerate(graph.node))
    outputs = tuple(values.at(text(value.name)) for value in graph.output)
    return Dataflow(values=tuple(values.all), steps=steps, inputs=inputs, outputs=outputs)


def _step(node: NodeProto, index: int, values: _Values) -> Step:
    kind = text(node.op_type)
    outputs = tuple(values.at(text(name), constant=kind == "Constant") for name in node.output)
    attributes = {text(a.name): tuple(a.ints) for a in node.attribute if a.type == AttributeProto.INTS}
    return Step(
        index=index,
        type=kind,
        name=text(node.name) or next((text(name) for name in node.output), kind),
        inputs=tuple(values.at(text(name)) for name in node.input),
        outputs=outputs,
        strides=attributes.get("strides", ()),
        dilations=attributes.get("dilations", ()),
    )
