"""The one document that a profile ends in: ``--format json``, and what every report is made from.

The published schema is ``schema()``; ``docs/result.schema.json`` holds a copy that a test compares.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from .compatibility_result import Compatibility
from .errors import DataFileError
from .frames import memory_frame, ops_frame
from .measurements import AllocatorPhase, Counts, HeapOwner, IllegalInstruction, Op, Phase
from .metrics import Quantity, Unavailable
from .microcontroller.outcome import MicrocontrollerPart
from .parity import Parity
from .record import Device, Image, Model

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
CheckId = Literal["memory", "operators", "cpu", "abi", "run", "latency", "flash", "regression", "parity"]
CheckStatus = Literal["pass", "warn", "fail", "unknown", "skipped"]
OutOfMemoryKind = Literal["kernel", "watchdog", "bad_alloc", "MemoryError", "runtime"]
VerdictStatus = Literal["ready", "marginal", "not_ready", "unknown"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tool(_Frozen):
    """Who wrote the document."""

    name: Literal["edge-sandbox"] = "edge-sandbox"
    version: str


class Runtime(_Frozen):
    """The runtime that ran the model."""

    name: str
    version: str
    threads: int
    kernels: tuple[str, ...]
    """Delegates or execution providers that took operators, as the runtime reported them."""
    python: str | None
    numpy: str | None


class Engine(_Frozen):
    """What ran it on this host."""

    name: Literal["local", "docker", "native", "replay", "qemu-system", "renode"]
    emulator: str | None
    emulator_digest: str | None
    isolation: str
    memory_limit: str
    """What enforced the device's RAM: ``cgroup v2``, ``watchdog`` …"""


class Memory(_Frozen):
    """Memory of the latency run: the guest's alone, the emulator's apart."""

    peak_rss: Quantity
    file_backed: Quantity
    """Of the peak, pages of mapped files (libraries, a TFLite model): they stay in the page cache, and the kernel can
    drop and read them again."""
    anonymous: Quantity
    """The rest of the peak: it can only be freed by swapping or killing."""
    weights: Quantity
    runtime_baseline: Quantity
    emulator_overhead: Quantity
    available: Quantity
    headroom: Quantity
    limit: Quantity
    phases: tuple[Phase, ...]
    timeline: tuple[tuple[float, int], ...]
    """(seconds since the start, bytes resident)."""


class HeapSite(_Frozen):
    """What a library, or a function in it, held at the heap's peak."""

    library: str
    function: str | None
    size: Quantity


class HeapShare(_Frozen):
    """What one owner held at the heap's peak."""

    owner: HeapOwner
    size: Quantity


class Heap(_Frozen):
    """Allocations: sizes and owners as massif counted them in the heap run, calls and fragmentation of the latency
    run."""

    peak: Quantity
    owners: tuple[HeapShare, ...]
    """Together with `overhead` the whole peak; the largest first."""
    overhead: Quantity
    """What the allocator added to what was asked for: headers and rounding."""
    fragmentation: Quantity
    """Free memory between blocks in use, which the allocator cannot give back, after the last inference."""
    allocator_calls: Quantity
    """That asked for memory, from the load of the model to its last inference."""
    inference_calls: Quantity = Unavailable(unavailable="the run did not look at the allocator")
    """The same in one inference."""
    allocator_phases: tuple[AllocatorPhase, ...] = ()
    sites_unavailable: str | None
    by_library: tuple[HeapSite, ...]
    sites: tuple[HeapSite, ...]
    timeline: tuple[tuple[float, int], ...]
    timeline_unit: str


class CalibrationRow(_Frozen):
    """A model measured on a board, and what a fit that had not seen its family says of it."""

    model: str
    measured_seconds: float
    predicted_seconds: float


class CalibrationUse(_Frozen):
    """The calibration behind the times, and how far it is to be trusted."""

    id: str
    error: float | None
    """Mean relative error on families that it was not fitted to; None where none was left out."""
    notes: tuple[str, ...]
    digest: str | None = None
    """sha256 of the calibration's file; None in older documents."""
    rows: tuple[CalibrationRow, ...] = ()
    """Its measured rows; empty where it has none of its own, and in older documents."""


class Latency(_Frozen):
    """Time of an inference on the guest's clock: one cycle for each instruction until a calibration says more."""

    counts: Counts
    work: Counts | None = None
    """The same inference on one thread, where several ran: without what threads do to find work."""
    mean: Quantity
    p95: Quantity
    throughput: Quantity
    sustained: Quantity = Unavailable(unavailable="no calibration was applied")
    """Mean under permanent load, at the device's sustained clock."""
    energy: Quantity = Unavailable(unavailable="no calibration was applied")
    """Of the whole board for one inference."""
    calibration: CalibrationUse | None = None
    """What turned counts into times; None where nothing did."""
    samples: tuple[float, ...]
    """Seconds of every timed inference, in order."""


