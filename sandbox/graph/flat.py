"""Reading an untrusted TFLite flatbuffer within bounds.

Python's flatbuffers has no verifier, so what is read is bounded here: vector lengths against the file, indices against
their vectors, and the sum of all that is visited, since vectors of a hostile file may overlap.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sandbox.errors import DataFileError

_MAX_TABLES = 250_000  # tensors, operators and buffers together; the runtime's own verifier gives up at a million
_MAX_DESCRIPTION_BYTES = 32 << 20  # names, shapes and index lists; models of 1 GB have some 2 MB of them

# What the generated accessors raise when an offset leads out of the file or into nonsense.
_ACCESS_ERRORS = (struct.error, ValueError, TypeError, IndexError, OverflowError, AttributeError)

_Entry = TypeVar("_Entry")


class DamagedError(Exception):
    """The file contradicts itself; the argument says where."""


class Budget:
    """Counts what is visited, so that no file costs more than its size and the limits above allow."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._description_bytes = min(4 * size_bytes + 4096, _MAX_DESCRIPTION_BYTES)
        self._tables = _MAX_TABLES

    def tables(self, length: int, what: str) -> range:
        """Indices of a vector of ``length`` tables; each entry takes 4 bytes of the file."""
        self._tables -= length
        if length * 4 > self._size_bytes or self._tables < 0:
            raise DamagedError(f"it claims {length} {what}")
        return range(length)

    def numbers(self, length: int, values: Callable[[], Any], what: str) -> list[int]:
        """A vector of 32-bit numbers; an absent one is empty."""
        self._spend(4 * length, what)
        return [int(value) for value in values().tolist()] if length else []

    def text(self, raw: bytes | None, what: str) -> str:
        """A string, with a replacement for what is not UTF-8."""
        self._spend(len(raw or b""), what)
        return (raw or b"").decode("utf-8", errors="replace")

    def _spend(self, size_bytes: int, what: str) -> None:
        self._description_bytes -= size_bytes
        if size_bytes > self._size_bytes or self._description_bytes < 0:
            raise DamagedError(f"{what} are longer than the file allows")


def at(vector: Sequence[_Entry], index: int, what: str) -> _Entry:
    """The entry, or `DamagedError` for an index outside the vector."""
    if not 0 <= index < len(vector):
        raise DamagedError(f"it has no {what} {index}")
    return vector[index]


@contextlib.contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turn all that a damaged file can make the accessors raise into one `DataFileError`."""
    try:
        yield
    except DamagedError as error:
        reason, cause = str(error), error
    except _ACCESS_ERRORS as error:
        reason, cause = "an offset leads out of the file", error  # type: ignore[assignment]
    else:
        return
    hint = "copy, download or convert it again"
    raise DataFileError(f"{path} is a damaged or truncated TFLite model: {reason}", hint=hint) from cause
