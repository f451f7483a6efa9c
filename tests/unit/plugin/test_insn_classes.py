"""The plugin's decoders: instructions that LLVM assembles, the class of each, and anything else that is in memory."""

from __future__ import annotations

import ctypes
import itertools
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from hypothesis import given
from hypothesis import strategies as st

from sandbox import process
from sandbox.profilers.counts import CLASSES
from tests.unit.plugin.assembly_tables import TABLES

pytestmark = pytest.mark.subprocess

PLUGIN = Path(__file__).parents[3] / "images/plugin"
DECODERS = tuple(PLUGIN / f"{name}.c" for name in ("a64", "a32", "t32", "neon"))
WAIT = 0x80


@dataclass(frozen=True)
class Insn:
    """What lies at an address: a word, or half of one."""

    address: int
    word: int
    size: int


class Decoders:
    """The C code, compiled for this host with a trap wherever its behaviour would be undefined."""

    def __init__(self, folder: Path) -> None:
        checks = ("-fsanitize=undefined", "-fsanitize-trap=undefined")
        library = folder / "decoders.so"
        compile_in(folder, "-shared", "-fPIC", "-nostdlib", *checks, *map(str, DECODERS), "-o", str(library))
        self._c = ctypes.CDLL(str(library))

    def sort(self, insn: Insn, table: str) -> int:
        if table == "a64":
            return int(self._c.a64_class(ctypes.c_uint32(insn.word)))
        if table == "a32":
            return int(self._c.a32_class(ctypes.c_uint32(insn.word)))
        return int(self._c.t32_class(ctypes.c_uint16(insn.word & 0xFFFF), ctypes.c_uint16(insn.word >> 16)))

    def block_is_thumb(self, block: Sequence[Insn]) -> bool:
        words = (ctypes.c_uint32 * len(block))(*(insn.word for insn in block))
        sizes = (ctypes.c_uint8 * len(block))(*(insn.size for insn in block))
        return bool(self._c.block_is_thumb(words, sizes, len(block), ctypes.c_uint64(block[0].address)))


def compile_in(folder: Path, *arguments: str) -> None:
    caches = dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), str(folder / "cache"))
    done = process.run((sys.executable, "-m", "ziglang", "cc", *arguments), timeout=300, env={**os.environ, **caches})
    assert done.returncode == 0, done.stderr


def text_of(elf: ELFFile) -> bytes:
    section = elf.get_section_by_name(".text")
    assert section is not None
    return bytes(section.data())


def listing(text: str) -> list[tuple[str, str]]:
    """(class, instruction) in the order of the text."""
    rows = [line.split(": ", 1) for line in text.splitlines() if line]
    return [(name, instruction) for name, row in rows for instruction in row.split(" | ")]


def split(code: bytes, *, thumb: bool, address: int = 0) -> Iterator[Insn]:
    place = 0
    while place < len(code):
        (half,) = struct.unpack_from("<H", code, place)
        size = 4 if not thumb or half >= 0xE800 else 2  # DDI 0487, F3.1: 11101, 11110 and 11111 announce a second half
        yield Insn(address + place, int.from_bytes(code[place : place + size], "little"), size)
        place += size


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoders")


@pytest.fixture(scope="module")
def decoders(folder: Path) -> Decoders:
    return Decoders(folder)


@pytest.mark.parametrize("table", TABLES)
def test_assembled_instruction_is_of_its_class(table: str, folder: Path, decoders: Decoders) -> None:
    text, start, target = TABLES[table]
    expected = listing(text)
    source, compiled = folder / f"{table}.s", folder / f"{table}.o"
    lines = [
        start,
        ".syntax unified" if table != "a64" else "",
        "begin:",
        *(line for _name, line in expected),
        "end:",
        "",
    ]
    source.write_text("\n".join(lines))
    compile_in(folder, *target, "-c", str(source), "-o", str(compiled))
    with compiled.open("rb") as stream:
        code = text_of(ELFFile(stream))
    found = [decoders.sort(insn, table) for insn in split(code, thumb=table in {"t32", "m55"})]
    assert len(found) == len(expected)
    wrong = [
        f"{instruction}: {CLASSES[number & ~WAIT]}, not {name}"
        for number, (name, instruction) in zip(found, expected, strict=True)
        if number != (CLASSES.index("system") | WAIT if name == "wait" else CLASSES.index(name))
    ]
    assert wrong == []


