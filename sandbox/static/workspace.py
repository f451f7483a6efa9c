"""Memory that operators need beside their tensors, as far as it follows from the model file. Pure.

For TFLite only: what ONNX Runtime's kernels take besides is not known from its sources alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from sandbox.graph.dataflow import LEFT_OUT, Dataflow, Step, Value

from .gemmlowp import Product, workspace_bytes

_XNNPACK_DTYPES: Mapping[str, frozenset[str]] = {
    # The default delegate of tflite-runtime's wheels takes no quantised operator: these run in ruy and gemmlowp.
    "tflite-runtime": frozenset({"float32"}),
    "ai-edge-litert": frozenset({"float32", "int8", "uint8"}),
}
_WITHOUT_XNNPACK = "armhf"
"""Its wheels of tflite-runtime hold no XNNPACK, only the place where it would be asked for
(tensorflow/lite/tflite_with_xnnpack_optional.cc), which finds none: floats run in TFLite's own kernels."""
_POINTER_BYTES = 8
_PACKED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_TILE_PIXELS = 4
"""Output pixels that XNNPACK's convolutions for Arm compute at a time, at least (``mr`` of its microkernels)."""

_WITHOUT_GEMMLOWP = "2.11."
"""Versions of tflite-runtime whose heap shows neither of what `_by_int8_kernels` knows of."""

Kind = Literal[
    "im2col", "col2im", "transposed operands", "packed weights", "indirection buffer", "unpacked weights", "gemm blocks"
]


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Bytes that one operator needs, and for how long."""

    step: int
    kind: Kind
    size_bytes: int
    in_arena: bool
    """A temporary in the runtime's arena, alive during the step alone; else kept from loading to the end, but for
    unpacked weights, which live as long as the step, and gemm blocks, which all steps share."""


def workspaces(flow: Dataflow, runtime: str, *, architecture: str, version: str = "") -> tuple[Workspace, ...]:
    """What the operators of a TFLite graph need besides, with that runtime's kernels on one thread."""
    delegated = frozenset() if architecture == _WITHOUT_XNNPACK else _XNNPACK_DTYPES.get(runtime, frozenset())
    found: list[Workspace] = []
    for number, step in enumerate(flow.steps):
        operands = [flow.values[position] for position in step.inputs if position != LEFT_OUT]
        if not operands or not step.outputs or step.outputs[0] == LEFT_OUT:
            continue
        output = flow.values[step.outputs[0]]
        if step.type in _PACKED and output.dtype in delegated:
            needs = _by_xnnpack(step, operands, output)
            found += [Workspace(step=number, kind=kind, size_bytes=size, in_arena=False) for kind, size in needs]
        else:
            needs = _by_own_kernels(step, operands, output)
            found += [Workspace(step=number, kind=kind, size_bytes=size, in_arena=True) for kind, size in needs]
            if not version.startswith(_WITHOUT_GEMMLOWP):
                needs = _by_int8_kernels(step, operands, output)
                found += [Workspace(step=number, kind=kind, size_bytes=size, in_arena=False) for kind, size in needs]
    return tuple(found)


def _by_xnnpack(step: Step, operands: list[Value], output: Value) -> Iterator[tuple[Kind, int]]:
    """XNNPACK copies weights into the order of its kernels (XNNPACK/src/packing.c), and keeps a pointer to every row
    of input that a convolution's window touches (src/indirection.c)."""
    constants = [value.size_bytes or 0 for value in operands if value.constant]
    yield "packed weights", sum(constants)
    window = _window(operands)
    if output.shape is None or len(output.shape) != 4 or window is None:
        return
    _batch, height, width, _channels = output.shape
    if step.type == "CONV_2D" and (prod(window) > 1 or max(step.strides, default=1) > 1):
        pixels = -(-height * width // _TILE_PIXELS) * _TILE_PIXELS
        yield "indirection buffer", pixels * prod(window) * _POINTER_BYTES
    elif step.type == "DEPTHWISE_CONV_2D":
        # Neighbouring windows share their columns unless they are dilated.
        shift = window[1] if max(step.dilations, default=1) > 1 else min(max(step.strides, default=1), window[1])
        row = prod(window) + (width - 1) * shift * window[0]
        yield "indirection buffer", height * row * _POINTER_BYTES


def _by_own_kernels(step: Step, operands: list[Value], output: Value) -> Iterator[tuple[Kind, int]]:
    """Temporaries that TFLite's kernels ask for (tensorflow/lite/kernels: conv.cc, transpose_conv.cc,
    batch_matmul.cc)."""
    window = _window(operands)
    if step.type == "CONV_2D" and window is not None and output.shape is not None and len(output.shape) == 4:
        if prod(window) > 1 or max((*step.strides, *step.dilations), default=1) > 1:
            depth = (operands[1].shape or (0,))[-1]
            element = _element_bytes(operands[0] if operands[0].dtype == output.dtype else operands[1])
            yield "im2col", prod(output.shape[:3]) * prod(window) * depth * element
    elif step.type == "TRANSPOSE_CONV" and window is not None and len(operands) > 2 and operands[2].shape is not None:
        yield "col2im", prod(operands[2].shape[:3]) * prod(window) * (operands[1].shape or (0,))[0] * 4
    elif step.type == "BATCH_MATMUL":
        yield "transposed operands", sum(value.size_bytes or 0 for value in operands[:2])


def _by_int8_kernels(step: Step, operands: list[Value], output: Value) -> Iterator[tuple[Kind, int]]:
    """What kernels for 8-bit integers allocate by themselves.

    Convolutions make room for weights of 4 bits in 8, and fill it with zeros, whatever the weights are
    (tensorflow/lite/kernels/conv.cc, EvalQuantizedPerChannel).
    """
    if output.dtype not in {"int8", "uint8"} or len(operands) < 2 or output.shape is None:
        return
    weights = operands[1]
    if step.type == "CONV_2D" and weights.dtype == "int8":
        yield "unpacked weights", 2 * (weights.size_bytes or 0)
    if step.type in {"CONV_2D", "FULLY_CONNECTED"} and weights.shape and output.shape:
        rows = weights.shape[0]
        depth = prod(weights.shape[1:])
        yield "gemm blocks", workspace_bytes(Product(rows=rows, columns=prod(output.shape[:-1]), depth=depth))


def _window(operands: list[Value]) -> tuple[int, int] | None:
    """Height and width of the filter, whose dimensions are out × height × width × in."""
    shape = operands[1].shape if len(operands) > 1 else None
    return (shape[1], shape[2]) if shape is not None and len(shape) == 4 else None


def _element_bytes(value: Value) -> int:
    count = prod(value.shape or (0,))
    return (value.size_bytes or 0) // count if count else 0
