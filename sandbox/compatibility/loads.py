"""Which versions of a runtime were seen to run on an image, under emulation: ``compatibility/loads/``.

``python -m tests.record_loads`` writes the files: each version imported and run with a model of a few kB.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from packaging.version import Version
from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.errors import DataFileError

CORES = ("cortex-a53", "cortex-a72", "cortex-a76", "neoverse-n1")
"""Each executes all that those before it do, as the emulator has them: what ran on one runs on those behind it."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LoadRow(_Frozen):
    """One version on one core."""

    runtime: str
    version: str
    emulated_cpu: str
    page_size_bytes: int
    outcome: Literal["loaded", "illegal instruction", "failed"]
    detail: str
    """How it failed; empty where it did not."""


class Loads(_Frozen):
    """All rows of an image."""

    schema_version: Literal[1] = 1
    image: str
    recorded: str
    """Date, ISO 8601."""
    emulator: str
    rows: tuple[LoadRow, ...]


def load_loads(image: str, directory: Path) -> Loads | None:
    """The table of an image, None where there is none. Raises `DataFileError` for a damaged one."""
    path = directory / "loads" / f"{image}.json"
    if not path.is_file():
        return None
    try:
        return Loads.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataFileError(
            f"{path}: no table of loads: {str(error).splitlines()[0]}", hint="python -m tests.record_loads"
        ) from error


def versions_around(
    loads: Loads, runtime: str, version: str, emulated_cpu: str, page_size_bytes: int
) -> tuple[str, ...]:
    """The nearest versions before and after ``version`` that ran on such a core, the older first; at most two."""
    ran = sorted(
        {
            Version(row.version)
            for row in loads.rows
            if row.runtime == runtime
            and row.outcome == "loaded"
            and row.page_size_bytes >= page_size_bytes
            and _executes(emulated_cpu, row.emulated_cpu)
        }
    )
    older, newer = _beside(ran, Version(version))
    return tuple(str(each) for each in (*older, *newer))


def _beside(ran: Sequence[Version], asked: Version) -> tuple[Sequence[Version], Sequence[Version]]:
    return [each for each in ran if each < asked][-1:], [each for each in ran if each > asked][:1]


def _executes(core: str, all_of: str) -> bool:
    if core == all_of:
        return True
    return core in CORES and all_of in CORES and CORES.index(core) >= CORES.index(all_of)
