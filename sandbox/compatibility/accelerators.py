"""What an accelerator that cannot run here would take of a model, by its maker's list: ``compatibility/accelerators``.

A list says what can be mapped, not what will be: compilers decide by shapes and parameters too.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.compatibility_result import Accelerator, AcceleratorOperator, MappingStatus
from sandbox.errors import DataFileError, UsageError
from sandbox.graph import ModelGraph

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class AcceleratorList(BaseModel):
    """One file: which operators of which format and types an accelerator takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    format: Literal["tflite", "onnx"]
    source: str
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    """When the source was written or read."""
    version: str
    """Of the compiler or delegate that the list is of."""
    note: str
    dtypes: tuple[str, ...]
    """Types of operators that it takes at all; of the first output."""
    operators: dict[str, str]
    """Operator → condition in a sentence, empty for none."""


def available_accelerators(directory: Path) -> tuple[str, ...]:
    """Ids of the shipped lists, sorted."""
    return tuple(sorted(path.stem for path in (directory / "accelerators").glob("*.toml")))


def load_accelerator(accelerator_id: str, directory: Path) -> AcceleratorList:
    """The list of that id. Raises `UsageError` for an unknown id and `DataFileError` for a damaged file."""
    known = available_accelerators(directory)
    if accelerator_id not in known:
        raise UsageError(f"unknown accelerator {accelerator_id!r}", hint=f"known: {', '.join(known)}")
    path = directory / "accelerators" / f"{accelerator_id}.toml"
    try:
        return AcceleratorList.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataFileError(f"{path}: {where}: {first['msg']}", hint="mend the file") from error
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path}: {error}", hint="mend the file") from error


def accelerate(graph: ModelGraph, accelerator_id: str, known: AcceleratorList) -> Accelerator:
    """How the operators of the model would fall between the accelerator and the CPU."""
    kinds = Counter((operator.type, operator.dtype, operator.custom) for operator in graph.operators)
    rows = []
    for (kind, dtype, custom), count in kinds.items():
        status, detail = _mapping(kind, dtype, known, custom=custom, fits=graph.format == known.format)
        rows.append(AcceleratorOperator(type=kind, dtype=dtype, count=count, status=status, detail=detail))
    totals = {
        status: sum(row.count for row in rows if row.status == status)
        for status in ("mapped", "conditional", "fallback")
    }
    return Accelerator(
        id=accelerator_id,
        name=f"{known.name} ({known.version})",
        operators=tuple(rows),
        mapped=totals["mapped"],
        conditional=totals["conditional"],
        fallback=totals["fallback"],
        note=known.note,
    )


def _mapping(
    kind: str, dtype: str | None, known: AcceleratorList, *, custom: bool, fits: bool
) -> tuple[MappingStatus, str]:
    if not fits:
        return "fallback", f"it takes {known.format} models"
    if custom or kind not in known.operators:
        return "fallback", "not in its list"
    if dtype is not None and known.dtypes and dtype not in known.dtypes:
        return "fallback", f"it takes {', '.join(known.dtypes)}, not {dtype}"
    condition = known.operators[kind]
    return ("conditional", condition) if condition else ("mapped", "")
