"""The document that a static check ends in: ``check --format json``. Every number in it is predicted.

The published schema is ``schema()``; ``docs/check.schema.json`` holds a copy that a test compares.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from .compatibility_result import Compatibility
from .metrics import Quantity
from .microcontroller.outcome import MicrocontrollerPart
from .record import Image, TensorRecord
from .result import Check, Latency, OperatorMemory, Tool, Verdict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckedModel(_Frozen):
    """The model file and its interface."""

    path: str
    format: Literal["tflite", "onnx"]
    size_bytes: int
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]


class CheckedDevice(_Frozen):
    """The device that the model was checked for."""

    id: str
    name: str
    page_size_bytes: int | None
    """None for a microcontroller, which has no pages."""
    ram_bytes: int


class CheckedRuntime(_Frozen):
    """The runtime that would run the model."""

    name: str
    version: str


class MemoryPart(_Frozen):
    """One share of the predicted peak; the source says where it comes from."""

    name: str
    size: Quantity


class PredictedMemory(_Frozen):
    """Memory by the model file."""

    peak: Quantity
    available: Quantity
    headroom: Quantity
    weights: Quantity
    inputs: Quantity
    outputs: Quantity
    activations: Quantity
    """One block for all activations and temporaries, packed as the runtime packs them."""
    runtime_baseline: Quantity
    """What the runtime takes with a model of a few kB, as emulated runs found."""
    parts: tuple[MemoryPart, ...]
    """What adds up to the peak."""
    peak_operator: OperatorMemory | None
    """The operator that sets the peak of the activations."""
    peak_margin: Quantity
    """By how much it needs more than the next one."""
    operators: tuple[OperatorMemory, ...]


class CheckResult(_Frozen):
    """The whole document."""

    schema_version: Literal[1] = 1
    tool: Tool
    model: CheckedModel
    device: CheckedDevice
    image: Image
    runtime: CheckedRuntime
    memory: PredictedMemory
    checks: tuple[Check, ...]
    verdict: Verdict
    compatibility: Compatibility | None = None
    """None in documents of versions that looked for none."""
    microcontroller: MicrocontrollerPart | None = None
    """Only of a device without Linux, whose memory above is then unavailable."""
    latency: Latency | None = None
    """Only where the model file alone allows one: by its multiply-accumulates, on a microcontroller."""


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **CheckResult.model_json_schema()}
