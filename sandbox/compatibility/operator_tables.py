"""Operators of a runtime's build, as dumped from the binary: ``compatibility/operators/``.

``python -m tests.record_operators`` writes the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sandbox.errors import DataFileError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Table(_Frozen):
    runtime: str
    version: str
    architecture: str
    image: str
    """The image that the build was asked in."""
    recorded: str
    """Date, ISO 8601."""


class TfliteOperator(_Frozen):
    """A builtin operator that the build registers."""

    type: str
    versions: tuple[int, ...]
    dtypes: Mapping[str, str] = {}
    """Type of a one-operator model's output → ``delegated`` (to XNNPACK), ``native`` or ``refused: …``. Types that are
    not listed were not tried."""


class TfliteTable(_Table):
    """A TFLite or LiteRT build."""

    custom: tuple[str, ...] = ()
    """Custom operators that it registers, of those that were tried."""
    operators: tuple[TfliteOperator, ...]


class OnnxKernel(_Frozen):
    """Kernels of one operator, range of versions and execution provider."""

    type: str
    domain: str = ""
    since: int
    until: int | None = None
    """None: for the definition of ``since`` alone, as long as no later one replaces it (kernel_registry.cc)."""
    provider: str
    dtypes: tuple[str, ...] | None = None
    """Of the first output or input; None where the kernel takes them all or names none."""


class OnnxTable(_Table):
    """An ONNX Runtime build."""

    ir_version: int | None
    """The newest that it loads."""
    opset: int | None
    """The newest of the standard domain that it supports officially."""
    providers: tuple[str, ...]
    operators: tuple[OnnxKernel, ...]


OperatorTable = TfliteTable | OnnxTable
_TABLE: TypeAdapter[OperatorTable] = TypeAdapter(OperatorTable)


def table_path(runtime: str, version: str, architecture: str, directory: Path) -> Path:
    """Where the table of a build is or would be."""
    return directory / "operators" / f"{runtime}-{version}-{architecture}.json"


def load_table(runtime: str, version: str, architecture: str, directory: Path) -> OperatorTable | None:
    """The table of a build, None where there is none. Raises `DataFileError` for a damaged one."""
    path = table_path(runtime, version, architecture, directory)
    if not path.is_file():
        return None
    try:
        return _TABLE.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataFileError(
            f"{path}: no operator table: {str(error).splitlines()[0]}", hint="python -m tests.record_operators"
        ) from error
