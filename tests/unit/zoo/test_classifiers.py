"""The published classifiers cost and weigh what their papers say."""

from __future__ import annotations

from math import prod

import pytest
import tflite  # type: ignore[import-untyped]

from sandbox.zoo.classifiers import classifier
from sandbox.zoo.network import Precision


def multiply_adds(content: bytes) -> int:
    subgraph = tflite.Model.GetRootAs(content, 0).Subgraphs(0)
    total = 0
    for index in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(index)
        if operator.InputsLength() == 3:  # input, kernel, bias
            shape = [int(n) for n in subgraph.Tensors(operator.Outputs(0)).ShapeAsNumpy()]
            out, *kernel = (int(n) for n in subgraph.Tensors(operator.Inputs(1)).ShapeAsNumpy())
            depthwise = out == 1 and len(kernel) == 3
            total += prod(shape) * (kernel[0] * kernel[1] if depthwise else prod(kernel))
    return total


@pytest.mark.parametrize(
    ("name", "millions"),
    [  # Howard et al. 2017, Sandler et al. 2018, Howard et al. 2019, TensorFlow's pages of EfficientNet-Lite
        ("mobilenet_v1_1.0_224", 569),
        ("mobilenet_v1_0.25_128", 14),
        ("mobilenet_v2_1.0_224", 300),
        ("mobilenet_v2_1.4_224", 582),
        ("mobilenet_v3_large_1.0_224", 217),
        ("mobilenet_v3_small_1.0_224", 56),
        ("efficientnet_lite0", 407),
        ("efficientnet_lite4", 2640),
        ("resnet50_v1.5", 4100),
    ],
)
def test_multiply_adds_are_as_published(name: str, millions: int) -> None:
    assert multiply_adds(classifier(name, "uint8")) / 1e6 == pytest.approx(millions, rel=0.06)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_the_same_bytes_every_time(dtype: Precision) -> None:
    assert classifier("mobilenet_v2_0.35_96", dtype) == classifier("mobilenet_v2_0.35_96", dtype)


@pytest.mark.parametrize("name", ["mobilenet_v9", "op_conv9x9_8_8", "op_dense_0_x", ""])
def test_an_unknown_name_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        classifier(name, "float32")
