"""ONNX files: subgraphs, types, external data, damaged and hostile ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sandbox.errors import DataFileError
from sandbox.graph import ModelGraph, Tensor, read_model, wire
from tests import zoo

Read = Callable[[bytes], ModelGraph]

_INFO = helper.make_tensor_value_info


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(content: bytes) -> ModelGraph:
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return read_model(path)

    return read


def refusal(read: Read, content: bytes) -> DataFileError:
    with pytest.raises(DataFileError) as caught:
        read(content)
    assert "model.onnx" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


def model(
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[TensorProto] = (),
    *,
    opsets: Sequence[tuple[str, int]] = (("", 13),),
    functions: Sequence[onnx.FunctionProto] = (),
) -> bytes:
    """A model from float input ``x`` to an output ``y`` of unstated type."""
    graph = helper.make_graph(
        nodes, "g", [_INFO("x", TensorProto.FLOAT, (2,))], [onnx.ValueInfoProto(name="y")], weights
    )
    imports = [helper.make_opsetid(*opset) for opset in opsets]
    made = helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=10)
    return bytes(made.SerializeToString())


def external(**entries: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def with_weights(*tensors: TensorProto) -> bytes:
    return model([helper.make_node("Add", ["x", "w"], ["y"])], tensors)


def test_tiny_model_in_full(read: Read) -> None:
    graph = read(zoo.tiny_onnx())
    assert graph.format == "onnx"
    assert graph.inputs == (Tensor(name="input", dtype="float32", shape=(1, 3, 8, 8)),)
    assert graph.outputs == (Tensor(name="probabilities", dtype="float32", shape=(1, 10)),)
    # Versions are those in which each definition appeared, at or before opset 13.
    kinds = [("Conv", 11), ("Clip", 13), ("Flatten", 13), ("Gemm", 13), ("Softmax", 13)]
    assert [(each.type, each.version) for each in graph.operators] == kinds
    assert {each.dtype for each in graph.operators} == {"float32"}
    assert graph.operators[0].inputs == ("input", "conv/weights", "conv/bias")
    assert graph.weights_bytes == 4 * (3 * 3 * 3 * 4 + 4 + 64 * 10 + 10 + 2)
    assert (graph.producer, graph.opsets, graph.ir_version) == ("edge-sandbox zoo", {"": 13}, 8)


def test_symbolic_and_unknown_dimensions(read: Read) -> None:
    assert read(zoo.dynamic_batch_onnx()).inputs[0].shape == ("batch", 3, 8, 8)
    made = onnx.ModelProto.FromString(zoo.ir_version_onnx(8))
    dims = made.graph.input[0].type.tensor_type.shape.dim
    dims[0].Clear()
    dims[1].dim_value = -1
    assert read(made.SerializeToString()).inputs[0].shape == (None, None)


def test_ir_version(read: Read) -> None:
    assert read(zoo.ir_version_onnx(99)).ir_version == 99


def test_operators_of_control_flow(read: Read) -> None:
    operators = read(zoo.endless_model_onnx()).operators
    assert [(each.type, each.subgraph, each.index, each.dtype) for each in operators] == [
        ("Loop", 0, 0, "float32"),
        ("Identity", 1, 0, "bool"),
        ("Add", 1, 1, "float32"),
    ]


def test_model_functions_are_read_as_subgraphs(read: Read) -> None:
    body = [helper.make_node("Relu", ["a"], ["b"])]
    function = helper.make_function("local", "twice", ["a"], ["b"], body, [helper.make_opsetid("", 13)])
    nodes = [helper.make_node("twice", ["x"], ["y"], domain="local")]
    graph = read(model(nodes, opsets=[("", 13), ("local", 1)], functions=[function]))
    assert [(each.type, each.subgraph, each.custom) for each in graph.operators] == [("Relu", 1, False)]


@pytest.mark.parametrize(("domain", "custom"), [("com.microsoft", False), ("ai.onnx.ml", False), ("my.company", True)])
def test_custom_is_what_no_runtime_ships(read: Read, domain: str, custom: bool) -> None:
    nodes = [helper.make_node("Special", ["x"], ["y"], domain=domain)]
    (operator,) = read(model(nodes, opsets=[("", 13), (domain, 1)])).operators
    assert (operator.domain, operator.custom, operator.version) == (domain, custom, None)
    assert operator.dtype == "float32"


def test_the_standard_domain_has_one_name(read: Read) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"], domain="ai.onnx")]
    graph = read(model(nodes, opsets=[("ai.onnx", 13)]))
    assert (graph.opsets, graph.operators[0].domain, graph.operators[0].version) == ({"": 13}, "", 13)


def test_opset_newer_than_the_onnx_package(read: Read) -> None:
    (operator,) = read(model([helper.make_node("Relu", ["x"], ["y"])], opsets=[("", 9999)])).operators
    assert operator.version is None


def test_types_follow_the_operators_definitions(read: Read) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Shape", ["a"], ["b"]),
        helper.make_node("Cast", ["b"], ["c"], to=TensorProto.FLOAT16),
        helper.make_node("Equal", ["c", "c"], ["d"]),
        helper.make_node("Constant", [], ["e"], value=numpy_helper.from_array(np.ones(2, dtype=np.uint8))),
        helper.make_node("Mystery", ["nowhere"], ["y"]),
    ]
    graph = read(model(nodes))
    assert [each.dtype for each in graph.operators] == ["float32", "int64", "float16", "bool", "uint8", None]
    assert graph.weights_bytes == 2


def test_weights_listed_as_inputs_are_no_inputs(read: Read) -> None:
    made = onnx.ModelProto.FromString(with_weights(numpy_helper.from_array(np.ones(2, dtype=np.float32), "w")))
    made.graph.input.append(_INFO("w", TensorProto.FLOAT, (2,)))
    assert [tensor.name for tensor in read(made.SerializeToString()).inputs] == ["x"]


def test_int4_typed_and_sparse_weights_are_counted(read: Read) -> None:
    tensors = [
        TensorProto(name="w", data_type=TensorProto.INT4, dims=[5], raw_data=b"\x11\x11\x01"),
        TensorProto(name="h", data_type=TensorProto.FLOAT16, dims=[3], int32_data=[1, 2, 3]),
        TensorProto(name="f", data_type=TensorProto.FLOAT, dims=[2], float_data=[1, 2]),
        TensorProto(name="s", data_type=TensorProto.STRING, dims=[1], string_data=[b"word"]),
    ]
    made = onnx.ModelProto.FromString(with_weights(*tensors))
    values = numpy_helper.from_array(np.ones(3, dtype=np.float32), "sparse")
    indices = numpy_helper.from_array(np.arange(3), "indices")
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [100]))
    graph = read(made.SerializeToString())
    assert graph.weights_bytes == 3 + 6 + 8 + 4 + (12 + 24)


def test_sequence_output(read: Read) -> None:
    made = onnx.ModelProto.FromString(zoo.ir_version_onnx(8))
    made.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("output", TensorProto.FLOAT, None))
    assert read(made.SerializeToString()).outputs[0].dtype == "sequence"


def test_text_that_is_not_utf8(read: Read) -> None:
    content = zoo.tiny_onnx().replace(b"edge-sandbox zoo", b"\xff" * 16).replace(b"logits", b"\xff\xfe\xff\xfe\xff\xfe")
    graph = read(content)
    assert graph.producer == "�" * 16
    assert all(isinstance(name, str) for each in graph.operators for name in (*each.inputs, *each.outputs))


def test_large_weights_are_counted_wherever_they_are(read: Read) -> None:
    large = numpy_helper.from_array(np.ones(5000, dtype=np.float32), "w")
    typed = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[3000], float_data=[1] * 3000)
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["b"])], "b", [], [_INFO("b", 1, (5000,))], [large])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=large),
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
    ]
    content = model(nodes, [large, typed])
    graph = read(content)
    assert graph.weights_bytes == 4 * 20_000 + 12_000
    assert [each.type for each in graph.operators] == ["Constant", "If", "Identity", "Identity"]


def test_only_the_structure_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    parse = onnx.ModelProto.FromString

    def noted(message: bytes) -> onnx.ModelProto:
        seen.append(len(message))
        parsed: onnx.ModelProto = parse(message)
        return parsed

    monkeypatch.setattr("sandbox.graph.onnx.ModelProto", SimpleNamespace(FromString=noted))
    path = tmp_path / "large.onnx"
    path.write_bytes(with_weights(numpy_helper.from_array(np.zeros(10_000_000, dtype=np.float32), "w")))
    assert read_model(path).weights_bytes == 40_000_000
    assert seen[0] < 500


def test_external_data_is_counted_by_its_entries(read: Read, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub" / "weights.bin"
    file.write_bytes(bytes(100))
    whole = external(location="sub/weights.bin", offset="20")
    part = external(location="sub/weights.bin", offset="0", length="8")
    graph = read(with_weights(whole, part))
    assert graph.weights_bytes == 80 + 8
    assert graph.external_files == (file,)


def test_missing_external_data_is_named(read: Read) -> None:
    error = refusal(read, with_weights(external(location="weights.bin")))
    assert "'weights.bin', which is missing" in error.message


def test_external_data_that_is_a_directory(read: Read, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").mkdir()
    assert "is no file" in refusal(read, with_weights(external(location="weights.bin"))).message


def test_external_data_of_an_impossible_name(read: Read) -> None:
    assert "missing" in refusal(read, with_weights(external(location="x" * 5000))).message


@pytest.mark.parametrize(("offset", "length"), [("0", "101"), ("101", ""), ("-1", "1"), ("1", "-1"), ("90", "20")])
def test_external_data_too_short(read: Read, tmp_path: Path, offset: str, length: str) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(100))
    entry = external(location="weights.bin", offset=offset, length=length)
    assert "too short" in refusal(read, with_weights(entry)).message


def test_external_data_at_no_number(read: Read, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(100))
    assert "bad place" in refusal(read, with_weights(external(location="weights.bin", offset="ten"))).message


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "sub/../../secret", "C:\\secret", "..\\secret", "", "a\0b", "link", "loop"]
)
def test_external_data_outside_the_models_folder_is_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(100))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to(folder / "loop")
    path = folder / "model.onnx"
    path.write_bytes(with_weights(external(location=location)))
    with pytest.raises(DataFileError, match="outside its own folder: refused"):
        read_model(path)


def test_external_data_in_a_cache_of_links(tmp_path: Path) -> None:
    store, shown = tmp_path / "blobs", tmp_path / "snapshot"
    store.mkdir()
    shown.mkdir()
    (store / "1").write_bytes(with_weights(external(location="weights.bin")))
    (store / "2").write_bytes(bytes(8))
    (shown / "model.onnx").symlink_to(store / "1")
    (shown / "weights.bin").symlink_to(store / "2")
    assert read_model(shown / "model.onnx").weights_bytes == 8


def test_truncations_are_noticed(read: Read) -> None:
    content = zoo.tiny_onnx()
    for length in range(1, len(content), 37):
        refusal(read, content[:length])
    refusal(read, content[:-1])


def test_model_without_graph(read: Read) -> None:
    assert "without a graph" in refusal(read, onnx.ModelProto(ir_version=8).SerializeToString()).message


def test_model_without_opset(read: Read) -> None:
    made = onnx.ModelProto.FromString(zoo.tiny_onnx())
    made.ClearField("opset_import")
    assert "names no opset" in refusal(read, made.SerializeToString()).message


def test_model_without_operators(read: Read) -> None:
    assert "without operators" in refusal(read, model([])).message


def test_model_without_outputs(read: Read) -> None:
    made = onnx.ModelProto.FromString(zoo.tiny_onnx())
    made.graph.ClearField("output")
    assert "without outputs" in refusal(read, made.SerializeToString()).message


@pytest.mark.timeout(20)
def test_nesting_beyond_any_model(read: Read) -> None:
    message = bytes(5000)
    for number in (7, *[1, 5, 6] * 100)[::-1]:  # model.graph, then node.attribute.g again and again
        message = bytes([number << 3 | 2]) + wire._encode(len(message)) + message
    refusal(read, message)


@pytest.mark.parametrize("field", [b"\x08\x01", b"\x3a\x02\x0a\x00"])
def test_more_fields_than_are_read(read: Read, monkeypatch: pytest.MonkeyPatch, field: bytes) -> None:
    monkeypatch.setattr(wire, "_MAX_FIELDS", 1000)
    assert "more than 1000 fields" in refusal(read, b"\x08\x08\x12\x00" + field * 1100).message


def test_more_structure_than_is_read(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_MAX_SLIM_BYTES", 1000)
    nodes = [helper.make_node("Relu", ["x"], ["y"])] * 100
    assert "without weights, more than 1000" in refusal(read, model(nodes)).message


def test_more_operators_than_are_read(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.graph.onnx._MAX_OPERATORS", 10)
    assert "more than 10 operators" in refusal(read, model([helper.make_node("Relu", ["x"], ["y"])] * 11)).message


def test_more_subgraphs_than_are_read(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.graph.onnx._MAX_SUBGRAPHS", 10)
    nodes = [helper.make_node("If", ["x"], ["y"], branches=[onnx.GraphProto()] * 11)]
    assert "more than 10 subgraphs" in refusal(read, model(nodes)).message


def test_unpacked_numbers_of_a_tree_ensemble(read: Read) -> None:
    nodes = [helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_values=[0.5] * 100_000)]
    assert read(model(nodes, opsets=[("", 13), ("ai.onnx.ml", 1)])).operators[0].version == 1


def test_onnx_is_imported_only_for_onnx(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(zoo.tiny_conv_tflite("int8"))
    program = (
        "import sys; from pathlib import Path; from sandbox.graph import read_model;"
        "assert 'tflite' not in sys.modules; read_model(Path(sys.argv[1])); assert 'onnx' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