@pytest.mark.parametrize("table", ["a64", "a32", "t32"])
def test_tables_have_every_class(table: str) -> None:
    named = {name for name, _instruction in listing(TABLES[table][0])}
    assert named | ({"unknown"} if table != "a64" else set()) == {*CLASSES, "wait"}


def test_classes_are_those_of_the_header() -> None:
    header = (PLUGIN / "insn.h").read_text()
    body = header.split("enum insn_class {")[1].split("INSN_CLASSES")[0]
    assert body.count("INSN_") == len(CLASSES)


@given(st.integers(0, 0xFFFFFFFF))
def test_any_word_has_a_class(decoders: Decoders, word: int) -> None:
    for table in ("a64", "a32", "t32"):
        assert decoders.sort(Insn(0, word, 4), table) & ~WAIT < len(CLASSES)


def blocks_of(path: Path, decoders: Decoders, *, thumb: bool) -> Iterator[list[Insn]]:
    """The code of an object file, cut after each branch; its mapping symbols tell code from literals."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        code, symbols = text_of(elf), elf.get_section_by_name(".symtab")
        assert isinstance(symbols, SymbolTableSection)
        text = elf.get_section_index(".text")
        own = [symbol for symbol in symbols.iter_symbols() if symbol["st_shndx"] == text and symbol.name[:1] == "$"]
        marks = sorted((symbol["st_value"], symbol.name[:2]) for symbol in own)
    for (begin, kind), (end, _kind) in zip(marks, [*marks[1:], (len(code), "")], strict=True):
        block: list[Insn] = []
        for insn in split(code[begin:end], thumb=thumb, address=begin) if kind == ("$t" if thumb else "$a") else ():
            block.append(insn)
            if CLASSES[decoders.sort(insn, "t32" if thumb else "a32") & ~WAIT] == "branch":
                yield block
                block = []


@pytest.mark.parametrize("thumb", [False, True], ids=["a32", "t32"])
def test_compiled_code_is_told_by_its_blocks(thumb: bool, folder: Path, decoders: Decoders) -> None:
    target = f"{'thumb' if thumb else 'arm'}-linux-gnueabihf"
    blocks: list[list[Insn]] = []
    for source, level in itertools.product(DECODERS, ("-O0", "-O2")):  # any C will do, and this is at hand
        compiled = folder / f"{source.stem}{level}-{target}.o"
        compile_in(folder, "-target", target, level, "-c", str(source), "-o", str(compiled))
        blocks += blocks_of(compiled, decoders, thumb=thumb)
    assert len(blocks) > 100
    assert [block for block in blocks if decoders.block_is_thumb(block) != thumb] == []


@pytest.mark.parametrize(
    ("words", "address", "thumb"),
    [
        ([0xE12FFF1E], 0, False),  # bx lr
        ([0xEAFFFFFC], 0, False),  # b to a little before
        ([0x1AFFFFF0], 0, False),  # bne
        ([0xE1A0F00E], 0, False),  # mov pc, lr
        ([0xE59FE804, 0xE12FFF3E], 0, False),  # ldr lr, [pc, #2052]; blx lr
        ([0xEBFFF416], 0, False),  # bl to 12 KiB before: in T32 a BLX whose lowest bit is 1
        ([0xFFFEF7FF], 0, True),  # bl
        ([0xB8F2F7FF], 0, True),  # b.w
        ([0xF000F8DF], 0, True),  # ldr.w pc, [pc]
        ([0x8FF0E8BD], 0, True),  # pop.w {r4-r11, pc}
        ([0x0338F645], 0xFFC, True),  # movw r3, #22584 at the end of a page
        ([0xF47F2A00], 0xFFC, True),  # cmp r2, #0, and half of an instruction that is on the next page
        ([0xE3A03000], 0xFFC, False),  # mov r3, #0
        ([0xE92D4010], 2, True),  # any at an address that A32 cannot have
    ],
)
def test_block_of_full_words(words: list[int], address: int, thumb: bool, decoders: Decoders) -> None:
    block = [Insn(address + 4 * i, word, 4) for i, word in enumerate(words)]
    assert decoders.block_is_thumb(block) == thumb


def test_block_with_a_half_word_is_thumb(decoders: Decoders) -> None:
    assert decoders.block_is_thumb([Insn(0, 0x0001F04F, 4), Insn(4, 0x4770, 2)])
