"""ONNX models: MobileNet v1, and small ones with one peculiarity each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sandbox.zoo.weights import Weights

from .mobilenet import LOGIT_GAIN, blocks, channels

_OPSET = 13
_IR_VERSION = 8  # of onnx 1.10 to 1.13; read by every ONNX Runtime from 1.9 on
_FOREVER = np.iinfo(np.int64).max


class _Network:
    """A chain of nodes; each method appends one and makes its output the next one's input."""

    def __init__(self, shape: Sequence[int | str]) -> None:
        self._input = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._value = "input"

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, name: str, *constants: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, [self._value, *constants], [name], name=name, **attributes))
        self._value = name

    def finish(self, name: str, shape: Sequence[int | str]) -> bytes:
        output = helper.make_tensor_value_info(self._value, TensorProto.FLOAT, shape)
        return model_of(helper.make_graph(self._nodes, name, [self._input], [output], self._constants))


def mobilenet_v1_onnx(width: float, size: int) -> bytes:
    """MobileNet v1 in float32 for ``size`` × ``size`` RGB images (NCHW) and 1001 classes, batch 1."""
    weights = Weights(seed=1)
    network = _Network((1, 3, size, size))
    limits = _relu6_limits(network)
    depth = channels(32, width)
    _conv(network, limits, weights, "conv", (3, 3, 3, depth), stride=2)
    for number, block in enumerate(blocks(width), start=1):
        _conv(network, limits, weights, f"depthwise_{number}", (3, 3, 1, depth), stride=block.stride, group=depth)
        _conv(network, limits, weights, f"pointwise_{number}", (1, 1, depth, block.depth), stride=1)
        depth = block.depth
    network.node("GlobalAveragePool", "average_pool")
    network.node("Flatten", "flatten", axis=1)
    layer = weights.layer(depth, 1001, fan_in=depth, gain=LOGIT_GAIN)
    parameters = (network.constant("logits/weights", layer.kernel.T), network.constant("logits/bias", layer.bias))
    network.node("Gemm", "logits", *parameters, transB=1)
    network.node("Softmax", "probabilities", axis=1)
    return network.finish("mobilenet_v1", (1, 1001))


def tiny_onnx() -> bytes:
    """3 × 8 × 8 → convolution of 4 channels → 10 classes; a few kB, runs in microseconds."""
    return _tiny(1)


def dynamic_batch_onnx() -> bytes:
    """`tiny_onnx` for any batch: the first dimension is called ``batch``."""
    return _tiny("batch")


def ir_version_onnx(version: int) -> bytes:
    """One Identity in a file of that IR version. Runtimes refuse any above the newest they know."""
    network = _Network((1, 4))
    network.node("Identity", "output")
    model = onnx.ModelProto.FromString(network.finish("identity", (1, 4)))
    model.ir_version = version
    return bytes(model.SerializeToString(deterministic=True))


def fill_onnx(bits: int) -> bytes:
    """Fills a tensor of 2**``bits`` bytes and sums it. The size is only known at run time, so nothing is folded."""
    info = helper.make_tensor_value_info
    count = numpy_helper.from_array(np.array([2**bits // 4], dtype=np.int64), "count")
    nodes = [
        helper.make_node("Add", ["more", "count"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["filled"]),
        helper.make_node("ReduceSum", ["filled"], ["sum"], keepdims=0),
    ]
    inputs, outputs = [info("more", TensorProto.INT64, (1,))], [info("sum", TensorProto.FLOAT, ())]
    return model_of(helper.make_graph(nodes, f"fills 2**{bits} bytes", inputs, outputs, [count]))


def endless_model_onnx() -> bytes:
    """A loop of 2**63 - 1 steps that adds 1 to a number: needs no memory and never ends."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
            helper.make_node("Add", ["total", "one"], ["total_out"]),
        ],
        "body",
        [
            info("step", TensorProto.INT64, ()),
            info("go_on", TensorProto.BOOL, ()),
            info("total", TensorProto.FLOAT, (1,)),
        ],
        [info("go_on_out", TensorProto.BOOL, ()), info("total_out", TensorProto.FLOAT, (1,))],
    )
    constants = [
        numpy_helper.from_array(np.array(_FOREVER, dtype=np.int64), "steps"),
        numpy_helper.from_array(np.array(True), "always"),
        numpy_helper.from_array(np.ones(1, dtype=np.float32), "one"),
    ]
    loop = helper.make_node("Loop", ["steps", "always", "input"], ["output"], name="loop", body=body)
    inputs, outputs = [info("input", TensorProto.FLOAT, (1,))], [info("output", TensorProto.FLOAT, (1,))]
    return model_of(helper.make_graph([loop], "endless", inputs, outputs, constants))


def _tiny(batch: int | str) -> bytes:
    weights = Weights(seed=2)
    network = _Network((batch, 3, 8, 8))
    _conv(network, _relu6_limits(network), weights, "conv", (3, 3, 3, 4), stride=2)
    network.node("Flatten", "flatten", axis=1)
    layer = weights.layer(64, 10, fan_in=64, gain=LOGIT_GAIN)
    parameters = (network.constant("logits/weights", layer.kernel.T), network.constant("logits/bias", layer.bias))
    network.node("Gemm", "logits", *parameters, transB=1)
    network.node("Softmax", "probabilities", axis=1)
    return network.finish("tiny", (batch, 10))


def _relu6_limits(network: _Network) -> tuple[str, str]:
    zero, six = np.array(0, dtype=np.float32), np.array(6, dtype=np.float32)
    return network.constant("zero", zero), network.constant("six", six)


def _conv(
    network: _Network,
    limits: tuple[str, str],
    weights: Weights,
    name: str,
    shape: tuple[int, int, int, int],
    *,
    stride: int,
    group: int = 1,
) -> None:
    """``shape`` is height × width × in-per-group × out; ONNX stores out × in-per-group × height × width."""
    height, width, depth, _ = shape
    layer = weights.layer(*shape, fan_in=height * width * depth)
    kernel = network.constant(f"{name}/weights", layer.kernel.transpose(3, 2, 0, 1))
    bias = network.constant(f"{name}/bias", layer.bias)
    padding = [height // 2, width // 2] * 2
    attributes = {"kernel_shape": [height, width], "strides": [stride, stride], "pads": padding, "group": group}
    network.node("Conv", name, kernel, bias, **attributes)
    network.node("Clip", f"{name}/relu6", *limits)


def model_of(graph: onnx.GraphProto) -> bytes:
    """The file of a graph."""
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, producer_name="edge-sandbox zoo", opset_imports=opsets, ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def outside_weights_onnx(size: int) -> tuple[bytes, int]:
    """(a product with a matrix of ``size`` × ``size``, bytes of that matrix in the file ``weights.bin`` beside it)."""
    length = size * size * 4
    matrix = TensorProto(name="matrix", data_type=TensorProto.FLOAT, dims=[size, size])
    matrix.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(length))):
        matrix.external_data.add(key=key, value=value)
    info, shape = helper.make_tensor_value_info, (1, size)
    product = helper.make_node("MatMul", ["input", "matrix"], ["output"], name="product")
    inputs, outputs = [info("input", TensorProto.FLOAT, shape)], [info("output", TensorProto.FLOAT, shape)]
    graph = helper.make_graph([product], "outside", inputs, outputs, [matrix])
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION).SerializeToString(), length
