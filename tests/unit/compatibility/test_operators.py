"""Models against the tables of real builds."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from sandbox.compatibility.accelerators import accelerate, load_accelerator
from sandbox.compatibility.operator_tables import OnnxTable, OperatorTable, load_table
from sandbox.compatibility.operators import delegations, model_problems, operator_findings
from sandbox.compatibility_result import OperatorFinding
from sandbox.graph import ModelGraph, Operator, read_model
from sandbox.resources import data_directory
from tests import zoo
from tests.record_runs import PROJECT
from tests.zoo import one_operator

TABLES = data_directory("compatibility")


def table(runtime: str, version: str) -> OperatorTable:
    found = load_table(runtime, version, "arm64", TABLES)
    assert found is not None
    return found


def written(folder: Path, name: str, content: bytes) -> ModelGraph:
    path = folder / name
    path.write_bytes(content)
    return read_model(path)


def only(graph: ModelGraph, against: OperatorTable | None) -> OperatorFinding:
    (finding,) = operator_findings(graph, against)
    return finding


def onnx_model(node: onnx.NodeProto, dtype: int = TensorProto.FLOAT, opset: int = 17, ir: int = 8) -> bytes:
    value, result = (helper.make_tensor_value_info(name, dtype, [4]) for name in "xy")
    graph = helper.make_graph([node], "one", [value], [result])
    domains = {node.domain: 1} if node.domain else {}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = ir
    return bytes(model.SerializeToString())


def test_what_the_delegate_takes_and_what_it_leaves() -> None:
    graph = read_model(PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite")
    old, new = (operator_findings(graph, table(*build)) for build in (("tflite-runtime", "2.14.0"),
                                                                      ("ai-edge-litert", "2.3.0")))  # fmt: skip
    assert {each.status for each in old if each.type == "CONV_2D"} == {"fallback"}
    assert {(each.status, each.library) for each in new if each.type == "CONV_2D"} == {("delegated", "XNNPACK")}
    assert delegations(old) == ()
    (taken,) = delegations(new)
    assert taken.operators == sum(each.status == "delegated" for each in new)
    assert 1 <= taken.partitions <= taken.operators
    assert taken.mode == "predicted"


def test_too_new_a_version(tmp_path: Path) -> None:
    """TensorFlow issue 80736."""
    graph = written(tmp_path, "new.tflite", zoo.too_new_op_version_tflite(12))
    finding = only(graph, table("tflite-runtime", "2.11.0"))
    assert finding.status == "too_new"
    assert "version 12, but this build has 1 to 9" in finding.detail
    assert only(graph, table("ai-edge-litert", "2.3.0")).status in {"delegated", "native", "fallback"}


@pytest.mark.parametrize(
    ("code", "status"),
    [("FlexRFFT", "flex"), ("NobodysOperator", "custom"), ("TFLite_Detection_PostProcess", "native")],
)
def test_custom_operators(tmp_path: Path, code: str, status: str) -> None:
    graph = written(tmp_path, "custom.tflite", zoo.custom_op_tflite(code))
    assert only(graph, table("tflite-runtime", "2.14.0")).status == status
    assert only(graph, None).status in {status, "custom"}


def test_a_type_that_the_build_refuses_in_its_own_words(tmp_path: Path) -> None:
    models = dict(one_operator.models())
    finding = only(written(tmp_path, "neg.tflite", models["NEG.int8"]), table("tflite-runtime", "2.14.0"))
    assert finding.status == "wrong_dtype"
    assert "Neg only currently supports int64, int32, and float32" in finding.detail


def test_an_operator_that_no_schema_knows() -> None:
    unknown = Operator(index=0, type="BUILTIN_999", version=1, domain="", custom=False, inputs=(), outputs=("y",),
                       dtype="float32", subgraph=0)  # fmt: skip
    graph = ModelGraph(path=Path("x"), format="tflite", size_bytes=1, inputs=(), outputs=(), operators=(unknown,),
                       weights_bytes=0, producer="")  # fmt: skip
    assert only(graph, table("tflite-runtime", "2.14.0")).status == "missing"
    assert only(graph, None).status == "unknown"


@pytest.mark.parametrize(
    ("node", "dtype", "status"),
    [
        (helper.make_node("Relu", ["x"], ["y"]), TensorProto.FLOAT, "native"),
        (helper.make_node("Relu", ["x"], ["y"]), TensorProto.BOOL, "wrong_dtype"),
        (helper.make_node("Sigmoid", ["x"], ["y"]), TensorProto.FLOAT16, "fallback"),
        (helper.make_node("Frobnicate", ["x"], ["y"]), TensorProto.FLOAT, "missing"),
        (helper.make_node("Frobnicate", ["x"], ["y"], domain="my.own"), TensorProto.FLOAT, "custom"),
        (helper.make_node("HardSwish", ["x"], ["y"]), TensorProto.FLOAT, "native"),
    ],
)
def test_onnx(tmp_path: Path, node: onnx.NodeProto, dtype: int, status: str) -> None:
    finding = only(written(tmp_path, "one.onnx", onnx_model(node, dtype)), table("onnxruntime", "1.19.2"))
    assert finding.status == status, finding


def test_an_opset_that_the_build_has_no_kernels_for(tmp_path: Path) -> None:
    old = table("onnxruntime", "1.19.2")
    assert isinstance(old, OnnxTable)
    node = helper.make_node("Reshape", ["x", "x"], ["y"])
    graph = written(tmp_path, "new.onnx", onnx_model(node, TensorProto.INT64, opset=25))
    assert only(graph, old).status == "too_new"
    (problem,) = model_problems(graph, old)
    assert f"opset 25 is newer than the {old.opset}" in problem
    assert list(model_problems(graph, table("onnxruntime", "1.31.1"))) == []


def test_an_ir_version_that_the_build_does_not_load(tmp_path: Path) -> None:
    """onnxruntime issue 20559."""
    old = table("onnxruntime", "1.19.2")
    assert isinstance(old, OnnxTable)
    graph = written(tmp_path, "ir.onnx", zoo.ir_version_onnx(99))
    (problem,) = model_problems(graph, old)
    assert problem.startswith(f"Unsupported model IR version: 99, max supported IR version: {old.ir_version}")
    assert list(model_problems(written(tmp_path, "ok.onnx", zoo.ir_version_onnx(8)), old)) == []


def test_control_flow_and_its_bodies(tmp_path: Path) -> None:
    graph = written(tmp_path, "loop.onnx", zoo.endless_model_onnx())
    found = operator_findings(graph, table("onnxruntime", "1.31.1"))
    assert {each.subgraph for each in found} >= {0, 1}
    assert {each.status for each in found} == {"native"}


def test_partitions_are_runs_of_the_delegate() -> None:
    rows = [
        OperatorFinding(index=i, type="X", version=1, dtype=None, status=status, library=library, detail="")
        for i, (status, library) in enumerate(
            [("delegated", "A"), ("delegated", "A"), ("native", "B"), ("delegated", "A"), ("delegated", "C")]
        )
    ]  # fmt: skip
    assert [(each.name, each.operators, each.partitions) for each in delegations(rows)] == [("A", 3, 2), ("C", 1, 1)]


def test_accelerators(tmp_path: Path) -> None:
    int8 = read_model(PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite")
    coral = accelerate(int8, "coral-edgetpu", load_accelerator("coral-edgetpu", TABLES))
    assert (coral.mapped, coral.conditional, coral.fallback) == (29, 2, 0)
    wrong = accelerate(int8, "tensorrt", load_accelerator("tensorrt", TABLES))
    assert wrong.fallback == len(int8.operators)
    assert wrong.operators[0].detail == "it takes onnx models"
    float32 = written(tmp_path, "float.tflite", zoo.make("tiny_conv_fp32.tflite"))
    ethos = accelerate(float32, "ethos-u55", load_accelerator("ethos-u55", TABLES))
    assert ethos.fallback == len(float32.operators)
    assert "not float32" in ethos.operators[0].detail
