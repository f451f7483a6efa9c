"""JSON files of ours: read, checked against their schema, and refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from .errors import DataFileError

_Document = TypeVar("_Document", bound=BaseModel)


def read_document(path: Path, kind: type[_Document], hint: str) -> _Document:
    """The document at ``path``. Raises `DataFileError` that names the file, the field and, by ``hint``, what to do."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror}", hint=hint) from error
    except ValidationError as error:
        raise DataFileError(f"{path}: {first_problem(error)}", hint=hint) from error


def first_problem(error: ValidationError) -> str:
    """The first field that is wrong, and how."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"
