"""TFLite models: MobileNet v1 as TensorFlow 2 converts it, and small ones with one peculiarity each."""

from __future__ import annotations

import numpy as np

from sandbox.zoo.flatbuffer import Options, TfliteFile
from sandbox.zoo.network import Network, Precision
from sandbox.zoo.weights import Weights

from .mobilenet import LOGIT_GAIN, blocks, channels


def mobilenet_v1(width: float, size: int, dtype: Precision) -> bytes:
    """MobileNet v1 (Howard et al. 2017, table 1) for ``size`` × ``size`` RGB images and 1001 classes, batch 1.

    28 convolutions as in TensorFlow's model zoo, where the classifier is a 1×1 convolution. ``int8`` is quantised per
    channel, inputs and outputs included. Same weights in both types.
    """
    weights = Weights(seed=1)
    network = Network(f"MobileNet v1 {width}/{size} {dtype}, random weights", dtype, (1, size, size, 3))
    depth = channels(32, width)
    network.conv("conv", weights.layer(3, 3, 3, depth, fan_in=27), stride=2)
    for number, block in enumerate(blocks(width), start=1):
        network.depthwise(f"depthwise_{number}", weights.layer(3, 3, depth, fan_in=9), stride=block.stride)
        network.conv(f"pointwise_{number}", weights.layer(1, 1, depth, block.depth, fan_in=depth), stride=1)
        depth = block.depth
    network.average_pool("average_pool")
    classifier = weights.layer(1, 1, depth, 1001, fan_in=depth, gain=LOGIT_GAIN)
    network.conv("logits", classifier, activation="none")
    network.reshape("reshape", (1, 1001))
    network.softmax("probabilities")
    return network.finish()


def tiny_conv_tflite(dtype: Precision) -> bytes:
    """8 × 8 × 3 → convolution of 4 channels → 10 classes; a few kB, runs in microseconds."""
    weights = Weights(seed=2)
    network = Network(f"tiny convolution {dtype}, random weights", dtype, (1, 8, 8, 3))
    network.conv("conv", weights.layer(3, 3, 3, 4, fan_in=27), stride=2)
    network.reshape("reshape", (1, 64))
    network.fully_connected("logits", weights.layer(64, 10, fan_in=64, gain=LOGIT_GAIN))
    network.softmax("probabilities")
    return network.finish()


def dynamic_tflite() -> bytes:
    """A dense float layer for any batch: ``shape_signature`` has -1 where ``shape`` has 1."""
    network = Network("dense, any batch", "float32", (1, 16), any_batch=True)
    network.fully_connected("logits", Weights(seed=3).layer(16, 4, fan_in=16))
    network.softmax("probabilities")
    return network.finish()


def dynamic_size_tflite() -> bytes:
    """A dense float layer behind a RESHAPE to a computed shape: its size is known only at run time."""
    file = TfliteFile("dense behind a computed reshape")
    signal, extent = file.tensor("signal", "float32", (1, 64)), file.tensor("extent", "float32", (2,))
    zeros, nothing = file.tensor("zeros", "float32", (2,)), file.tensor("nothing", "int32", (2,))
    target = file.tensor("target", "int32", (2,))
    file.operator("ZEROS_LIKE", 1, [extent], [zeros], Options(table="ZerosLikeOptions", fields={}))
    file.operator("CAST", 1, [zeros], [nothing], Options(table="CastOptions", fields={}))
    size = file.constant("size", np.array([1, 64], dtype=np.int32))
    file.operator("ADD", 1, [nothing, size], [target], Options(table="AddOptions", fields={}))
    again = file.tensor("again", "float32", (1, 64), signature=(-1, -1))
    file.operator("RESHAPE", 1, [signal, target], [again], Options(table="ReshapeOptions", fields={}))
    layer = Weights(seed=8).layer(64, 10, fan_in=64)
    weights = file.constant("weights", (layer.values * layer.scales[0]).T.astype(np.float32).copy())
    bias = file.constant("bias", layer.bias.astype(np.float32))
    logits = file.tensor("logits", "float32", (1, 10), signature=(-1, 10))
    file.operator(
        "FULLY_CONNECTED", 1, [again, weights, bias], [logits], Options(table="FullyConnectedOptions", fields={})
    )
    return file.finish([signal, extent], [logits])


def too_new_op_version_tflite(version: int = 12) -> bytes:
    """A dense int8 layer whose FULLY_CONNECTED has a version that runtimes before 2.17 refuse by name."""
    network = Network(f"FULLY_CONNECTED version {version}", "int8", (1, 16))
    network.fully_connected("logits", Weights(seed=4).layer(16, 4, fan_in=16), version=version)
    return network.finish()


def conv_version_tflite(version: int) -> bytes:
    """One float convolution, whose CONV_2D has that version."""
    network = Network(f"CONV_2D version {version}", "float32", (1, 8, 8, 3))
    network.conv("conv", Weights(seed=2).layer(3, 3, 3, 4, fan_in=27), version=version)
    return network.finish()


def dense_tflite(width: int, dtype: Precision = "int8") -> bytes:
    """Two dense layers of ``width`` × ``width``."""
    network = Network(f"dense {width}", dtype, (1, width))
    for layer in range(2):
        network.fully_connected(f"dense_{layer}", Weights(seed=5 + layer).layer(width, width, fan_in=width))
    return network.finish()


def custom_op_tflite(code: str = "FlexRFFT") -> bytes:
    """One custom operator, by default a TensorFlow operator that needs the Flex delegate."""
    file = TfliteFile(f"custom operator {code}")
    signal = file.tensor("signal", "float32", (1, 512))
    length = file.constant("length", np.array([512], dtype=np.int32))
    spectrum = file.tensor("spectrum", "complex64", (1, 257))
    file.operator(code, 1, [signal, length], [spectrum])
    return file.finish([signal], [spectrum])


def memory_hog_tflite(mib: int) -> bytes:
    """Writes ``mib`` MiB of activations at run time, then keeps one number of them; the file has under 2 kB."""
    file = TfliteFile(f"fills {mib} MiB")
    value = file.tensor("value", "float32", ())
    dims = file.constant("dims", np.array([mib, 1024, 256], dtype=np.int32))
    filled = file.tensor("filled", "float32", (mib, 1024, 256))
    file.operator("FILL", 1, [dims, value], [filled], Options(table="FillOptions", fields={}))
    begin = file.constant("begin", np.zeros(3, dtype=np.int32))
    size = file.constant("size", np.ones(3, dtype=np.int32))
    first = file.tensor("first", "float32", (1, 1, 1))
    file.operator("SLICE", 1, [filled, begin, size], [first], Options(table="SliceOptions", fields={}))
    return file.finish([value], [first])
