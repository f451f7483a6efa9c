"""The plan of a whole model, checked against what real runs showed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.graph import read_dataflow, read_model
from sandbox.static.arena import ALIGNMENT
from sandbox.static.memory import MemoryPlan, plan_memory
from tests import zoo
from tests.record_runs import PROJECT, RUNS

EXAMPLE = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
EXAMPLE_ONNX = PROJECT / "examples" / "mobilenet_v1_0.25_128_fp32.onnx"


def plan(
    path: Path,
    runtime: str = "tflite-runtime",
    shapes: dict[str, tuple[int, ...]] | None = None,
    version: str = "",
) -> MemoryPlan:
    graph = read_model(path)
    flows = read_dataflow(graph, shapes or {})
    return plan_memory(graph, flows, runtime=runtime, architecture="arm64", version=version)


def written(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(zoo.make(name))
    return path


def parts(found: MemoryPlan) -> dict[str, int]:
    return {part.name: part.size_bytes for part in found.parts}


def test_the_arena_is_the_runtime_s_own_to_the_byte() -> None:
    """massif saw ArenaPlanner::Commit allocate the block and one alignment more at each end."""
    seen = re.findall(
        r"n1: (\d+) 0x[0-9A-F]+: tflite::ArenaPlanner::Commit", (RUNS / "ready/heap/massif.out").read_text()
    )
    assert plan(EXAMPLE).activations_bytes == int(seen[-1]) - 2 * ALIGNMENT


def test_the_operator_that_sets_the_peak() -> None:
    found = plan(EXAMPLE)
    top = found.peak_step
    assert top is not None
    assert (top.index, top.type, top.name) == (0, "CONV_2D", "conv")
    assert top.live_bytes == 128 * 128 * 3 + 64 * 64 * 8
    assert top.workspace_bytes == 64 * 64 * 27
    pointwise = 128 * 128 * 3 + 64 * 64 * 8 + 64 * 64 * 16
    assert found.margin_bytes == top.total_bytes - pointwise
    assert (found.inputs_bytes, found.outputs_bytes) == (128 * 128 * 3, 1001)


def test_xnnpack_doubles_the_weights(tmp_path: Path) -> None:
    path = written(tmp_path, "mobilenet_v1_0.25_128_fp32.tflite")
    found = parts(plan(path))
    assert found["packed weights"] == pytest.approx(found["weights"], rel=0.01)
    assert found["indirection buffers"] > 0
    assert parts(plan(EXAMPLE))["packed weights"] == 0


def test_onnx_shapes_are_inferred() -> None:
    found = plan(EXAMPLE_ONNX, "onnxruntime")
    assert found.open is None
    assert found.inputs_bytes == 4 * 3 * 128 * 128
    # input and, from the first pointwise convolution on, 8 and 16 channels of 64 × 64 in float
    assert found.activations_bytes == 4 * (3 * 128 * 128 + (8 + 16) * 64 * 64)
    assert len(found.steps) == len(read_model(EXAMPLE_ONNX).operators)


def test_copies_of_onnx_weights_count_once_the_larger_way(tmp_path: Path) -> None:
    matrices = written(tmp_path, "perceptron_1024.onnx")
    newer, older = (parts(plan(matrices, "onnxruntime", version=version)) for version in ("1.31.1", "1.19.2"))
    assert (newer["largest weight"], newer["packed weights"]) == (4 * 1024 * 1024, 0)
    assert (older["largest weight"], older["packed weights"]) == (0, 4 * (4 * 1024 * 1024 + 1024 * 10))
    convolutions = written(tmp_path, "resnet18_128.onnx")
    newer, older = (parts(plan(convolutions, "onnxruntime", version=version)) for version in ("1.31.1", "1.19.2"))
    assert newer == older
    assert newer["largest weight"] == 4 * 512 * 512 * 3 * 3


def test_a_batch_scales_the_activations(tmp_path: Path) -> None:
    path = written(tmp_path, "dynamic_batch.onnx")
    one, four = (plan(path, "onnxruntime", {"input": (n, 3, 8, 8)}) for n in (1, 4))
    assert one.inputs_bytes == 4 * 3 * 8 * 8
    assert four.inputs_bytes == 4 * one.inputs_bytes
    assert one.activations_bytes is not None
    assert four.activations_bytes is not None
    assert 3 * one.activations_bytes < four.activations_bytes <= 4 * one.activations_bytes


def test_open_sizes_are_a_reason_not_a_number(tmp_path: Path) -> None:
    found = plan(written(tmp_path, "dynamic_batch.onnx"), "onnxruntime")
    assert (found.activations_bytes, found.parts, found.steps, found.peak_step) == (None, (), (), None)
    assert found.open
    assert "'input'" in found.open
    found = plan(written(tmp_path, "dynamic.tflite"), shapes={"input": (7, 16)})
    assert found.inputs_bytes == 7 * 16 * 4
    assert found.open
    assert "only the run time knows" in found.open


def test_the_shape_in_the_file_is_what_tflite_allocates(tmp_path: Path) -> None:
    path = written(tmp_path, "dynamic.tflite")
    assert plan(path).activations_bytes == plan(path, shapes={"input": (1, 16)}).activations_bytes == 64 + 64 + 16


def test_activations_written_at_run_time_count(tmp_path: Path) -> None:
    path = written(tmp_path, "memory_hog_300.tflite")
    found = plan(path)
    assert found.peak_step is not None
    assert path.stat().st_size < 2000
    assert found.peak_step.type in {"FILL", "SLICE"}
    assert found.activations_bytes == pytest.approx(300 << 20, rel=1e-6)
