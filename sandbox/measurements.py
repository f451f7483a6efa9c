"""What the profilers measure, in the words of the result document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from .isa import InstructionSet
from .metrics import Quantity

InstructionClass = Literal[
    "integer", "multiply", "divide", "branch", "load", "store", "vector_load", "vector_store", "vector_fma",
    "vector_float", "vector_integer_multiply", "dot_product", "vector_integer", "permute", "float", "crypto", "atomic",
    "system", "unknown",
]  # fmt: skip
"""Classes that a core's timing tells apart, in the order of ``enum insn_class`` in images/plugin/insn.h."""
HeapOwner = Literal["Python", "runtime", "model", "runtime or model", "other"]
"""Whose memory: ``other`` is that of system libraries, and what is below massif's threshold."""
OpStatus = Literal["native", "delegated", "outside", "missing", "not_run"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Phase(_Frozen):
    """A part of the run, and the guest's resident memory at its end and at its highest."""

    name: str
    start: Quantity
    rss_at_end: Quantity
    peak_rss: Quantity


class AllocatorPhase(_Frozen):
    """A part of the run, and what the C library's allocator did in it."""

    name: str
    calls: Quantity
    """That asked for memory."""
    frees: Quantity
    held: Quantity
    """What the allocator had of the kernel at the end of the phase."""
    fragmentation: Quantity
    """Of that, free memory between blocks in use."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """What the code at a guest address is."""

    function: str | None
    """C++ names without their argument types; None where the library has no symbols."""
    library: str
    """XNNPACK, ruy, gemmlowp, MLAS …, else the name of the file."""
    place: str
    """File and offset in it: the same in each run, as addresses are not."""


@dataclass(frozen=True, kw_only=True)
class ReachedCode:
    """An instruction that ran under emulation and that the device's core may lack."""

    feature: str
    """As ``/proc/cpuinfo`` names it."""
    instruction: str
    path: str
    """The guest's file that holds it, or ``unknown``."""
    function: str | None
    address: int


class IllegalInstruction(_Frozen):
    """What the core refused to execute."""

    instruction: str
    """Mnemonic and operands, or "unknown"."""
    encoding: str
    """Hexadecimal: a word (a64, a32), halfwords (t32) or bytes (x86)."""
    instruction_set: InstructionSet
    address: str
    """In the guest, hexadecimal."""
    function: str | None
    """None where the library has no symbols."""
    file: str
    """The library or program that the code is of."""
    offset: str | None
    """In that file, hexadecimal."""
    needs: str | None
    """The core's feature that it needs, as /proc/cpuinfo names it; None where that is not known."""
    trap: bool
    """Whether it is undefined on every core, so written on purpose."""


class Kernel(_Frozen):
    """A function that ran for an operator."""

    function: str | None
    """None where the library keeps no symbols."""
    library: str
    """XNNPACK, ruy, gemmlowp, MLAS …, else the name of the file."""
    instructions: Quantity


class ThreadWork(_Frozen):
    """What one thread did for one inference."""

    thread: int
    """In order of creation, 0 first."""
    instructions: Quantity


class Counts(_Frozen):
    """Instructions of one inference, waiting left out, as the emulator's plugin counted them."""

    instructions: Quantity
    """Of all threads."""
    critical_path: Quantity
    """What the thread that asked for the inference did and waited for."""
    classes: Mapping[InstructionClass, int]
    threads: tuple[ThreadWork, ...]


class Op(_Frozen):
    """An operator as it was executed, or why it was not."""

    index: int
    type: str
    name: str
    dtype: str | None
    shape: tuple[int, ...] | None
    """Of its first output."""
    delegate: str | None
    """Or the execution provider."""
    instructions: Quantity
    classes: Mapping[InstructionClass, int]
    kernels: tuple[Kernel, ...]
    """The functions that ran most instructions for it."""
    lines_from_l2: Quantity
    """Cache lines that were not in the first level."""
    lines_from_dram: Quantity
    time: Quantity
    status: OpStatus
    detail: str | None = None
