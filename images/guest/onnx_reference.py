"""The reference evaluator of the ``onnx`` package: every operator in NumPy, as the standard words it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from backend import Backend, OperatorProfile, Output
from inputs import InputSpec
from request import InputError, Request


class OnnxReference(Backend):
    """One evaluator. Kernels of other makers (``com.microsoft``) and types that NumPy has not are no part of it."""

    def __init__(self, request: Request) -> None:
        self._onnx = import_module("onnx")
        self._reference = import_module("onnx.reference")
        self._request = request
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._feeds: dict[str, np.ndarray[Any, Any]] = {}
        self._results: list[Any] = []

    def describe(self) -> dict[str, Any]:
        return {"name": "onnx", "version": self._onnx.__version__, "providers": ["reference"]}

    def load(self) -> None:
        self._model = self._onnx.load(self._request.model)
        self._evaluator = self._reference.ReferenceEvaluator(self._model)

    def input_specs(self) -> list[InputSpec]:
        constants = {tensor.name for tensor in self._model.graph.initializer}
        return [self._spec(value) for value in self._model.graph.input if value.name not in constants]

    def _spec(self, value: Any) -> InputSpec:
        kind = value.type.tensor_type
        dtype = np.dtype(self._onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
        sizes = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim)
        name = "string" if dtype.kind in "SUO" else dtype.name
        return InputSpec(value.name, name, self._shapes.get(value.name, sizes))

    def allocate(self, shapes: Mapping[str, Sequence[int]]) -> None:
        for spec in self.input_specs():
            if len(shapes[spec.name]) != len(spec.shape):
                raise InputError(f"input {spec.name!r} has {len(spec.shape)} dimensions")
        self._shapes = {name: tuple(shape) for name, shape in shapes.items()}

    def feed(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._feeds = dict(values)

    def invoke(self) -> None:
        self._results = self._evaluator.run(None, self._feeds)

    def outputs(self) -> list[Output]:
        names = self._evaluator.output_names
        return [Output(name, np.asarray(value)) for name, value in zip(names, self._results)]  # noqa: B905 - not in Python 3.9

    def start_profile(self) -> None:
        pass

    def stop_profile(self) -> None:
        pass

    def operators(self) -> OperatorProfile:
        return OperatorProfile(unavailable="the reference evaluator has no profiler")
