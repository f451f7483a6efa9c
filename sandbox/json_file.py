"""JSON files of ours: read, checked against their schema, and refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from .errors import DataFileError

_Document = TypeVar("_Document", bound=BaseModel)
_LARGEST_BYTES = 64 << 20
"""Ours are far smaller; what is larger is none, and reading it would take all memory."""


def read_document(path: Path, kind: type[_Document], hint: str) -> _Document:
    """The document at ``path``. Raises `DataFileError` that names the file, the field and, by ``hint``, what to do."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
        if len(content) > _LARGEST_BYTES:
            raise DataFileError(f"{path}: larger than {_LARGEST_BYTES >> 20} MiB: no file of ours is", hint=hint)
        return kind.model_validate_json(content)
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror}", hint=hint) from error
    except ValidationError as error:
        raise DataFileError(f"{path}: {first_problem(error)}", hint=hint) from error


def write_whole(path: Path, text: str) -> None:
    """Write the file at once: whoever interrupts it finds the old one, or none. Raises `OSError`."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def first_problem(error: ValidationError) -> str:
    """The first field that is wrong, and how."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"