class Check(_Frozen):
    """One question, its answer, and the reason in a sentence."""

    id: CheckId
    status: CheckStatus
    value: Quantity | None = None
    limit: Quantity | None = None
    reason: str
    fix: str | None = None
    """The first thing to do about it."""


class OperatorMemory(_Frozen):
    """What one operator needs while it runs: all tensors alive in its step, and its own temporaries."""

    index: int
    type: str
    name: str
    live: Quantity
    workspace: Quantity


class Change(_Frozen):
    """One number of two results."""

    what: str
    before: Quantity
    now: Quantity
    increase: float | None
    """As a share of `before`; None where one of the two is not known."""
    allowed: float | None
    """The largest increase that passes, as a share; None where none was asked for."""

    @property
    def regressed(self) -> bool:
        """Whether the increase is beyond what is allowed."""
        return self.increase is not None and self.allowed is not None and self.increase > self.allowed


class Baseline(_Frozen):
    """An earlier result, and what changed since."""

    started: str
    tool_version: str
    model_sha256: str
    differences: tuple[str, ...]
    """What else is not the same, in words."""
    changes: tuple[Change, ...]


class OutOfMemory(_Frozen):
    """How memory ran out."""

    kind: OutOfMemoryKind
    """Who noticed: the kernel or the watchdog killed it, C++ or Python raised, or the runtime refused."""
    phase: str
    held: Quantity
    asked: Quantity
    under_way: str | None
    """The operator that ran, or else the operator or allocation that by the model file takes most in that phase."""
    under_way_seen: bool = False
    """Whether it was seen: in the operator run, which was killed in the same phase under the same limit."""
    under_way_needs: Quantity


class Verdict(_Frozen):
    """The answer."""

    status: VerdictStatus
    reasons: tuple[str, ...]
    fix: str | None = None


class Result(_Frozen):
    """The whole document."""

    schema_version: Literal[1] = 1
    tool: Tool
    started: str
    host: dict[str, Any]
    model: Model
    device: Device
    image: Image
    runtime: Runtime
    engine: Engine
    memory: Memory
    heap: Heap
    latency: Latency
    ops: tuple[Op, ...]
    ops_unavailable: str | None
    operator_memory: tuple[OperatorMemory, ...] = ()
    """By the model file, in its order, which need not be that of `ops`: a delegate joins operators. Empty where the
    file does not tell, and in older documents."""
    out_of_memory: OutOfMemory | None
    """Only when the run failed for want of memory."""
    illegal_instruction: IllegalInstruction | None = None
    """Only when the core refused an instruction and the guest could say which."""
    parity: Parity | None = None
    """Only when a comparison of outputs was asked for and the model ran."""
    checks: tuple[Check, ...]
    verdict: Verdict
    warnings: tuple[str, ...]
    compatibility: Compatibility | None = None
    """None in documents of versions that looked for none."""
    baseline: Baseline | None = None
    """Only where the result was compared with an earlier one."""
    microcontroller: MicrocontrollerPart | None = None
    """Only of a device without Linux, whose memory and heap above are then unavailable."""
    cached: bool = False
    """Whether the run is an earlier one that was kept, of the time `started`: nothing was run for this document."""

    def ops_frame(self) -> pd.DataFrame:
        """The operators as a pandas table; see `frames.ops_frame`."""
        return ops_frame(self.ops)

    def memory_frame(self) -> pd.DataFrame:
        """The resident memory over time as a pandas table; see `frames.memory_frame`."""
        return memory_frame(self.memory.timeline, self.memory.phases)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Result.model_json_schema()}


def read_result(path: Path) -> Result:
    """Read a file. Raises `DataFileError`."""
    try:
        return parse_result(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror}", hint="give a --format json file") from error
    except UnicodeDecodeError as error:
        raise DataFileError(f"{path} is not a result document: {error}", hint="give a --format json file") from error


def parse_result(text: str, origin: Path) -> Result:
    """Read a document. Raises `DataFileError` for other files, and for versions that this tool does not know."""
    try:
        document: Any = json.loads(text)
        version = document.get("schema_version") if isinstance(document, dict) else None
        if version != SCHEMA_VERSION:
            raise DataFileError(
                f"{origin}: schema_version is {version!r}, this edge-sandbox reads {SCHEMA_VERSION}",
                hint="make the result again with this version, or read it with the version that wrote it",
            )
        return Result.model_validate_json(text)  # stricter than the document above: no half characters
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataFileError(f"{origin}: {where}: {first['msg']}", hint="make the result again") from error
    except (ValueError, RecursionError) as error:
        raise DataFileError(f"{origin} is not a result document: {error}", hint="give a --format json file") from error
