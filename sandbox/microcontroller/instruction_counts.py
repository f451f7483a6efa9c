"""Instructions of models on emulated cores, by build of TFLM: what published times are laid over.

Recorded by ``python -m tests.record_tflm_counts`` from runs of level 3. The file holds numbers and where they come
from, nothing of TFLM.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.json_file import read_document

from .board import Core
from .outcome import Kernels

FILE = "tflm_counts.json"
_Count = Annotated[int, Field(gt=0, le=10**15, strict=True)]
_Text = Annotated[str, Field(min_length=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelCounts(_Frozen):
    """One ``Invoke()`` of a model."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the model file."""
    instructions: _Count
    operators: tuple[tuple[_Text, _Count], ...]
    """(type, instructions) in the order in which TFLM ran them; the interpreter's own are what is left."""

    @model_validator(mode="after")
    def _within(self) -> ModelCounts:
        if sum(count for _type, count in self.operators) > self.instructions:
            raise ValueError("its operators have more instructions than the whole")
        return self


class Build(_Frozen):
    """One library and the core that it was built for."""

    id: _Text
    core: Core
    kernels: Kernels
    architecture: _Text
    sources: _Text
    """Which TFLM and CMSIS-NN, and where they were got."""
    compiler: _Text
    """With the options that matter."""
    library: _Text
    emulator: _Text
    notes: tuple[_Text, ...] = ()
    """What is not as it was on the measured board."""
    models: Mapping[str, ModelCounts]
    """By the name of the measured rows."""


class Builds(_Frozen):
    """The whole file."""

    schema_version: Literal[1] = 1
    builds: tuple[Build, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Builds:
        names = [each.id for each in self.builds]
        if len(set(names)) < len(names):
            raise ValueError("a build is there twice")
        return self


def read_builds(directory: Path) -> Builds:
    """What a calibration folder has of them, none without the file. Raises `DataFileError` for a damaged one."""
    path = directory / FILE
    return read_document(path, Builds, "record it again: docs/microcontrollers.md") if path.is_file() else Builds()
