"""What was run, as it stands in ``run.json``: enough to judge the run folder without anything else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .graph import ModelGraph
from .metrics import Quantity


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorRecord(_Frozen):
    """An input or output of the model; None or a name stands for a dimension given at run time."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


class OperatorRecord(_Frozen):
    """An operator of the model file."""

    index: int
    type: str
    version: int | None
    domain: str
    custom: bool
    dtype: str | None


class Model(_Frozen):
    """The model file and its interface."""

    path: str
    sha256: str
    format: Literal["tflite", "onnx"]
    size_bytes: int
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]


class Traffic(_Frozen):
    """Bytes that the operators move in one inference, from the graph alone (`sandbox.static.traffic`)."""

    activation_bytes: Annotated[int, Field(ge=0)]
    """Read and written by all operators, weights left out."""
    im2col_bytes: Annotated[int, Field(ge=0)]
    """Written where the runtime's own convolutions lay out their input as a matrix."""
    large_weight_bytes: Annotated[int, Field(ge=0)]
    """Weights of convolutions that do not stay in the L2 cache together with their reordered copy."""


class ModelRecord(Model):
    """The model file with what is in it."""

    weights_bytes: int
    operators: tuple[OperatorRecord, ...]
    traffic: Traffic | None = None
    """None for ONNX, where shapes are open, and in folders of versions that wrote none."""


def model_record(graph: ModelGraph, traffic: Traffic | None = None) -> ModelRecord:
    """The model file as records have it."""
    return ModelRecord(
        path=str(graph.path),
        sha256=graph.sha256,
        format=graph.format,
        size_bytes=graph.size_bytes,
        weights_bytes=graph.weights_bytes,
        inputs=tuple(TensorRecord(name=t.name, dtype=t.dtype, shape=t.shape) for t in graph.inputs),
        outputs=tuple(TensorRecord(name=t.name, dtype=t.dtype, shape=t.shape) for t in graph.outputs),
        operators=tuple(
            OperatorRecord(
                index=o.index, type=o.type, version=o.version, domain=o.domain, custom=o.custom, dtype=o.dtype
            )
            for o in graph.operators
        ),
        traffic=traffic,
    )


class Need(_Frozen):
    """A share of the memory that the model file announces."""

    part: str
    """``operator`` for one that runs, else the part's name in the static plan."""
    what: str
    """For people."""
    size_bytes: int
    operator: int | None = None
    """Index of the operator in the model file."""


class OperatorNeed(_Frozen):
    """What one operator of the model file takes while it runs, by the file's shapes."""

    index: int
    type: str
    name: str
    live_bytes: int
    """All tensors that are alive in its step."""
    workspace_bytes: int
    """Its own temporaries."""


class Device(_Frozen):
    """The device that was emulated."""

    id: str
    name: str
    core: str
    cores: int
    emulated_cpu: str
    page_size_bytes: int | None
    """None for a microcontroller, which has no pages."""
    ram_bytes: int


class Hardware(_Frozen):
    """Facts that time and energy depend on; None is what no source says."""

    soc: str
    clock_hz: int
    sustained_clock_hz: int | None
    bandwidth_bytes_per_second: int | None
    idle_watts: float | None
    load_watts: float | None


class DeviceRecord(Device):
    """The device and what was taken of it for the run."""

    page_size_bytes: int
    available: Quantity
    """RAM that a process may use on the idle device."""
    memory_limit_bytes: int
    memory_limit_source: str
    tick_ns: tuple[int, int]
    """Nanoseconds of one cycle of the core, as numerator and denominator."""
    hardware: Hardware | None = None
    """None in folders of versions that wrote none: their latency is not calibrated."""
    swap_bytes: int = 0
    """Of the limit, what the device has as swap."""
    features: tuple[str, ...] = ()
    """The core's features as /proc/cpuinfo names them; empty in folders of versions that wrote none."""
    zram_left_out_bytes: int = 0
    """Size of the device's zram, which ``--swap`` does not count."""


class Image(_Frozen):
    """The pinned image, by the digest of its lock."""

    id: str
    title: str
    digest: str


class RuntimeRecord(_Frozen):
    """The runtime that was asked for."""

    name: str
    version: str
    threads: int


class EngineRecord(_Frozen):
    """The engine, and the emulator by lock digest."""

    name: Literal["local", "docker", "native", "replay"]
    emulator_digest: str | None
    isolated: bool


class RunRecord(_Frozen):
    """The whole record."""

    schema_version: Literal[1] = 1
    tool_version: str
    started: str
    """UTC, ISO 8601."""
    host: dict[str, Any]
    model: ModelRecord
    device: DeviceRecord
    image: Image
    runtime: RuntimeRecord
    engine: EngineRecord
    inputs: str
    """``random (seed 0)``, ``zeros`` or the name of the npz file."""
    parity: bool = False
    """Whether outputs were to be compared."""
    caches: bool
    """Whether the operator run modelled the device's data caches."""
    jobs: tuple[str, ...]
    """Names of the job folders."""
    needs: tuple[Need, ...] = ()
    """What the static plan says; empty where it says nothing, and in older records."""
    operator_needs: tuple[OperatorNeed, ...] = ()
    """In the order of the file; empty where the static plan says nothing, and in older records."""
    latency_budget_seconds: float | None = None
    """``--latency-budget``."""
