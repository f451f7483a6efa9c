"""The TFLite interpreter, from ``tflite_runtime`` or from its successor ``ai_edge_litert``: one Python interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from backend import Backend, OperatorProfile, Output
from inputs import InputSpec
from request import Request

RESOLVERS = {"default": "AUTO", "none": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "reference": "BUILTIN_REF"}
PACKAGES = {"tflite-runtime": "tflite_runtime", "ai-edge-litert": "ai_edge_litert"}


class TfliteBackend(Backend):
    """One interpreter."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._package = import_module(PACKAGES[request.runtime])
        self._module = import_module(f"{PACKAGES[request.runtime]}.interpreter")
        self._interpreter: Any = None
        self._allocated = False
        self._delegates: list[str] | None = None
        self._profile: Any = None

    def describe(self) -> dict[str, Any]:
        return {
            "name": self._request.runtime,
            "version": getattr(self._package, "__version__", None),
            "delegates": self._delegates,
        }

    def load(self) -> None:
        resolvers = self._module.OpResolverType
        # Without a number Eigen's convolutions take four threads; ai-edge-litert 1.1.0 fails on any number.
        nameless = self._request.runtime == "ai-edge-litert" and self._package.__version__ == "1.1.0"
        threads = None if nameless and self._request.threads == 1 else self._request.threads
        self._interpreter = self._module.Interpreter(
            model_path=self._request.model,
            num_threads=threads,
            experimental_op_resolver_type=getattr(resolvers, RESOLVERS[self._request.delegates]),
            **({"experimental_preserve_all_tensors": True} if self._request.tensors else {}),
        )
        if self._request.profile == "operators":
            # Before allocate_tensors(): that is where XNNPACK is applied, and it asks for a profiler only then.
            self._profile = import_module("tflite_profile").TfliteProfile(
                self._interpreter, self._module, self._request.clock_library or ""
            )

    def input_specs(self) -> list[InputSpec]:
        aliases = _signature_names(self._interpreter)
        return [
            InputSpec(
                detail["name"],
                _dtype_name(detail["dtype"]),
                tuple(int(size) for size in (detail["shape"] if self._allocated else _signature_shape(detail))),
                aliases.get(int(detail["index"]), ()),
            )
            for detail in self._interpreter.get_input_details()
        ]

    def allocate(self, shapes: Mapping[str, Sequence[int]]) -> None:
        for detail in self._interpreter.get_input_details():
            asked = [int(size) for size in shapes[detail["name"]]]
            if asked != [int(size) for size in detail["shape"]]:
                self._interpreter.resize_tensor_input(detail["index"], asked)
        self._interpreter.allocate_tensors()
        self._allocated = True
        self._delegates = ["XNNPACK"] if _is_delegated(self._interpreter) else []

    def feed(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        # Every time: the arena may reuse an input's memory during the inference.
        if self._profile is not None:
            self._profile.mark_run()
        for detail in self._interpreter.get_input_details():
            self._interpreter.set_tensor(detail["index"], values[detail["name"]])

    def invoke(self) -> None:
        self._interpreter.invoke()

    def outputs(self) -> list[Output]:
        details = self._interpreter.get_output_details()
        found = [Output(detail["name"], self._interpreter.get_tensor(detail["index"])) for detail in details]
        return found + [Output(f"tensor {index}", self._interpreter.get_tensor(index)) for index in self._kept()]

    def _kept(self) -> list[int]:
        """The tensors asked for that there are: a dynamic one may never have been allocated."""
        sizes = {int(d["index"]): d["shape"] for d in self._interpreter.get_tensor_details()}
        return [index for index in self._request.tensors if index in sizes]

    def start_profile(self) -> None:
        if self._profile is not None:
            self._profile.start()

    def stop_profile(self) -> None:
        if self._profile is not None:
            self._profile.stop()

    def operators(self) -> OperatorProfile:
        result: OperatorProfile = self._profile.result(self._request.repeat)
        return result


def _is_delegated(interpreter: Any) -> bool:
    """Whether a delegate took any node. XNNPACK is the only one that these wheels apply by themselves."""
    return any(op["op_name"] == "DELEGATE" for op in interpreter._get_ops_details())  # noqa: SLF001 - no public way


def _dtype_name(dtype: Any) -> str:
    name = np.dtype(dtype).name
    return "string" if np.dtype(dtype).kind in "SUO" else name


def _signature_shape(detail: Mapping[str, Any]) -> Sequence[int]:
    """The shape with -1 for dynamic dimensions; models without that field report an empty one."""
    shape: Sequence[int] = detail["shape"]
    signature: Sequence[int] = detail["shape_signature"]
    return signature if len(signature) == len(shape) else shape


def _signature_names(interpreter: Any) -> dict[int, tuple[str, ...]]:
    """Tensor index to the argument names that the model's signatures give to it."""
    names: dict[int, tuple[str, ...]] = {}
    for signature in interpreter._get_full_signature_list().values():  # noqa: SLF001 - the only way to the indices
        for name, index in signature["inputs"].items():
            names[index] = (*names.get(index, ()), name)
    return names
