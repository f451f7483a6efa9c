"""A stand-in for the TFLite interpreter: adds 1 to its one int8 input; its batch size can be changed."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np

_interpreter_wrapper = SimpleNamespace(__file__="/no/such/wrapper.so")


class OpResolverType(Enum):
    AUTO = 0
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3


class Interpreter:
    def __init__(self, model_path: str, num_threads: int | None, experimental_op_resolver_type: OpResolverType) -> None:
        self._delegated = experimental_op_resolver_type is OpResolverType.AUTO
        self._shape = [1, 2]
        self._value: Any = None
        assert model_path
        assert num_threads is not None
        assert num_threads >= 1

    def _get_full_signature_list(self) -> dict[str, Any]:
        return {"serving_default": {"inputs": {"image": 0}, "outputs": {"sum": 1}}}

    def _get_ops_details(self) -> list[dict[str, Any]]:
        ops = [{"index": 0, "op_name": "ADD", "inputs": [0], "outputs": [1]}]
        return ops + ([{"index": 1, "op_name": "DELEGATE", "inputs": [0], "outputs": [1]}] if self._delegated else [])

    def get_tensor_details(self) -> list[dict[str, Any]]:
        return self.get_input_details() + self.get_output_details()

    def get_input_details(self) -> list[dict[str, Any]]:
        return [self._detail("serving_default_image:0", 0)]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [self._detail("StatefulPartitionedCall:0", 1)]

    def _detail(self, name: str, index: int) -> dict[str, Any]:
        shape, signature = np.array(self._shape), np.array([-1, 2])
        return {"name": name, "index": index, "dtype": np.int8, "shape": shape, "shape_signature": signature}

    def resize_tensor_input(self, index: int, shape: list[int]) -> None:
        assert index == 0
        self._shape = shape

    def allocate_tensors(self) -> None:
        if self._shape[0] > 100:
            raise RuntimeError("Failed to allocate memory for tensors.")

    def set_tensor(self, index: int, value: np.ndarray[Any, Any]) -> None:
        assert index == 0
        assert list(value.shape) == list(self._shape)
        self._value = value

    def invoke(self) -> None:
        self._value = self._value + np.int8(1)

    def get_tensor(self, index: int) -> np.ndarray[Any, Any]:
        assert index == 1
        result: np.ndarray[Any, Any] = self._value
        return result
