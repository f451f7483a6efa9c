"""ONNX Runtime on the CPU execution provider."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from backend import Backend, OperatorProfile, Output
from inputs import InputSpec
from marks import record_clocks
from onnx_profile import read_profile
from request import InputError, Request

#: ONNX type names, as the session spells them, to numpy's.
DTYPES = {
    "float": "float32",
    "double": "float64",
    "string": "string",
    **{name: name for name in ("float16", "bool", "int8", "int16", "int32", "int64")},
    **{name: name for name in ("uint8", "uint16", "uint32", "uint64")},
}
ERRORS_ONLY = 3


class OnnxBackend(Backend):
    """One inference session."""

    def __init__(self, request: Request) -> None:
        # Recent Linux builds send usage events from a thread of their own unless told not to before they start up
        # (Privacy.md in the wheel): its time and memory would be counted as the model's.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        self._onnxruntime = import_module("onnxruntime")
        self._request = request
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._feeds: dict[str, np.ndarray[Any, Any]] = {}
        self._results: list[Any] = []

    def describe(self) -> dict[str, Any]:
        return {
            "name": "onnxruntime",
            "version": self._onnxruntime.__version__,
            "providers": ["CPUExecutionProvider"],
        }

    def load(self) -> None:
        options = self._onnxruntime.SessionOptions()
        # Left at 0, the pool sizes itself from the host's CPUs and pins its threads, which fails in a container with
        # fewer CPUs: microsoft/onnxruntime#10113, #8313.
        options.intra_op_num_threads = self._request.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        if self._request.counted:
            # Threads that look for work in a loop, as is the default, would be counted as if they had found some.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if self._request.profile == "operators":
            options.enable_profiling = True
            options.profile_file_prefix = str(self._request.run_dir / "ort_profile")
        self._session = self._onnxruntime.InferenceSession(
            self._request.model, sess_options=options, providers=["CPUExecutionProvider"]
        )

    def input_specs(self) -> list[InputSpec]:
        return [
            InputSpec(item.name, _dtype(item.name, item.type), self._shapes.get(item.name, _shape(item.shape)))
            for item in self._session.get_inputs()
        ]

    def allocate(self, shapes: Mapping[str, Sequence[int]]) -> None:
        for spec in self.input_specs():
            asked = tuple(shapes[spec.name])
            same_rank = len(asked) == len(spec.shape)
            if not (same_rank and all(spec.shape[axis] in (-1, size) for axis, size in enumerate(asked))):
                raise InputError(f"input {spec.name!r} has shape {list(spec.shape)}, so it cannot be {list(asked)}")
        self._shapes = {name: tuple(shape) for name, shape in shapes.items()}

    def feed(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._feeds = dict(values)

    def invoke(self) -> None:
        self._results = self._session.run(None, self._feeds)

    def outputs(self) -> list[Output]:
        names = [item.name for item in self._session.get_outputs()]
        return [Output(name, np.asarray(value)) for name, value in zip(names, self._results)]  # noqa: B905 - not in Python 3.9

    def start_profile(self) -> None:
        """The profile is written from session start; the last ``repeat`` runs are read out of it."""
        if self._request.counted and self._request.profile == "operators" and self._request.clock_library:
            record_clocks(self._request.clock_library, on=True)

    def stop_profile(self) -> None:
        if self._request.counted and self._request.profile == "operators" and self._request.clock_library:
            record_clocks(self._request.clock_library, on=False)

    def operators(self) -> OperatorProfile:
        path = Path(self._session.end_profiling())
        return read_profile(path, self._request.repeat)


def _dtype(name: str, text: str) -> str:
    kind = text[len("tensor(") : -1] if text.startswith("tensor(") else None
    if kind not in DTYPES:
        raise InputError(f"input {name!r} has type {text}, which this runner cannot feed")
    return DTYPES[kind]


def _shape(raw: Sequence[Any]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) and size >= 0 else -1 for size in raw)
