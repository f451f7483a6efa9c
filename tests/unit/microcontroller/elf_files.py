"""ELF files for 32-bit ARM, made by hand: as much of them as a reader looks at."""

from __future__ import annotations

import struct
from collections.abc import Sequence

FLASH, RAM = 0x0800_0000, 0x2000_0000
_HEADER, _PROGRAM, _SECTION, _SYMBOL = "<16sHHIIIIIHHHHHH", "<IIIIIIII", "<IIIIIIIIII", "<IIIBBH"
EM_ARM, EM_386, ET_REL, ET_EXEC = 40, 3, 1, 2


def vector_table(stack: int = RAM + 0x2000, reset: int = FLASH + 0x41) -> bytes:
    return struct.pack("<16I", stack, reset, *[FLASH + 0x45] * 5, *[0] * 9)


def attributes(architecture: int = 13, *, fpu: int = 6, hard: bool = True, profile: str = "M") -> bytes:
    """A section .ARM.attributes: Tag_CPU_name 5, Tag_CPU_arch 6, Tag_CPU_arch_profile 7, Tag_FP_arch 10,
    Tag_ABI_HardFP_use 27 (1: single only), Tag_ABI_VFP_args 28."""
    tags = b"\x05MADE-UP\0" + bytes((6, architecture, 7, ord(profile)))
    if fpu:
        tags += bytes((10, fpu, 27, 1))
    if hard:
        tags += bytes((28, 1))
    file = b"\x01" + struct.pack("<I", 5 + len(tags)) + tags
    vendor = b"aeabi\0" + file
    return b"A" + struct.pack("<I", 4 + len(vendor)) + vendor


def elf_file(
    *,
    machine: int = EM_ARM,
    kind: int = ET_EXEC,
    table: bytes | None = None,
    code_at: int = FLASH,
    data_at: int = RAM,
    build: bytes | None = None,
    symbols: Sequence[tuple[str, int, int, int]] = (),
) -> bytes:
    """A program with .text (the vector table and code), .data (8 bytes), .bss (4096 bytes). ``symbols``: (name,
    address, size, type), where type 1 is an object and 2 a function; none at all is a stripped file."""
    text = (vector_table() if table is None else table) + b"\x00\xbf" * 32
    data = b"\x11" * 8
    parts: list[tuple[str, int, int, int, bytes, int, int]] = [
        (".text", 1, 6, code_at, text, len(text), 0),
        (".data", 1, 3, data_at, data, len(data), 0),
        (".bss", 8, 3, data_at + 8, b"", 4096, 0),
        (".ARM.attributes", 0x70000003, 0, 0, attributes() if build is None else build, -1, 0),
    ]
    if symbols:
        names, table_bytes = b"\0", struct.pack(_SYMBOL, 0, 0, 0, 0, 0, 0)
        for name, address, size, type_ in symbols:
            table_bytes += struct.pack(_SYMBOL, len(names), address | (type_ == 2), size, 0x10 | type_, 0, 1)
            names += name.encode() + b"\0"
        parts += [(".symtab", 2, 0, 0, table_bytes, -1, 6), (".strtab", 3, 0, 0, names, -1, 0)]
    strings = b"\0" + b"".join(part[0].encode() + b"\0" for part in parts) + b".shstrtab\0"
    parts.append((".shstrtab", 3, 0, 0, strings, -1, 0))
    offset, body, headers = 52 + 2 * 32, b"", [struct.pack(_SECTION, *[0] * 10)]
    for name, type_, flags, address, content, size, link in parts:
        entry = 16 if type_ == 2 else 0
        headers.append(
            struct.pack(
                _SECTION, strings.index(name.encode() + b"\0"), type_, flags, address, offset + len(body),
                len(content) if size < 0 else size, link, 1 if type_ == 2 else 0, 4, entry,
            )
        )  # fmt: skip
        body += content
    stored = code_at + len(text)
    programs = struct.pack(_PROGRAM, 1, offset, code_at, code_at, len(text), len(text), 5, 4)
    programs += struct.pack(_PROGRAM, 1, offset + len(text), data_at, stored, len(data), len(data) + 4096, 6, 4)
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    header = struct.pack(
        _HEADER, ident, kind, machine, 1, FLASH + 0x41, 52, offset + len(body), 0x05000200, 52, 32, 2, 40,
        len(headers), len(headers) - 1,
    )  # fmt: skip
    return header + programs + body + b"".join(headers)
