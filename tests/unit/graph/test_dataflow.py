"""Who writes and reads which tensor, from both formats."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sandbox.errors import DataFileError
from sandbox.graph import read_dataflow, read_model
from sandbox.graph.dataflow import Dataflow, Value
from sandbox.zoo.flatbuffer import Options, TfliteFile
from tests import zoo

Read = Callable[..., tuple[Dataflow, ...]]
GIGABYTE = 1 << 30


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(content: bytes, **shapes: tuple[int, ...]) -> tuple[Dataflow, ...]:
        path = tmp_path / "model"
        path.write_bytes(content)
        return read_dataflow(read_model(path), shapes)

    return read


def named(flow: Dataflow, positions: tuple[int, ...]) -> list[str]:
    return [flow.values[position].name for position in positions]


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [
        ("float32", (2, 3), 24),
        ("int4", (3,), 2),
        ("bool", (5,), 5),
        ("float64", (), 8),
        ("int8", (0, 9), 0),
        ("string", (2,), None),
        ("float32", None, None),
        ("float32", (1,) * 33, None),
        ("float32", (2**31, 2**31), None),
    ],
)
def test_sizes(dtype: str, shape: tuple[int, ...] | None, size: int | None) -> None:
    assert Value(name="x", dtype=dtype, shape=shape, constant=False).size_bytes == size


def test_tflite(read: Read) -> None:
    (flow,) = read(zoo.tiny_conv_tflite("int8"))
    assert [step.type for step in flow.steps] == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    conv = flow.steps[0]
    assert (conv.name, conv.strides, conv.dilations) == ("conv", (2, 2), (1, 1))
    assert named(flow, conv.inputs) == ["input", "conv/weights", "conv/bias"]
    assert [flow.values[position].constant for position in conv.inputs] == [False, True, True]
    assert flow.bytes_of(flow.inputs) == 8 * 8 * 3
    assert flow.bytes_of(flow.outputs) == 10


def test_onnx(read: Read) -> None:
    (flow,) = read(zoo.tiny_onnx())
    assert [step.type for step in flow.steps] == ["Conv", "Clip", "Flatten", "Gemm", "Softmax"]
    conv = flow.steps[0]
    assert conv.strides == (2, 2)
    assert named(flow, conv.inputs) == ["input", "conv/weights", "conv/bias"]
    assert [flow.values[position].shape for position in conv.outputs] == [(1, 4, 4, 4)]
    assert all(value.size_bytes is not None for value in flow.values)


def test_onnx_inputs_take_the_shapes_that_the_run_fixes(read: Read) -> None:
    (flow,) = read(zoo.dynamic_batch_onnx())
    assert (flow.bytes_of(flow.inputs), flow.bytes_of(flow.outputs)) == (None, None)
    (flow,) = read(zoo.dynamic_batch_onnx(), input=(3, 3, 8, 8))
    assert (flow.bytes_of(flow.inputs), flow.bytes_of(flow.outputs)) == (3 * 3 * 8 * 8 * 4, 3 * 10 * 4)


def test_tflite_sizes_are_open_for_other_shapes_than_the_file_s(read: Read) -> None:
    (flow,) = read(zoo.dynamic_tflite(), input=(1, 16))
    assert flow.bytes_of(flow.outputs) == 16
    (flow,) = read(zoo.dynamic_tflite(), input=(4, 16))
    assert (flow.bytes_of(flow.inputs), flow.bytes_of(flow.outputs)) == (256, None)
    assert all(value.shape is not None for value in flow.values if value.constant)


def test_tflite_tensors_of_one_name_stay_apart(read: Read) -> None:
    file = TfliteFile("same names")
    first, second, third = (file.tensor("same", "float32", (n,)) for n in (1, 2, 3))
    for read_from, written in ((first, second), (second, third)):
        file.operator("RESHAPE", 1, [read_from], [written], Options(table="ReshapeOptions", fields={}))
    (flow,) = read(file.finish([first], [third]))
    assert [flow.bytes_of(step.outputs) for step in flow.steps] == [8, 12]


def test_optional_inputs_are_left_out(read: Read) -> None:
    file = TfliteFile("optional")
    value, out = file.tensor("in", "float32", (1, 4)), file.tensor("out", "float32", (1, 2))
    weights = file.constant("w", np.zeros((2, 4), dtype=np.float32))
    file.operator("FULLY_CONNECTED", 1, [value, weights, -1], [out])
    (flow,) = read(file.finish([value], [out]))
    assert flow.steps[0].inputs == (0, 2, -1)
    assert flow.bytes_of(flow.steps[0].inputs) == 16 + 32


def test_onnx_models_that_no_inference_understands_have_open_sizes(read: Read) -> None:
    info = helper.make_tensor_value_info
    nodes = [helper.make_node("Mystery", ["x"], ["y"], domain="mine"), helper.make_node("Relu", ["y"], ["z"])]
    graph = helper.make_graph(nodes, "g", [info("x", TensorProto.FLOAT, (2,))], [info("z", TensorProto.FLOAT, None)])
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("mine", 1)]
    (flow,) = read(helper.make_model(graph, opset_imports=opsets).SerializeToString())
    assert [value.size_bytes for value in flow.values] == [8, None, None]


def test_a_gigabyte_of_weights_is_not_read(tmp_path: Path) -> None:
    info = helper.make_tensor_value_info
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[GIGABYTE // 4])
    weights.data_location = TensorProto.EXTERNAL
    for key, text in {"location": "weights.bin", "length": str(GIGABYTE)}.items():
        weights.external_data.append(onnx.StringStringEntryProto(key=key, value=text))
    x, y = info("x", TensorProto.FLOAT, (1,)), info("y", TensorProto.FLOAT, (GIGABYTE // 4,))
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString())
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(GIGABYTE)
    started = time.monotonic()
    model = read_model(path)
    (flow,) = read_dataflow(model, {})
    assert time.monotonic() - started < 1
    assert (model.weights_bytes, flow.bytes_of(flow.outputs)) == (GIGABYTE, GIGABYTE)


def test_a_file_that_went_away_is_an_error_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(zoo.tiny_conv_tflite("int8"))
    graph = read_model(path)
    path.unlink()
    with pytest.raises(DataFileError, match=r"model\.tflite"):
        read_dataflow(graph, {})
    with pytest.raises(DataFileError, match=r"model\.tflite"):
        _ = graph.sha256
