"""What was read off wheels, images and builds, and the shipped files that hold it: ``compatibility/`` in the checkout.

``python -m tests.record_builds`` writes them. A missing file gives None; a damaged one is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from sandbox.json_file import read_document

_HINT = "make it again: python -m tests.record_builds"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArmAttributes(_Frozen):
    """``.ARM.attributes`` of a 32-bit file ("Addenda to the ABI for the Arm Architecture", build attributes)."""

    cpu_name: str | None
    architecture: int | None
    """Tag_CPU_arch: 6 is ARMv6, 7 ARMv6KZ, 10 ARMv7, 14 ARMv8-A."""
    fpu: int | None
    """Tag_FP_arch: 2 is VFPv2, 3 and 4 VFPv3, 5 and 6 VFPv4, 7 and 8 ARMv8."""
    simd: int | None
    """Tag_Advanced_SIMD_arch: 0 is none, 1 NEON, 2 NEON with fused multiply-add, 3 and up ARMv8."""


class FoundInstructions(_Frozen):
    """Instructions of one optional feature in a file."""

    feature: str
    instruction: str
    count: int
    symbol: str | None


class LibraryFacts(_Frozen):
    """An ELF file of a wheel."""

    file: str
    machine: Literal["amd64", "arm64", "armhf"]
    needed: tuple[str, ...]
    """Sonames."""
    versions: Mapping[str, str]
    """Symbol version namespace → the newest that is needed, as ``GLIBC`` → ``2.27``."""
    alignment_bytes: int
    """The least alignment of a loadable segment; 0 where there is none."""
    python: str | None
    """CPython version of an extension module by its suffix, as ``3.11``."""
    numpy: Literal["1", "1 or 2"] | None
    """Which NumPy its C API was compiled for; None where it uses none."""
    asks_kernel: bool
    """Whether it looks which features the core has: ``getauxval``, ``getcpuid`` or ``/proc/cpuinfo``."""
    arm: ArmAttributes | None
    instructions: tuple[FoundInstructions, ...]


class Load(_Frozen):
    """The import of the runtime and a model of a few kB, really run under emulation."""

    image: str
    emulated_cpu: str
    outcome: Literal["loaded", "illegal instruction", "failed"]
    detail: str
    """The last line of what it said."""
    reached: tuple[str, ...] | None
    """Features that neither the device nor a run can refute whose instructions ran; None where that was not seen."""


class BuildFacts(_Frozen):
    """A wheel of a runtime, read."""

    schema_version: Literal[1] = 1
    runtime: str
    version: str
    wheel: str
    sha256: str
    recorded: str
    """Date, ISO 8601."""
    requires: tuple[str, ...]
    """``Requires-Dist`` of its metadata."""
    libraries: tuple[LibraryFacts, ...]
    loads: tuple[Load, ...] = ()


class ImageFacts(_Frozen):
    """What an image offers to a wheel."""

    schema_version: Literal[1] = 1
    image: str
    lock: str
    """Digest of the lock it was read under."""
    recorded: str
    versions: Mapping[str, str]
    """Symbol version namespace → the newest that its libraries define."""
    sonames: tuple[str, ...]


class IndexWheel(_Frozen):
    """A file of the package index."""

    filename: str
    requires_python: str | None = None


class IndexFacts(_Frozen):
    """All wheels of a runtime that the package index had on a day."""

    schema_version: Literal[1] = 1
    runtime: str
    source: str
    recorded: str
    wheels: tuple[IndexWheel, ...]


_Facts = TypeVar("_Facts", bound=BaseModel)


def load_build(wheel: str, directory: Path) -> BuildFacts | None:
    """What the shipped table says of the wheel of that file name."""
    return _load(directory / "builds" / f"{wheel.removesuffix('.whl')}.json", BuildFacts)


def load_image(image: str, directory: Path) -> ImageFacts | None:
    """What the shipped table says of the image."""
    return _load(directory / "images" / f"{image}.json", ImageFacts)


def load_index(runtime: str, directory: Path) -> IndexFacts | None:
    """The wheels that the index has of a runtime."""
    return _load(directory / "wheels" / f"{runtime}.json", IndexFacts)


def _load(path: Path, kind: type[_Facts]) -> _Facts | None:
    return read_document(path, kind, _HINT) if path.is_file() else None
