"""What a runtime's build on a device's OS image can and cannot do, as it stands in the result documents.

Made by `sandbox.compatibility` from the wheel's own files and from tables that were dumped from the build itself.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from .metrics import Metric, Mode, Quantity, Unavailable

FindingStatus = Literal["pass", "warn", "fail", "unknown"]
CpuStatus = Literal["absent", "unreached", "present", "reached"]
OperatorStatus = Literal[
    "native", "delegated", "fallback", "custom", "flex", "too_new", "wrong_dtype", "missing", "unknown"
]
MappingStatus = Literal["mapped", "conditional", "fallback"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KnownVersion(_Frozen):
    """A version of the runtime that the package index has, and whether pip would take it on this image."""

    version: str
    fits: bool
    reason: str
    """The wheel's file name, or why no wheel of it fits."""


class Install(_Frozen):
    """Which wheel pip would choose on the image."""

    status: FindingStatus
    wheel: str | None
    """File name of the wheel that pip would choose; None where there is none."""
    reason: str
    tag_glibc: str | None = None
    """The oldest glibc that the wheel's tag promises to load on."""
    elf_glibc: str | None = None
    """The oldest glibc that the wheel's files can load on."""
    versions: tuple[KnownVersion, ...] = ()
    """All versions that the index has, the newest first."""


class AbiFinding(_Frozen):
    """One need of one file of the wheel, and what the image or device has."""

    file: str
    """Path inside the wheel; the wheel's name for a need of its metadata."""
    need: str
    has: str
    status: FindingStatus
    reason: str


class CpuFinding(_Frozen):
    """Instructions in a library of the runtime that the device's core has not."""

    feature: str
    """As ``/proc/cpuinfo`` names it."""
    instruction: str
    symbol: str | None
    """The function that holds the first of them, where the library keeps symbols."""
    library: str
    count: int
    """At most so many: constants between functions may look like instructions."""
    reached: bool | None
    """Whether a run reached one; None where no run can tell."""
    status: CpuStatus
    reason: str


class RecordedLoad(_Frozen):
    """The import of the build and a model of a few kB, as they once went under emulation on this image and core."""

    emulated_cpu: str
    outcome: Literal["loaded", "illegal instruction", "failed"]
    detail: str


class KernelCost(_Frozen):
    """What an operator costs against the build whose kernel takes fewest instructions for it, of those counted."""

    macs: Metric
    best_build: str
    """Runtime and version."""
    best_library: str
    best_instructions: Metric
    """Of this operator there: its multiply-accumulates times what one took in the models that were counted."""


class OperatorFinding(_Frozen):
    """How one operator of the model would run, or ran."""

    index: int
    subgraph: int = 0
    type: str
    version: int | None
    dtype: str | None
    status: OperatorStatus
    library: str | None
    """What runs it: a delegate, an execution provider, or after a run the kernel library."""
    detail: str
    """Why, and what would help; empty for a native operator."""
    instructions: Quantity = Unavailable(unavailable="nothing was run")
    """Emulated after a run. Before it, of a fallback whose build was counted with other models: predicted."""
    cost: KernelCost | None = None
    """Of an operator that falls back and multiplies and accumulates, or that may: a delegate can leave to the runtime
    what it takes in general. None where no build was counted with its like, or this build takes fewest."""


class Delegation(_Frozen):
    """What a delegate or execution provider takes."""

    name: str
    operators: int
    partitions: int
    """Groups that run without leaving the delegate: each border costs a hand-over."""
    mode: Mode


class AcceleratorOperator(_Frozen):
    """Operators of one kind on an accelerator that cannot run here."""

    type: str
    dtype: str | None
    count: int
    status: MappingStatus
    detail: str


class Accelerator(_Frozen):
    """What an accelerator would take of the model, by its maker's list."""

    id: str
    name: str
    operators: tuple[AcceleratorOperator, ...]
    mapped: int
    conditional: int
    fallback: int
    note: str


class TableUse(_Frozen):
    """A table that the findings rest on."""

    name: str
    source: str
    date: str
    """ISO 8601."""


class Compatibility(_Frozen):
    """All of it, for one model, device, image and build."""

    install: Install
    abi: tuple[AbiFinding, ...]
    abi_unavailable: str | None = None
    """Why the wheel's files could not be read; then ``abi`` holds what the metadata alone tells."""
    cpu: tuple[CpuFinding, ...]
    cpu_unavailable: str | None = None
    load: RecordedLoad | None = None
    """None where nobody has recorded it."""
    ran: tuple[str, ...] = ()
    """The nearest versions before and after that ran on this image and core, as ``onnxruntime 1.20.1``."""
    operators: tuple[OperatorFinding, ...]
    operators_unavailable: str | None = None
    """Why there is no table of this build; then every operator's status is unknown."""
    weight_types: tuple[str, ...] = ()
    """Types of the model's constant data, as ``int4`` or ``sparse float32``."""
    model: tuple[str, ...] = ()
    """What keeps the model as a whole from loading: a newer IR version or opset than the build knows."""
    delegations: tuple[Delegation, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    tables: tuple[TableUse, ...]
