"""What ONNX Runtime's copies of weights take, as far as it follows from the model file. Pure.

Kernels of float matrix products pack their constant operands while the session is made (`PrePack` in
onnxruntime/core/providers/cpu: math/matmul.cc and math/gemm.cc, of two dimensions only; rnn/deep_cpu_lstm.cc and
rnn/deep_cpu_gru.cc), then the originals are freed. Convolutions pack nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from packaging.version import InvalidVersion, Version

from sandbox.graph.dataflow import LEFT_OUT, Dataflow, Value

_OPERANDS: Mapping[str, tuple[int, ...]] = {"MatMul": (1,), "Gemm": (1,), "LSTM": (1, 2), "GRU": (1, 2)}
"""Positions of the inputs that are packed."""
_TWO_DIMENSIONS = frozenset({"MatMul", "Gemm"})
_WITHOUT_ARENA = Version("1.23")
"""The first version that allocates every weight by itself and so gives an original back to the C library. Up to 1.22
all weights lie in the arena, which frees nothing to the system."""


def packed_beside_originals(flow: Dataflow, version: str) -> int:
    """Bytes of packed copies that come on top of all weights, in a graph and with that version of ONNX Runtime.

    0 for versions that free the originals: how much of the heap these leave in holes does not follow from the file.
    """
    try:
        if not version or Version(version) >= _WITHOUT_ARENA:
            return 0
    except InvalidVersion:
        return 0
    packed = 0
    for step in flow.steps:
        operands = [step.inputs[place] for place in _OPERANDS.get(step.type, ()) if place < len(step.inputs)]
        values = [flow.values[position] for position in operands if position != LEFT_OUT]
        packed += sum(value.size_bytes or 0 for value in values if _is_packed(value, step.type))
    return packed


def _is_packed(value: Value, operator: str) -> bool:
    if not value.constant or value.dtype != "float32" or value.shape is None:
        return False
    return operator not in _TWO_DIMENSIONS or len(value.shape) == 2
