"""What is fed to the model: seeded random values, zeros, or the user's arrays, checked against the model.

Random values are drawn as 64-bit floats from ``numpy.random.RandomState``, whose stream numpy has frozen, and then
turned into the input's type here. ``RandomState.randint`` would draw differently on 32-bit guests (C long).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from request import InputError, Request

#: Elements drawn at a time: bounds the 64-bit temporary to 512 KiB, so that the peak memory stays the model's.
CHUNK = 65536
#: Integers that are not quantised values are indices (tokens, segment ids): 0 or 1 is valid in every table.
INDEX_TYPES = ("int32", "int64", "uint32", "uint64")


@dataclass(frozen=True)
class InputSpec:
    """One input of the model as its runtime reports it; -1 in the shape is a dimension fixed at run time."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    #: Other names under which the user may know it (a signature's argument).
    aliases: tuple[str, ...] = ()

    def answers_to(self, name: str) -> bool:
        """Whether the user can mean this input by ``name``."""
        return name == self.name or name in self.aliases


class InputSource:
    """The user's choice of inputs; knows their shapes before the model allocates, their values after."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._arrays: dict[str, np.ndarray[Any, Any]] = {}
        if request.inputs == "npz" and request.npz is not None:
            with np.load(request.npz, allow_pickle=False) as archive:
                self._arrays = {name: archive[name] for name in archive.files}

    def resolve_shapes(self, specs: Sequence[InputSpec]) -> dict[str, tuple[int, ...]]:
        """The full shape of every input, by the model's name for it: the request's, the array's, or the model's own."""
        asked = self._request.shapes or {}
        _refuse_unknown(asked, specs, "a shape was given for")
        arrays = self._arrays_by_input(specs)
        shapes = {}
        for spec in specs:
            given = [shape for name, shape in asked.items() if spec.answers_to(name)]
            if given:
                shapes[spec.name] = given[0]
            elif spec.name in arrays and -1 in spec.shape:
                shapes[spec.name] = tuple(arrays[spec.name].shape)
            else:
                shapes[spec.name] = spec.shape
            if any(size < 0 for size in shapes[spec.name]):
                raise InputError(
                    f"input {spec.name!r} has shape {_text(spec.shape)} with a dynamic dimension; "
                    f"give it one with --shape {spec.name}={_example(spec.shape)}"
                )
        return shapes

    def values(self, specs: Sequence[InputSpec]) -> dict[str, np.ndarray[Any, Any]]:
        """One array per input, by the model's name for it; ``specs`` carry the shapes that the model allocated."""
        arrays = self._arrays_by_input(specs)
        rng = np.random.RandomState(self._request.seed)
        return {spec.name: self._value(spec, arrays, rng) for spec in specs}

    def _value(
        self, spec: InputSpec, arrays: Mapping[str, np.ndarray[Any, Any]], rng: np.random.RandomState
    ) -> np.ndarray[Any, Any]:
        if self._request.inputs == "npz":
            return _checked(spec, arrays[spec.name])
        if spec.dtype == "string":
            raise InputError(f"input {spec.name!r} takes strings; give them in a file with --input FILE.npz")
        if self._request.inputs == "zeros":
            return np.zeros(spec.shape, dtype=spec.dtype)
        return random_values(spec, rng)

    def _arrays_by_input(self, specs: Sequence[InputSpec]) -> dict[str, np.ndarray[Any, Any]]:
        if self._request.inputs != "npz":
            return {}
        if len(specs) == 1 and len(self._arrays) == 1:
            return {specs[0].name: next(iter(self._arrays.values()))}
        _refuse_unknown(self._arrays, specs, "the input file holds")
        found = {}
        for spec in specs:
            matches = [array for name, array in self._arrays.items() if spec.answers_to(name)]
            if not matches:
                raise InputError(f"the input file has no array for input {spec.name!r}; {_names(specs)}")
            found[spec.name] = matches[0]
        return found


def random_values(spec: InputSpec, rng: np.random.RandomState) -> np.ndarray[Any, Any]:
    """Values that such an input takes in use: floats in [0, 1), 8- and 16-bit integers over their whole range,
    wider integers 0 or 1 (indices), booleans. The same for a seed on every Python, numpy and word size."""
    dtype = np.dtype(spec.dtype)
    if dtype.kind not in "fiub":
        raise InputError(f"input {spec.name!r} has type {spec.dtype}; give its values in a file with --input FILE.npz")
    low, span = 0.0, 2.0
    if dtype.kind in "iu" and spec.dtype not in INDEX_TYPES:
        info = np.iinfo(dtype)
        low, span = float(info.min), float(info.max) - float(info.min) + 1.0
    values = np.empty(spec.shape, dtype=dtype)
    flat = values.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        part = rng.random_sample(min(CHUNK, flat.size - start))
        if dtype.kind != "f":
            part = np.floor(part * span) + low
        flat[start : start + part.size] = part.astype(dtype)
    return values


def _checked(spec: InputSpec, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if tuple(array.shape) != spec.shape:
        raise InputError(f"input {spec.name!r} takes shape {_text(spec.shape)}, the file has {_text(array.shape)}")
    if spec.dtype == "string":
        if array.dtype.kind not in "SU":
            raise InputError(f"input {spec.name!r} takes strings, the file has {array.dtype.name}")
        return array.astype(object)
    if array.dtype != np.dtype(spec.dtype):
        raise InputError(f"input {spec.name!r} takes {spec.dtype}, the file has {array.dtype.name}")
    return np.ascontiguousarray(array)


def _refuse_unknown(names: Iterable[str], specs: Sequence[InputSpec], what: str) -> None:
    for name in names:
        if not any(spec.answers_to(name) for spec in specs):
            raise InputError(f"{what} {name!r}, which is no input of the model; {_names(specs)}")


def _names(specs: Sequence[InputSpec]) -> str:
    return "its inputs are " + ", ".join(f"{spec.name} {_text(spec.shape)}" for spec in specs)


def _text(shape: Sequence[int]) -> str:
    return "[" + ",".join("?" if size < 0 else str(size) for size in shape) + "]"


def _example(shape: Sequence[int]) -> str:
    return ",".join("N" if size < 0 else str(size) for size in shape)
