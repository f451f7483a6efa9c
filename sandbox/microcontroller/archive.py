"""Static libraries: their members, and what cannot be linked from one that is not whole."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MAGIC = b"!<arch>\n"


def archive_members(content: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each member of a static library; ``/`` is its symbol table. Raises `ValueError`.

    The format is that of System V's ``ar``: a line of 60 bytes before each member, sizes in decimal.
    """
    if not content.startswith(_MAGIC):
        raise ValueError("it is a thin archive" if content.startswith(b"!<thin>\n") else "it is no static library")
    at = len(_MAGIC)
    while at + 60 <= len(content):
        header = content[at : at + 60]
        if header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            raise ValueError("it is damaged: a member has no header")
        size = int(header[48:58])
        if at + 60 + size > len(content):
            raise ValueError("it is cut short")
        name = header[:16].decode("latin-1").rstrip()
        yield (name if name in {"/", "//"} else f"{at}:{name}"), content[at + 60 : at + 60 + size]
        at += 60 + size + size % 2


@dataclass(frozen=True, kw_only=True)
class ObjectSymbols:
    """Global names of an object file."""

    defined: frozenset[str]
    needed: frozenset[str]


def object_symbols(content: bytes) -> tuple[ObjectSymbols, ...]:
    """Of each object file in a static library; files that cannot be read are left out. Raises `ValueError`."""
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    found = []
    for _name, data in archive_members(content):
        if data[:4] != b"\x7fELF":
            continue
        try:
            table: Any = ELFFile(io.BytesIO(data)).get_section_by_name(".symtab")
            symbols = [s for s in table.iter_symbols() if s["st_info"]["bind"] != "STB_LOCAL"] if table else []
            needed = frozenset(symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF")
            defined = frozenset(symbol.name for symbol in symbols) - needed
        except Exception:  # noqa: BLE001, S112  # the reader raises a dozen kinds for damaged files
            continue
        found.append(ObjectSymbols(defined=defined, needed=needed))
    return tuple(found)


def in_need_of(objects: tuple[ObjectSymbols, ...], missing: frozenset[str]) -> frozenset[str]:
    """All names whose object file needs one of ``missing``, by itself or by way of others."""
    users: defaultdict[str, list[int]] = defaultdict(list)
    for index, one in enumerate(objects):
        for name in one.needed:
            users[name].append(index)
    open_names, reached = list(missing), set[int]()
    while open_names:
        for index in users.pop(open_names.pop(), ()):
            if index not in reached:
                reached.add(index)
                open_names += objects[index].defined
    return frozenset().union(*(objects[index].defined for index in reached))
