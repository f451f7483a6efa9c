"""Model files made from scratch: standard architectures and small odd ones, with seeded random weights.

The same call always gives the same bytes. ``python -m tests.zoo NAME OUTPUT`` writes one to a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, cast

from sandbox.zoo.classifiers import classifier
from sandbox.zoo.network import Precision

from .onnx_families import lstm_onnx, perceptron_onnx, resnet18_onnx, transformer_onnx
from .onnx_models import (
    dynamic_batch_onnx,
    endless_model_onnx,
    fill_onnx,
    ir_version_onnx,
    mobilenet_v1_onnx,
    tiny_onnx,
)
from .tflite_models import (
    conv_version_tflite,
    custom_op_tflite,
    dense_tflite,
    dynamic_size_tflite,
    dynamic_tflite,
    memory_hog_tflite,
    mobilenet_v1,
    tiny_conv_tflite,
    too_new_op_version_tflite,
)

__all__ = [
    "NAMES",
    "Precision",
    "conv_version_tflite",
    "custom_op_tflite",
    "dense_tflite",
    "dynamic_batch_onnx",
    "dynamic_size_tflite",
    "dynamic_tflite",
    "endless_model_onnx",
    "fill_onnx",
    "ir_version_onnx",
    "make",
    "memory_hog_tflite",
    "mobilenet_v1",
    "mobilenet_v1_onnx",
    "tiny_conv_tflite",
    "tiny_onnx",
    "too_new_op_version_tflite",
]


def _precision(text: str) -> Literal["float32", "int8"]:
    return cast("Literal['float32', 'int8']", {"fp32": "float32"}.get(text, text))


_MAKERS: dict[str, tuple[str, Callable[..., bytes]]] = {
    "mobilenet_v1_<width>_<size>_<fp32|int8>.tflite": (
        r"mobilenet_v1_([0-9.]+)_([0-9]+)_(fp32|int8)\.tflite",
        lambda width, size, dtype: mobilenet_v1(float(width), int(size), _precision(dtype)),
    ),
    "mobilenet_v1_<width>_<size>_fp32.onnx": (
        r"mobilenet_v1_([0-9.]+)_([0-9]+)_fp32\.onnx",
        lambda width, size: mobilenet_v1_onnx(float(width), int(size)),
    ),
    "tiny_conv_<fp32|int8>.tflite": (
        r"tiny_conv_(fp32|int8)\.tflite",
        lambda dtype: tiny_conv_tflite(_precision(dtype)),
    ),
    "dense_<width>_<fp32|int8>.tflite": (
        r"dense_([0-9]+)_(fp32|int8)\.tflite",
        lambda width, dtype: dense_tflite(int(width), _precision(dtype)),
    ),
    "dynamic.tflite": (r"dynamic\.tflite", dynamic_tflite),
    "dynamic_size.tflite": (r"dynamic_size\.tflite", dynamic_size_tflite),
    "custom_op_<code>.tflite": (r"custom_op_(\w+)\.tflite", custom_op_tflite),
    "too_new_op_version.tflite": (r"too_new_op_version\.tflite", too_new_op_version_tflite),
    "conv_version_<n>.tflite": (
        r"conv_version_([0-9]+)\.tflite",
        lambda version: conv_version_tflite(int(version)),
    ),
    "memory_hog_<mib>.tflite": (r"memory_hog_([0-9]+)\.tflite", lambda mib: memory_hog_tflite(int(mib))),
    "tiny.onnx": (r"tiny\.onnx", tiny_onnx),
    "dynamic_batch.onnx": (r"dynamic_batch\.onnx", dynamic_batch_onnx),
    "ir_version_<n>.onnx": (r"ir_version_([0-9]+)\.onnx", lambda version: ir_version_onnx(int(version))),
    "fill_<bits>.onnx": (r"fill_([0-9]+)\.onnx", lambda bits: fill_onnx(int(bits))),
    "endless_model.onnx": (r"endless_model\.onnx", endless_model_onnx),
    "resnet18_<size>.onnx": (r"resnet18_([0-9]+)\.onnx", lambda size: resnet18_onnx(int(size))),
    "perceptron_<width>.onnx": (r"perceptron_([0-9]+)\.onnx", lambda width: perceptron_onnx(int(width))),
    "transformer_<depth>_<length>.onnx": (
        r"transformer_([0-9]+)_([0-9]+)\.onnx",
        lambda depth, length: transformer_onnx(int(depth), int(length)),
    ),
    "lstm_<hidden>_<length>.onnx": (
        r"lstm_([0-9]+)_([0-9]+)\.onnx",
        lambda hidden, length: lstm_onnx(int(hidden), int(length)),
    ),
    "<classifier>_<fp32|int8>.tflite": (
        r"((?:mobilenet_v[23]|efficientnet|resnet50)[\w.]*)_(fp32|int8)\.tflite",
        lambda name, dtype: classifier(name, _precision(dtype)),
    ),
}

NAMES = tuple(_MAKERS)
"""What `make` understands; ``<…>`` stands for a value."""


def make(name: str) -> bytes:
    """The model called ``name``, one of `NAMES`. Raises `ValueError` for any other."""
    for pattern, maker in _MAKERS.values():
        if match := re.fullmatch(pattern, name):
            return maker(*match.groups())
    raise ValueError(f"no model {name!r}; there are {', '.join(NAMES)}")
