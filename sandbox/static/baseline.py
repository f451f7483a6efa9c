"""What a runtime takes before a model has any size: read from ``images/<id>/baseline.json``, which emulated runs made.

``python -m tests.record_baselines`` writes these files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.errors import DataFileError

FILE = "baseline.json"
_HINT = "make it again: python -m tests.record_baselines"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Baseline(_Frozen):
    """Resident memory of Python, NumPy and a runtime on an image, in bytes."""

    runtime: str
    version: str
    page_size_bytes: int
    imported_bytes: int
    """Once the runtime is imported, before any model."""
    smallest_model_bytes: int
    """At the peak of a run with a model of a few kB: with the runtime's code and structures that every model needs."""


class Baselines(_Frozen):
    """All baselines of an image."""

    schema_version: Literal[1] = 1
    lock: str
    """Digest of the image's lock at that time."""
    runtimes: tuple[Baseline, ...]


def load_baselines(image_id: str, directory: Path) -> Baselines | None:
    """The image's file below ``directory``, ``None`` where it has none. Raises `DataFileError` for a damaged one."""
    path = directory / image_id / FILE
    if not path.is_file():
        return None
    try:
        return Baselines.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataFileError(f"{path}: {where}: {first['msg']}", hint=_HINT) from error


def find_baseline(
    baselines: Baselines | None, *, runtime: str, version: str, page_size_bytes: int, lock: str
) -> Baseline | str:
    """The baseline of that build, or why there is none: every version takes its own, so no other's stands in."""
    if baselines is None or baselines.lock != lock:
        return "no emulated run has measured this image's runtimes yet"
    for each in baselines.runtimes:
        if (each.runtime, each.version, each.page_size_bytes) == (runtime, version, page_size_bytes):
            return each
    return f"no emulated run has measured what {runtime} {version} takes with pages of {page_size_bytes} bytes"
