"""ONNX models of other families than MobileNet: each keeps memory in another way."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from sandbox.zoo.weights import Weights

from .onnx_models import model_of

_CLASSES = 1000
_EXPANSION = 4
_HEADS = 4


class _Graph:
    """Nodes and their weights; methods give the name of their output."""

    def __init__(self, *shape: int) -> None:
        self._shape = shape
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._weights = Weights(seed=3)

    def constant(self, values: Any) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def weight(self, *shape: int, fan_in: int) -> str:
        return self.constant(self._weights.layer(*shape, fan_in=fan_in).kernel.astype(np.float32))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def finish(self, name: str, value: str, *shape: int) -> bytes:
        info = helper.make_tensor_value_info
        inputs = [info("input", TensorProto.FLOAT, self._shape)]
        outputs = [info(value, TensorProto.FLOAT, shape)]
        return model_of(helper.make_graph(self._nodes, name, inputs, outputs, self._constants))

    def conv(self, value: str, depths: tuple[int, int], kernel: int, stride: int = 1) -> str:
        before, after = depths
        weights = self.weight(after, before, kernel, kernel, fan_in=kernel * kernel * before)
        pads, strides = [kernel // 2] * 4, [stride] * 2
        return self.node("Conv", value, weights, kernel_shape=[kernel] * 2, strides=strides, pads=pads)

    def dense(self, value: str, before: int, after: int) -> str:
        product = self.node("MatMul", value, self.weight(before, after, fan_in=before))
        return self.node("Add", product, self.constant(np.zeros(after, dtype=np.float32)))


def resnet18_onnx(size: int) -> bytes:
    """ResNet-18 (He et al. 2015), batch normalisation folded in: shortcuts keep activations alive."""
    graph = _Graph(1, 3, size, size)
    value = graph.node("Relu", graph.conv("input", (3, 64), 7, 2))
    value = graph.node("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    depth = 64
    for stage, wide in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            inner = graph.node("Relu", graph.conv(value, (depth, wide), 3, stride))
            inner = graph.conv(inner, (wide, wide), 3)
            shortcut = value if depth == wide else graph.conv(value, (depth, wide), 1, stride)
            value, depth = graph.node("Relu", graph.node("Add", inner, shortcut)), wide
    value = graph.node("Flatten", graph.node("GlobalAveragePool", value), axis=1)
    return graph.finish("resnet18", graph.dense(value, depth, _CLASSES), 1, _CLASSES)


def perceptron_onnx(width: int) -> bytes:
    """Four dense layers of ``width``: hardly any activations beside the weights."""
    graph = _Graph(1, width)
    value = "input"
    for _layer in range(4):
        value = graph.node("Relu", graph.dense(value, width, width))
    return graph.finish("perceptron", graph.dense(value, width, 10), 1, 10)


def transformer_onnx(depth: int, length: int) -> bytes:
    """Two encoder blocks (Vaswani et al. 2017) over ``length`` tokens of ``depth``: attention grows with the square."""
    graph = _Graph(1, length, depth)
    value, each = "input", depth // _HEADS
    split = graph.constant(np.array([1, length, _HEADS, each], dtype=np.int64))
    joined = graph.constant(np.array([1, length, depth], dtype=np.int64))
    for _block in range(2):
        query, key, content = (graph.node("Reshape", graph.dense(value, depth, depth), split) for _ in range(3))
        query, content = (graph.node("Transpose", each_, perm=[0, 2, 1, 3]) for each_ in (query, content))
        scores = graph.node("MatMul", query, graph.node("Transpose", key, perm=[0, 2, 3, 1]))
        mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), content)
        mixed = graph.node("Reshape", graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), joined)
        value = graph.node("Add", value, graph.dense(mixed, depth, depth))
        wide = graph.node("Relu", graph.dense(value, depth, _EXPANSION * depth))
        value = graph.node("Add", value, graph.dense(wide, _EXPANSION * depth, depth))
    return graph.finish("transformer", value, 1, length, depth)


def lstm_onnx(hidden: int, length: int) -> bytes:
    """One LSTM layer over ``length`` steps: its kernel repacks the weights for itself."""
    graph = _Graph(length, 1, hidden)
    parameters = (graph.weight(1, 4 * hidden, hidden, fan_in=hidden) for _ in range(2))
    value = graph.node("LSTM", "input", *parameters, hidden_size=hidden)
    return graph.finish("lstm", value, length, 1, 1, hidden)
