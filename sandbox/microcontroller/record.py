"""What was run for a microcontroller, as it stands in the run folder: enough to judge it without anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sandbox.graph.dataflow import Dataflow
from sandbox.record import EngineRecord, Image, ModelRecord
from sandbox.rundir import read_document

from .board import Microcontroller

RECORD = "microcontroller.json"
ARENA_JOB = "arena"
"""The job in which TFLM runs the model on this host."""


class MicrocontrollerRecord(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    tool_version: str
    started: str
    host: dict[str, Any]
    model: ModelRecord
    board: Microcontroller
    flows: tuple[Dataflow, ...]
    image: Image
    tflm_version: str
    engine: EngineRecord | None
    """What ran TFLM on this host; None when nothing did."""
    host_unavailable: str | None
    """Why nothing did."""
    inputs: str
    memory_bytes: int | None
    """A limit in place of the board's RAM, if the user gave one."""
    reserve_bytes: int
    latency_budget_seconds: float | None


def write_record(run_dir: Path, record: MicrocontrollerRecord) -> None:
    """Write what is about to run."""
    (run_dir / RECORD).write_text(record.model_dump_json(indent=1) + "\n")


def has_record(run_dir: Path) -> bool:
    """Whether the folder is of a microcontroller's run."""
    return (run_dir / RECORD).is_file()


def read_record(run_dir: Path) -> MicrocontrollerRecord:
    """Read what was run. Raises `DataFileError`."""
    return read_document(run_dir / RECORD, MicrocontrollerRecord)
