"""TFLite flatbuffers: real ones, odd ones, damaged ones."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import pytest
import tflite  # type: ignore[import-untyped]

from sandbox.errors import DataFileError
from sandbox.graph import ModelGraph, Tensor, read_model
from sandbox.zoo import flatbuffer
from sandbox.zoo.flatbuffer import TfliteFile
from tests import zoo

REAL_MODELS = Path(__file__).parents[3].parent / "shared" / "models"

Read = Callable[[bytes], ModelGraph]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(content: bytes) -> ModelGraph:
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        return read_model(path)

    return read


def refusal(read: Read, content: bytes) -> str:
    with pytest.raises(DataFileError) as caught:
        read(content)
    assert "model.tflite" in caught.value.message
    assert caught.value.hint
    return caught.value.message


def overwritten(content: bytes, table: Any, slot: int, layout: str, value: int) -> bytes:
    """``content`` with another number in the ``slot``-th field of ``table``, which must be present."""
    changed = bytearray(content)
    offset = table._tab.Offset(4 + 2 * slot)
    assert offset
    struct.pack_into(layout, changed, table._tab.Pos + offset, value)
    return bytes(changed)


def with_vector_length(content: bytes, table: Any, slot: int, length: int) -> bytes:
    changed = bytearray(content)
    start = table._tab.Vector(table._tab.Offset(4 + 2 * slot))
    struct.pack_into("<I", changed, start - 4, length)
    return bytes(changed)


def test_real_keyword_spotting_model() -> None:
    path = REAL_MODELS / "kws_ref_model.tflite"
    if not path.exists():
        pytest.skip("no real models beside the project")
    graph = read_model(path)
    assert graph.format == "tflite"
    assert graph.size_bytes == path.stat().st_size
    assert graph.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert graph.inputs == (Tensor(name="input_1", dtype="int8", shape=(None, 49, 10, 1)),)
    assert graph.outputs == (Tensor(name="Identity", dtype="int8", shape=(None, 12)),)
    assert Counter((each.type, each.version) for each in graph.operators) == {
        ("CONV_2D", 3): 5,
        ("DEPTHWISE_CONV_2D", 3): 4,
        ("AVERAGE_POOL_2D", 2): 1,
        ("RESHAPE", 1): 1,
        ("FULLY_CONNECTED", 4): 1,
        ("SOFTMAX", 2): 1,
    }
    assert {each.dtype for each in graph.operators} == {"int8"}
    assert graph.producer == "MLIR Converted."
    assert graph.weights_bytes == 22_016 + 2_352 + 8  # kernels, biases, the target of RESHAPE


def test_every_real_model_reads() -> None:
    paths = sorted(REAL_MODELS.glob("*.tflite"))
    if not paths:
        pytest.skip("no real models beside the project")
    for path in paths:
        graph = read_model(path)
        assert 0 < graph.weights_bytes < graph.size_bytes
        assert graph.operators
        assert graph.operators[-1].outputs == tuple(tensor.name for tensor in graph.outputs)
        assert not any(operator.custom or operator.domain for operator in graph.operators)


def test_tiny_model_in_full(read: Read) -> None:
    graph = read(zoo.tiny_conv_tflite("int8"))
    assert [(each.index, each.type, each.version, each.subgraph) for each in graph.operators] == [
        (0, "CONV_2D", 3, 0),
        (1, "RESHAPE", 1, 0),
        (2, "FULLY_CONNECTED", 4, 0),
        (3, "SOFTMAX", 2, 0),
    ]
    assert graph.operators[0].inputs == ("input", "conv/weights", "conv/bias")
    assert graph.operators[0].outputs == ("conv",)
    assert graph.weights_bytes == 3 * 3 * 3 * 4 + 4 * 4 + 64 * 10 + 10 * 4 + 2 * 4
    assert (graph.opsets, graph.ir_version, graph.external_files) == ({}, None, ())


def test_unknown_dimension_comes_from_the_signature(read: Read) -> None:
    graph = read(zoo.dynamic_tflite())
    assert graph.inputs[0].shape == (None, 16)
    assert graph.outputs[0].shape == (None, 4)


def test_custom_operator(read: Read) -> None:
    (operator,) = read(zoo.custom_op_tflite("FlexRFFT")).operators
    assert (operator.type, operator.custom, operator.dtype) == ("FlexRFFT", True, "complex64")


def test_operator_version_newer_than_any_runtime(read: Read) -> None:
    assert read(zoo.too_new_op_version_tflite(99)).operators[0].version == 99


def test_builtin_that_the_schema_does_not_know(read: Read) -> None:
    content = zoo.too_new_op_version_tflite()
    code = tflite.Model.GetRootAs(content, 0).OperatorCodes(0)
    (operator,) = read(overwritten(content, code, 3, "<i", 4711)).operators
    assert (operator.type, operator.custom) == ("BUILTIN_4711", False)


@pytest.mark.parametrize(("narrow", "wide"), [(9, 0), (0, 9), (9, 9)])
def test_builtin_code_is_the_larger_of_its_two_fields(read: Read, narrow: int, wide: int) -> None:
    content = zoo.too_new_op_version_tflite()
    code = tflite.Model.GetRootAs(content, 0).OperatorCodes(0)
    content = overwritten(overwritten(content, code, 0, "<b", narrow), code, 3, "<i", wide)
    assert read(content).operators[0].type == "FULLY_CONNECTED"


def test_tensor_type_that_the_schema_does_not_know(read: Read) -> None:
    content = zoo.tiny_conv_tflite("int8")
    tensor = tflite.Model.GetRootAs(content, 0).Subgraphs(0).Tensors(0)
    assert read(overwritten(content, tensor, 1, "<b", 99)).inputs[0].dtype == "tensortype_99"


def test_optional_input_left_out(read: Read) -> None:
    file = TfliteFile("no bias")
    value, weights, out = (file.tensor(name, "float32", (1, 1)) for name in ("value", "weights", "out"))
    file.operator("FULLY_CONNECTED", 1, [value, weights, -1], [out])
    assert read(file.finish([value], [out])).operators[0].inputs == ("value", "weights", "")


def test_operators_of_all_subgraphs(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    vector = flatbuffer._vector
    # Of all the model's vectors only that of subgraphs has one entry.
    monkeypatch.setattr(flatbuffer, "_vector", lambda b, offsets: vector(b, offsets * (2 if len(offsets) == 1 else 1)))
    graph = read(zoo.tiny_conv_tflite("int8"))
    assert [(each.subgraph, each.index) for each in graph.operators] == [(s, i) for s in (0, 1) for i in range(4)]


@pytest.mark.parametrize("missing_bytes", [0, 1])
def test_weights_behind_the_flatbuffer(read: Read, monkeypatch: pytest.MonkeyPatch, missing_bytes: int) -> None:
    def buffer(b: Any, data: bytes) -> int:
        tflite.BufferStart(b)
        tflite.BufferAddOffset(b, 100_000 if data else 1)
        tflite.BufferAddSize(b, len(data))
        return int(tflite.BufferEnd(b))

    monkeypatch.setattr(flatbuffer, "_buffer", buffer)
    content = zoo.tiny_conv_tflite("int8").ljust(100_000 + 640 - missing_bytes, b"\x01")
    if missing_bytes:
        assert "ends beyond the end of the file" in refusal(read, content)
    else:
        assert read(content).weights_bytes == 812


def test_metadata_is_no_weight_and_shared_buffers_count_once(read: Read) -> None:
    content = zoo.tiny_conv_tflite("int8")
    subgraph = tflite.Model.GetRootAs(content, 0).Subgraphs(0)
    indices = [i for i in range(subgraph.TensorsLength()) if subgraph.Tensors(i).Buffer()]
    kernel, bias = subgraph.Tensors(indices[0]), subgraph.Tensors(indices[1])
    shared = overwritten(content, bias, 2, "<I", kernel.Buffer())
    assert read(shared).weights_bytes == 812 - 4 * 4


def test_model_without_subgraph(read: Read) -> None:
    content = zoo.tiny_conv_tflite("int8")
    model = tflite.Model.GetRootAs(content, 0)
    assert "no subgraph" in refusal(read, with_vector_length(content, model, 2, 0))


def test_model_without_operators(read: Read) -> None:
    file = TfliteFile("empty")
    value = file.tensor("value", "float32", (1,))
    assert "no operators" in refusal(read, file.finish([value], [value]))


def test_model_without_outputs(read: Read) -> None:
    file = TfliteFile("mute")
    value = file.tensor("value", "float32", (1,))
    file.operator("ADD", 1, [value, value], [value])
    assert "no outputs" in refusal(read, file.finish([value], []))


def test_other_schema_version(read: Read) -> None:
    content = zoo.tiny_conv_tflite("int8")
    assert "schema version" in refusal(read, overwritten(content, tflite.Model.GetRootAs(content, 0), 0, "<I", 2))


def test_every_truncation_is_noticed(read: Read) -> None:
    content = zoo.tiny_conv_tflite("int8")
    for length in range(8, len(content), 37):
        assert "damaged or truncated" in refusal(read, content[:length])
    refusal(read, content[:-1])


@pytest.mark.parametrize("index", [-2, 1000, 2**31 - 1, -(2**31)])
def test_tensor_index_out_of_range(read: Read, index: int) -> None:
    file = TfliteFile("wild")
    value = file.tensor("value", "float32", (1,))
    file.operator("ADD", 1, [value, index], [value])
    assert "it has no tensor" in refusal(read, file.finish([value], [value]))


def test_operator_code_out_of_range(read: Read) -> None:
    content = zoo.tiny_conv_tflite("int8")
    operator = tflite.Model.GetRootAs(content, 0).Subgraphs(0).Operators(1)
    assert "it has no operator code 77" in refusal(read, overwritten(content, operator, 0, "<I", 77))


def test_buffer_out_of_range(read: Read) -> None:
    content = zoo.tiny_conv_tflite("int8")
    tensor = tflite.Model.GetRootAs(content, 0).Subgraphs(0).Tensors(1)
    assert "it has no buffer 7777" in refusal(read, overwritten(content, tensor, 2, "<I", 7777))


@pytest.mark.parametrize("length", [2**32 - 1, 10_000_000])
@pytest.mark.parametrize("slot", [1, 2, 4])
def test_vector_longer_than_the_file(read: Read, slot: int, length: int) -> None:
    content = zoo.tiny_conv_tflite("int8")
    assert "claims" in refusal(read, with_vector_length(content, tflite.Model.GetRootAs(content, 0), slot, length))


@pytest.mark.timeout(20)
def test_overlapping_vectors_cannot_blow_up_time_or_memory(read: Read) -> None:
    # 200,000 operators that all are one table, whose 200,000 inputs are one vector: 40 thousand million names.
    b = flatbuffers.Builder(1 << 20)
    numbers = flatbuffer._numbers(b, [0] * 200_000)
    tflite.OperatorStart(b)
    tflite.OperatorAddInputs(b, numbers)
    operators = flatbuffer._vector(b, [tflite.OperatorEnd(b)] * 200_000)
    tensors = flatbuffer._vector(
        b,
        [
            flatbuffer._tensor(
                b, flatbuffer._Tensor(name="t", dtype="int8", shape=(1,), signature=None, buffer=0, quantisation=None)
            )
        ],
    )
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, tensors)
    tflite.SubGraphAddOperators(b, operators)
    subgraphs = flatbuffer._vector(b, [tflite.SubGraphEnd(b)])
    codes = flatbuffer._vector(b, [flatbuffer._code(b, "ADD", 1)])
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddOperatorCodes(b, codes)
    tflite.ModelAddSubgraphs(b, subgraphs)
    b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
    assert "longer than the file allows" in refusal(read, bytes(b.Output()))
