"""What the host asks for: the request file as one checked, typed value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1


class RequestError(ValueError):
    """The request file is not one that this runner understands; the host wrote it, so this is a bug of ours."""


class InputError(ValueError):
    """The model's inputs cannot be fed as asked: a wrong name, shape or type, or a dimension nobody gave."""


@dataclass(frozen=True)
class Request:
    """One run. Paths are the guest's."""

    model: str
    #: ``tflite`` or ``onnx``.
    format: str
    #: ``tflite-runtime``, ``ai-edge-litert``, ``tflite-micro`` or ``onnxruntime``.
    runtime: str
    run_dir: Path
    threads: int = 1
    #: Inferences that are run but not timed, and left out of operator times.
    warmup: int = 1
    #: Inferences that are timed; at least one.
    repeat: int = 1
    seed: int = 0
    #: ``random``, ``zeros`` or ``npz``.
    inputs: str = "random"
    npz: str | None = None
    #: Input name to full shape, for inputs with dynamic dimensions.
    shapes: dict[str, tuple[int, ...]] | None = None
    #: ``latency``, ``operators`` or ``heap`` (as latency; the process runs under a heap profiler).
    profile: str = "latency"
    #: ``default``: the delegates that the runtime applies by itself; ``none``: the runtime's own kernels only;
    #: ``reference``: kernels written to be right, not fast.
    delegates: str = "default"
    #: Whether the emulator counts instructions.
    counted: bool = False
    #: The clock library, which also holds the profiler that TFLite reports to.
    clock_library: str | None = None
    #: TFLite: tensors inside the model that are kept and reported beside its outputs. No delegate runs then.
    tensors: tuple[int, ...] = ()


def read_request(path: Path) -> Request:
    """The request at ``path``; unknown keys and unknown schema versions are refused."""
    raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    schema = raw.pop("schema", None)
    if schema != SCHEMA:
        raise RequestError(f"request schema {schema!r} is not {SCHEMA}: host and image come from different versions")
    raw["run_dir"] = Path(raw["run_dir"])
    raw["shapes"] = {name: tuple(int(size) for size in shape) for name, shape in (raw.get("shapes") or {}).items()}
    raw["tensors"] = tuple(int(index) for index in raw.get("tensors") or ())
    try:
        request = Request(**raw)
    except TypeError as error:
        raise RequestError(f"request {path}: {error}") from error
    _check(request)
    return request


def _check(request: Request) -> None:
    closed = {
        "format": ("tflite", "onnx"),
        "runtime": ("tflite-runtime", "ai-edge-litert", "tflite-micro", "onnxruntime"),
        "inputs": ("random", "zeros", "npz"),
        "profile": ("latency", "operators", "heap"),
        "delegates": ("default", "none", "reference"),
    }
    for field, allowed in closed.items():
        value = getattr(request, field)
        if value not in allowed:
            raise RequestError(f"request: {field} is {value!r}, must be one of {', '.join(allowed)}")
    if request.repeat < 1 or request.warmup < 0 or request.threads < 1:
        raise RequestError("request: repeat and threads must be at least 1, warmup at least 0")
    if request.inputs == "npz" and not request.npz:
        raise RequestError("request: inputs is npz but no npz file is named")
    if (request.format == "onnx") != (request.runtime == "onnxruntime"):
        raise RequestError(f"request: {request.runtime} does not run {request.format} models")
