"""The whole static report of one model, and models that nobody should have made: named, not crashed on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tflite  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from sandbox import rundir
from sandbox.check import CheckRequest, check
from sandbox.check_result import CheckResult
from sandbox.compatibility import Target, examine
from sandbox.device import load_device, select_os
from sandbox.errors import DataFileError, SandboxError
from sandbox.graph import read_model
from sandbox.image.spec import load_lock, load_spec
from sandbox.reports import check_terminal
from sandbox.resources import data_directory
from tests import zoo
from tests.record_runs import PROJECT

EXAMPLE = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
EXAMPLE_ONNX = PROJECT / "examples" / "mobilenet_v1_0.25_128_fp32.onnx"
MODELS = (zoo.tiny_conv_tflite("int8"), zoo.custom_op_tflite(), zoo.tiny_onnx(), zoo.endless_model_onnx())


def checked(model: Path, device: str = "rpi4b", **options: Any) -> CheckResult:
    return check(CheckRequest(model=model, device=device, **options))


def status_of(result: CheckResult) -> dict[str, str]:
    return {each.id: each.status for each in result.checks}


@pytest.mark.parametrize("device", ["rpi4b", "rpi5", "rpi-zero-2w"])
@pytest.mark.parametrize("model", [EXAMPLE, EXAMPLE_ONNX], ids=["tflite", "onnx"])
def test_the_examples_have_no_gap(model: Path, device: str) -> None:
    result = checked(model, device)
    assert status_of(result) == {"memory": "pass", "abi": "pass", "cpu": "pass", "operators": "pass"}
    assert result.compatibility is not None
    assert {table.name.partition(" ")[0] for table in result.compatibility.tables} >= {"wheels", "operators"}
    assert all(table.source and table.date for table in result.compatibility.tables)


def test_the_flagship_of_the_field() -> None:
    """onnxruntime 1.21.0: an illegal instruction on a Pi 4, none on a Pi 5 (onnxruntime issue 23957)."""
    pi4, pi5 = (checked(EXAMPLE_ONNX, device, runtime="onnxruntime@1.21.0") for device in ("rpi4b", "rpi5"))
    assert (status_of(pi4)["cpu"], status_of(pi5)["cpu"]) == ("fail", "pass")
    assert pi4.verdict.status == "not_ready"
    assert "illegal instruction" in " ".join(pi4.verdict.reasons)


def test_a_runtime_that_the_image_has_not() -> None:
    result = checked(EXAMPLE_ONNX, os="bookworm-armhf", runtime="onnxruntime")
    assert result.verdict.status == "not_ready"
    assert "none for armv7l" in result.checks[1].reason


def test_a_wheel_that_nobody_has_read_yet(tmp_path: Path) -> None:
    device = load_device("rpi4b", data_directory("device_specs"))
    images = data_directory("images")
    target = Target(
        device=device,
        os=select_os(device, None),
        spec=load_spec("bookworm-arm64", images),
        lock=load_lock("bookworm-arm64", images),
        runtime="onnxruntime",
        version="1.17.3",
    )
    found = examine(read_model(EXAMPLE_ONNX), target, directory=data_directory("compatibility"), cache=tmp_path)
    assert found.install.status == "pass"
    assert "a profile with --runtime onnxruntime@1.17.3 brings them" in (found.abi_unavailable or "")
    assert "no table of onnxruntime 1.17.3" in (found.operators_unavailable or "")
    assert {each.status for each in found.operators} == {"unknown"}
    assert list(tmp_path.iterdir()) == []
    rundir.write_compatibility(tmp_path, found)
    assert rundir.read_compatibility(tmp_path) == found
    (tmp_path / rundir.COMPATIBILITY).write_text("{}")
    with pytest.raises(DataFileError, match="damaged"):
        rundir.read_compatibility(tmp_path)
    (tmp_path / rundir.COMPATIBILITY).unlink()
    assert rundir.read_compatibility(tmp_path) is None


def test_flex_and_custom_operators_end_in_a_verdict(tmp_path: Path) -> None:
    path = tmp_path / "custom.tflite"
    path.write_bytes(zoo.custom_op_tflite("FlexRFFT"))
    result = checked(path)
    assert result.verdict.status == "not_ready"
    assert "Flex delegate" in " ".join(result.verdict.reasons)
    text = check_terminal.render(result)
    assert "FAILS" in text
    assert "FlexRFFT" in text


def test_packed_and_sparse_weights_are_named(tmp_path: Path) -> None:
    """No writer of ours makes such files, so the type of a weight is changed in place."""
    content = bytearray(zoo.tiny_conv_tflite("int8"))
    tensor = tflite.Model.GetRootAs(content, 0).Subgraphs(0)
    for index in range(tensor.TensorsLength()):
        each = tensor.Tensors(index)
        if each.Type() == tflite.TensorType.INT8 and b"weights" in each.Name():
            content[each._tab.Pos + each._tab.Offset(6)] = tflite.TensorType.INT4
    path = tmp_path / "int4.tflite"
    path.write_bytes(content)
    result = checked(path)
    assert result.compatibility is not None
    assert "int4" in result.compatibility.weight_types
    assert "int4" in check_terminal.render(result)

    values = numpy_helper.from_array(np.ones(2, np.float32), "w")
    places = numpy_helper.from_array(np.array([0, 3]), "w_at")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "sparse",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
    )
    graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4]))
    sparse = tmp_path / "sparse.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), sparse)
    assert read_model(sparse).weight_types == ("int64", "sparse float32")


def test_weights_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(onnx.load(EXAMPLE_ONNX), path, save_as_external_data=True, location="weights.bin")
    checked(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(DataFileError, match=r"'weights\.bin', which is missing"):
        checked(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(MODELS), st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=5))
def test_damaged_models(tmp_path: Path, model: bytes, changes: list[tuple[float, int]]) -> None:
    content = bytearray(model)
    for place, value in changes:
        content[int(place * len(content))] = value
    path = tmp_path / "damaged.bin"
    path.write_bytes(content)
    try:
        result: object = checked(path)
    except SandboxError as error:
        result = error
    assert isinstance(result, (CheckResult, SandboxError))


def test_it_takes_no_time_for_a_large_model(tmp_path: Path) -> None:
    path = tmp_path / "large.tflite"
    path.write_bytes(zoo.make("mobilenet_v1_1.0_224_fp32.tflite"))
    checked(path)
    started = time.process_time()
    checked(path)
    assert time.process_time() - started < 1
