"""``calibration/measured/*.csv``: times that were measured on real boards, each with its source."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .errors import DataFileError
from .json_file import first_problem

Figure = Literal["mean_ms", "p50_ms", "p90_ms", "p95_ms"]
_HINT = "calibration/measured/README.md has every column"


def _blank(value: Any) -> Any:
    return None if value == "" else value


_Milliseconds = Annotated[Annotated[float, Field(gt=0, lt=1e7, allow_inf_nan=False)] | None, BeforeValidator(_blank)]
_Number = Annotated[Annotated[int, Field(ge=1, le=10**7)] | None, BeforeValidator(_blank)]
_Text = Annotated[str, Field(min_length=1)]


class MeasuredRow(BaseModel):
    """One model on one board, as the source prints it; blank is what the source does not print."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: _Text
    soc: str = ""
    core: _Text
    clock_mhz: _Number = None
    """What was written down, not a logged clock."""
    ram_mb: _Number = None
    os_bits: _Number = None
    model: _Text
    input_shape: str = ""
    dtype: Literal["fp32", "int8", "uint8"]
    runtime: _Text
    runtime_version: str = ""
    backend: str = ""
    threads: _Number = None
    batch: _Number = None
    source_title: _Text
    source_locator: _Text
    confidence: str = ""
    mean_ms: _Milliseconds = None
    p50_ms: _Milliseconds = None
    p90_ms: _Milliseconds = None
    p95_ms: _Milliseconds = None
    note: str = ""

    def seconds(self, figures: tuple[Figure, ...]) -> float | None:
        """The first of the figures that the source prints."""
        for figure in figures:
            value: float | None = getattr(self, figure)
            if value is not None:
                return value / 1e3
        return None


def parse_measured(text: str, origin: Path) -> tuple[MeasuredRow, ...]:
    """The rows of a CSV file with a header line. Raises `DataFileError` naming line and column."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = tuple(_row(cells, origin, reader.line_num) for cells in reader)
    except csv.Error as error:
        raise DataFileError(f"{origin}: line {reader.line_num}: {error}", hint=_HINT) from error
    if not rows:
        raise DataFileError(f"{origin}: no rows", hint=_HINT)
    return rows


def read_measured(path: Path) -> tuple[MeasuredRow, ...]:
    """Read such a file. Raises `DataFileError`."""
    try:
        return parse_measured(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror}", hint=_HINT) from error
    except UnicodeDecodeError as error:
        raise DataFileError(f"{path}: not UTF-8 text", hint=_HINT) from error


def _row(cells: Mapping[str | Any, Any], origin: Path, line: int) -> MeasuredRow:
    if None in cells or None in cells.values():
        raise DataFileError(f"{origin}: line {line}: not as many cells as the header has", hint=_HINT)
    try:
        return MeasuredRow.model_validate(cells)
    except ValidationError as error:
        raise DataFileError(f"{origin}: line {line}: {first_problem(error)}", hint=_HINT) from error
