"""``calibration/counts/<id>.json``: what one inference of known models costs on an emulated core, in instructions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .errors import DataFileError
from .json_file import read_document
from .measurements import InstructionClass
from .record import Traffic

_Count = Annotated[int, Field(strict=True, ge=0, le=2**62)]
_Positive = Annotated[int, Field(strict=True, ge=1, le=2**62)]
_HINT = "make it again: edge-sandbox calibration count"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelCounts(_Frozen):
    """One inference of one model."""

    model: str
    dtype: Literal["fp32", "int8", "uint8"]
    instructions: _Positive
    """Of all threads, waiting left out."""
    critical_path: _Positive
    """What the thread that asked for the inference did and waited for."""
    weights_bytes: _Positive
    """Constant data in the model file."""
    operators: _Positive
    """In the model file, before a delegate fuses any."""
    traffic: Traffic | None = None
    """What its operators move on the device; None where that does not follow from the file."""
    classes: Mapping[InstructionClass, _Count]


class CountSet(_Frozen):
    """Models counted with one build, on one core, with one number of threads."""

    schema_version: Literal[1] = 1
    id: str
    device: str
    """Whose identity the guest saw."""
    os: str
    emulated_cpu: str
    runtime: str
    runtime_version: str
    delegates: bool
    """False: the runtime's own kernels, no XNNPACK."""
    threads: Annotated[int, Field(strict=True, ge=1)]
    emulator: str
    """Emulator and version."""
    models: tuple[ModelCounts, ...]

    def find(self, model: str, dtype: str) -> ModelCounts | None:
        """The counts of that model, if it was counted."""
        return next((row for row in self.models if (row.model, row.dtype) == (model, dtype)), None)


def read_counts(path: Path) -> CountSet:
    """Read a file of counts. Raises `DataFileError`."""
    found = read_document(path, CountSet, _HINT)
    if found.id != path.stem:
        raise DataFileError(f"{path}: id: is {found.id!r}, the file's name says {path.stem!r}", hint=_HINT)
    return found


def render_counts(counts: CountSet) -> str:
    """The file's text: a line for each model, in order, so that two versions can be compared."""
    head: dict[str, Any] = counts.model_dump(mode="json", exclude={"models"})
    rows = sorted(counts.models, key=lambda row: (row.dtype, row.model))
    lines = [json.dumps(row.model_dump(mode="json")) for row in rows]
    fields = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    return "{\n" + fields + ' "models": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
