"""The document that ``profile --firmware`` ends in: ``schema()`` is published as docs/firmware.schema.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.errors import DataFileError
from sandbox.metrics import Quantity
from sandbox.record import Device
from sandbox.result import Check, Tool, Verdict

SCHEMA_VERSION = 1
DOCUMENT = "firmware.json"
"""The result in the run folder."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Program(_Frozen):
    """The ELF file."""

    path: str
    sha256: str
    size_bytes: int
    architecture: str | None
    cpu: str | None
    float_abi: Literal["soft", "hard"]
    stripped: bool
    holds_model: bool | None
    """Whether the model's bytes are in it; None when no model was given."""


class Part(_Frozen):
    """A section or a symbol and its share of a kind of memory."""

    name: str
    address: int
    size: Quantity


class Place(_Frozen):
    """Flash or RAM: what the program has there, against what the board has."""

    used: Quantity
    available: Quantity
    sections: tuple[Part, ...]
    symbols: tuple[Part, ...]
    """The largest first; not all of them."""


class Reserved(_Frozen):
    """Stack or heap as the linker script set it aside, and how much of it the run used."""

    size: Quantity
    used: Quantity
    source: str


class Finding(_Frozen):
    """Something that would not have gone well on the board."""

    kind: Literal[
        "fault", "stack overflow", "out of range", "write to flash", "lockup", "hang", "flood", "abort", "reset"
    ]
    place: str
    """Function and offset, or the address."""
    text: str


class Engine(_Frozen):
    """What ran it."""

    name: Literal["qemu-system", "renode"]
    emulator: str
    machine: str
    differs: tuple[str, ...]
    """What is different from the board."""


class Run(_Frozen):
    """How the program went."""

    ended: Literal["exit", "stop", "fault", "lockup", "timeout", "flood", "abort", "reset"]
    exit_code: int | None
    instructions: Quantity
    """From the begin symbol to the end symbol."""
    all_instructions: Quantity
    ram_touched: Quantity
    """Bytes that were not as they had been painted, start-up included."""
    console: str
    findings: tuple[Finding, ...]


class FirmwareResult(_Frozen):
    """What a user's own firmware takes of a board and does on it."""

    schema_version: Literal[1] = 1
    kind: Literal["firmware"] = "firmware"
    tool: Tool
    device: Device
    program: Program
    flash: Place
    ram: Place
    stack: Reserved
    heap: Reserved
    arena: Quantity
    """Size of the symbol that looks like TFLM's arena."""
    arena_symbol: str | None
    engine: Engine | None
    """None when it could not be run at all; the checks say why."""
    run: Run | None
    checks: tuple[Check, ...]
    verdict: Verdict


def schema() -> dict[str, Any]:
    """JSON Schema of the document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **FirmwareResult.model_json_schema()}


def write_document(run_dir: Path, result: FirmwareResult) -> None:
    """Leave the result in the run folder."""
    (run_dir / DOCUMENT).write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")


def is_firmware(source: Path) -> bool:
    """Whether a run folder or a JSON document is of a firmware's run."""
    if source.is_dir():
        return (source / DOCUMENT).is_file()
    try:
        document = json.loads(source.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("kind") == "firmware"


def read_document(source: Path) -> FirmwareResult:
    """Read what `is_firmware` knows. Raises `DataFileError`, also for versions that this tool does not know."""
    path = source / DOCUMENT if source.is_dir() else source
    try:
        text = path.read_bytes()
        document = json.loads(text)
        version = document.get("schema_version") if isinstance(document, dict) else None
        if version != SCHEMA_VERSION:
            raise DataFileError(
                f"{path}: schema_version is {version!r}, this edge-sandbox reads {SCHEMA_VERSION}",
                hint="run the firmware again with this version, or read it with the version that wrote it",
            )
        return FirmwareResult.model_validate_json(text)
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror}", hint="name a run folder of profile --firmware") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataFileError(f"{path}: {where}: {first['msg']}", hint="run the firmware again") from error
    except (ValueError, RecursionError) as error:
        raise DataFileError(f"{path} is not a firmware's result: {error}", hint="run the firmware again") from error
