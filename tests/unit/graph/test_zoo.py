"""The models made here: what they claim to be, and the same bytes every time."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from math import prod
from pathlib import Path

import pytest
import tflite  # type: ignore[import-untyped]

from sandbox.graph import ModelGraph, read_model
from tests import zoo

PROJECT = Path(__file__).parents[3]
EXAMPLES = PROJECT / "examples"
SMALL_MODELS = (
    "tiny_conv_fp32.tflite",
    "tiny_conv_int8.tflite",
    "dynamic.tflite",
    "dynamic_size.tflite",
    "conv_version_7.tflite",
    "custom_op_FlexRFFT.tflite",
    "too_new_op_version.tflite",
    "memory_hog_300.tflite",
    "tiny.onnx",
    "dynamic_batch.onnx",
    "ir_version_10.onnx",
    "endless_model.onnx",
)


def graph_of(content: bytes, folder: Path) -> ModelGraph:
    path = folder / "model"
    path.write_bytes(content)
    return read_model(path)


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_small_model_is_small_and_always_the_same(name: str, tmp_path: Path) -> None:
    content = zoo.make(name)
    assert content == zoo.make(name)
    assert len(content) < 5000
    assert graph_of(content, tmp_path).format == name.rpartition(".")[2]


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no model 'mobilenet\.tflite'.*tiny\.onnx"):
        zoo.make("mobilenet.tflite")


def test_command_writes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "made.onnx"
    subprocess.run([sys.executable, "-m", "tests.zoo", "tiny.onnx", path], check=True, cwd=PROJECT)
    assert path.read_bytes() == zoo.tiny_onnx()


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128_int8.tflite", "mobilenet_v1_0.25_128_fp32.onnx"])
def test_example_is_what_its_name_makes(name: str) -> None:
    assert (EXAMPLES / name).read_bytes() == zoo.make(name)
    assert name in (EXAMPLES / "README.md").read_text()


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_mobilenet_is_as_published(dtype: zoo.Precision, tmp_path: Path) -> None:
    graph = graph_of(zoo.mobilenet_v1(1.0, 224, dtype), tmp_path)
    quantised = dtype == "int8"
    assert Counter((each.type, each.version) for each in graph.operators) == {
        ("CONV_2D", 3 if quantised else 1): 15,
        ("DEPTHWISE_CONV_2D", 3 if quantised else 1): 13,
        ("AVERAGE_POOL_2D", 2 if quantised else 1): 1,
        ("RESHAPE", 1): 1,
        ("SOFTMAX", 2 if quantised else 1): 1,
    }
    assert [(each.dtype, each.shape) for each in (*graph.inputs, *graph.outputs)] == [
        (dtype, (1, 224, 224, 3)),
        (dtype, (1, 1001)),
    ]
    # Keras counts 4,253,864 parameters: 4 of batch normalisation for each of 10,944 channels, 1000 classes with biases.
    # Here batch normalisation is folded into one bias per channel, and there are 1001 classes.
    kernels = 4_253_864 - 4 * 10_944 - 1000 * 1025 + 1001 * 1024
    biases = 10_944 + 1001
    parameters = graph.weights_bytes - 8  # less the target of RESHAPE
    assert parameters == (kernels + 4 * biases if quantised else 4 * (kernels + biases))


def test_mobilenet_costs_what_the_paper_says() -> None:
    subgraph = tflite.Model.GetRootAs(zoo.mobilenet_v1(1.0, 224, "int8"), 0).Subgraphs(0)
    multiply_adds = 0
    for index in range(28 + 1):
        operator = subgraph.Operators(index)
        if operator.InputsLength() == 3:  # a convolution: input, kernel, bias
            _, height, width, depth = (int(n) for n in subgraph.Tensors(operator.Outputs(0)).ShapeAsNumpy())
            out, *kernel = (int(n) for n in subgraph.Tensors(operator.Inputs(1)).ShapeAsNumpy())
            per_value = prod(kernel) if out == depth else kernel[0] * kernel[1]  # depthwise kernels begin with 1
            multiply_adds += height * width * depth * per_value
    assert round(multiply_adds / 1e6) == 569  # Howard et al. 2017, table 6


def test_mobilenet_onnx_has_the_same_layers(tmp_path: Path) -> None:
    graph = graph_of(zoo.mobilenet_v1_onnx(0.5, 96), tmp_path)
    kinds = Counter(each.type for each in graph.operators)
    assert kinds == {"Conv": 27, "Clip": 27, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1, "Softmax": 1}
    assert graph.inputs[0].shape == (1, 3, 96, 96)


def test_constants_are_aligned_as_the_schema_asks() -> None:
    content = zoo.tiny_conv_tflite("int8")
    model = tflite.Model.GetRootAs(content, 0)
    assert model.Buffers(0).DataIsNone()
    for index in range(1, model.BuffersLength()):
        table = model.Buffers(index)._tab
        assert table.Vector(table.Offset(4)) % 16 == 0


def test_int8_kernels_are_quantised_per_channel() -> None:
    subgraph = tflite.Model.GetRootAs(zoo.tiny_conv_tflite("int8"), 0).Subgraphs(0)
    kernel = subgraph.Tensors(subgraph.Operators(0).Inputs(1))
    assert (kernel.Quantization().ScaleLength(), kernel.ShapeAsNumpy().tolist()) == (4, [4, 3, 3, 3])
