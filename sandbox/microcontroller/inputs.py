"""What a model is fed on an emulated core: the very bytes that images/guest/inputs.py feeds it on level 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sandbox.errors import UsageError
from sandbox.record import TensorRecord

_INDEX_TYPES = ("int32", "int64", "uint32", "uint64")


def input_bytes(tensors: Sequence[TensorRecord], choice: str, seed: int) -> tuple[bytes, ...]:
    """One for each input. ``choice`` is ``random``, ``zeros`` or the path of an npz file. Raises `UsageError`."""
    if choice == "zeros":
        return tuple(np.zeros(_shape(tensor), dtype=tensor.dtype).tobytes() for tensor in tensors)
    if choice != "random":
        with np.load(Path(choice), allow_pickle=False) as archive:
            only = archive.files[0] if len(archive.files) == len(tensors) == 1 else None
            return tuple(np.ascontiguousarray(archive[only or tensor.name]).tobytes() for tensor in tensors)
    generator = np.random.RandomState(seed)
    return tuple(_random(tensor, generator) for tensor in tensors)


def _random(tensor: TensorRecord, generator: np.random.RandomState) -> bytes:
    dtype = np.dtype(tensor.dtype)
    if dtype.kind not in "fiub":
        raise UsageError(f"input {tensor.name!r} has type {tensor.dtype}", hint="give its values with --input FILE.npz")
    low, span = 0.0, 2.0
    if dtype.kind in "iu" and tensor.dtype not in _INDEX_TYPES:
        info = np.iinfo(dtype)
        low, span = float(info.min), float(info.max) - float(info.min) + 1.0
    part = generator.random_sample(int(np.prod(_shape(tensor), dtype=np.int64)))
    if dtype.kind != "f":
        part = np.floor(part * span) + low
    return part.astype(dtype).tobytes()


def _shape(tensor: TensorRecord) -> tuple[int, ...]:
    """TFLM knows no dynamic sizes: where the converter left one open the file's static shape says 1."""
    return tuple(size if isinstance(size, int) and size >= 0 else 1 for size in tensor.shape)
