"""Addresses of functions in a loaded shared library, also those it keeps in its symbol table without exporting them.

``dlsym`` sees exported symbols only. The wheels of ai-edge-litert export none of the interpreter's functions but are
not stripped, so their addresses stand in ``.symtab``. Layout: the System V ABI's ELF chapters "Section Header" and
"Symbol Table"; both word sizes, little-endian.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHT_SYMTAB, SHT_DYNSYM = 2, 11
#: Fields of one symbol for 32- and 64-bit files.
SYMBOL = {
    4: np.dtype("u4, u4, u4, u1, u1, u2"),
    8: np.dtype("u4, u1, u1, u2, u8, u8"),
}
SYMBOL[4].names = ("name", "value", "size", "info", "other", "section")
SYMBOL[8].names = ("name", "info", "other", "section", "value", "size")
GLOBAL_FUNCTION = 0x12


@dataclass(frozen=True)
class Symbol:
    """A defined symbol: offset from the library's load address, and size, in bytes."""

    name: str
    value: int
    size: int


class SymbolTable:
    """The symbols of one ELF file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._word = 8 if self._data[4] == 2 else 4

    def find(self, name: str) -> Symbol | None:
        """The defined symbol of that (mangled) name, exported or not."""
        needle = b"\0" + name.encode() + b"\0"
        for symbols, strings, length in self._tables():
            position = self._data.find(needle, strings, strings + length)
            if position < 0:
                continue
            hits = symbols[(symbols["name"] == position + 1 - strings) & (symbols["section"] != 0)]
            if len(hits):
                return Symbol(name, int(hits[0]["value"]), int(hits[0]["size"]))
        return None

    def load_address(self) -> int:
        """Where this process has the library; it is loaded already or will be now."""
        library = ctypes.CDLL(str(self.path))
        for symbols, strings, _ in self._tables(SHT_DYNSYM):
            functions = symbols[(symbols["info"] == GLOBAL_FUNCTION) & (symbols["section"] != 0)]
            for entry in functions:
                start = strings + int(entry["name"])
                name = self._data[start : self._data.find(b"\0", start)].decode()
                address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
                return address - int(entry["value"])
        raise LookupError(f"{self.path.name} exports no function to take its load address from")

    def _tables(self, *kinds: int) -> Iterator[tuple[np.ndarray, int, int]]:
        """Every symbol table with the place and length of its names."""
        sections = list(self._sections())
        for kind, offset, size, link in sections:
            if kind in (kinds or (SHT_SYMTAB, SHT_DYNSYM)):
                layout = SYMBOL[self._word]
                symbols = np.frombuffer(self._data, layout, count=size // layout.itemsize, offset=offset)
                yield symbols, sections[link][1], sections[link][2]

    def _sections(self) -> Iterator[tuple[int, int, int, int]]:
        """Type, file offset, size and link of every section."""
        if self._word == 8:
            (table,) = struct.unpack_from("<Q", self._data, 0x28)
            step, count = struct.unpack_from("<HH", self._data, 0x3A)
            layout = "<4xI16xQQI"
        else:
            (table,) = struct.unpack_from("<I", self._data, 0x20)
            step, count = struct.unpack_from("<HH", self._data, 0x2E)
            layout = "<4xI8xIII"
        for index in range(count):
            kind, offset, size, link = struct.unpack_from(layout, self._data, table + index * step)
            yield kind, offset, size, link
