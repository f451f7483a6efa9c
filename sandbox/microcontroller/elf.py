"""What a microcontroller's firmware is: reads the ELF file that a linker made for a Cortex-M core.

Formats: "ELF for the Arm Architecture", "Addenda to, and Errata in, the ABI for the Arm Architecture" (build
attributes), and the exception model of the Armv6-M, Armv7-M and Armv8-M reference manuals (vector table).
"""

from __future__ import annotations

import bisect
import hashlib
import io
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sandbox.errors import DataFileError

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

LARGEST_BYTES = 256 << 20
FloatAbi = Literal["soft", "hard"]
_ADVICE = "give the .elf (or .axf) file that the linker wrote for a Cortex-M core, not the .bin or .hex made from it"
ARCHITECTURES: Mapping[int, str] = {
    11: "v6-M", 12: "v6S-M", 10: "v7", 13: "v7E-M", 16: "v8-M.base", 17: "v8-M.main", 21: "v8.1-M.main"
}  # fmt: skip
"""Tag_CPU_arch. 10 is v7 of every profile; Tag_CPU_arch_profile says which."""
_PROFILES: Mapping[int, str] = {ord("A"): "Arm application core", ord("R"): "Arm real-time core"}
_MOVABLE = "a position-independent program or a shared library, without addresses of its own: link it without -pie"
_MAPPING_SYMBOL = re.compile(r"\$[adtx](\.|$)")
_MOST_SYMBOLS, _MOST_SEGMENTS = 100_000, 64


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section that takes memory: where it is when the program runs, and where it is kept."""

    name: str
    address: int
    stored_at: int | None
    """Its place in the load image; None for one that is not kept anywhere, like .bss."""
    size_bytes: int
    writable: bool
    code: bool


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of the load image, its bytes as the emulator puts them into memory."""

    address: int
    stored_at: int
    data: bytes
    size_bytes: int
    """In memory; what goes beyond ``data`` starts as zeros."""


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """A function or an object of the program."""

    name: str
    address: int
    size_bytes: int
    kind: Literal["function", "object", "label"]


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """A program for a Cortex-M core, as its file describes it. Addresses of functions are without the Thumb bit."""

    path: Path
    sha256: str
    size_bytes: int
    architecture: str | None
    """As Arm's build attributes have it, ``v7E-M``; None when the file says nothing."""
    cpu: str | None
    """The name that the compiler was told, ``7E-M`` or ``Cortex-M4``."""
    float_abi: FloatAbi
    """``hard``: floating-point arguments in FPU registers."""
    fpu: Literal["none", "single", "double"]
    vectors: int
    """Address of the vector table."""
    initial_stack: int
    reset: int
    handlers: Mapping[int, int]
    """Exception number (2 to 7) → address of its handler."""
    sections: tuple[Section, ...]
    segments: tuple[Segment, ...]
    symbols: tuple[Symbol, ...]
    """Sorted by address; empty in a stripped file."""
    _starts: Sequence[int] = field(default=(), repr=False, compare=False)

    def value(self, *names: str) -> int | None:
        """The value of the first of these symbols that the program has: an address, or a number of the linker's."""
        found = {symbol.name: symbol.address for symbol in self.symbols if symbol.name in names}
        return next((found[name] for name in names if name in found), None)

    def place(self, address: int) -> str:
        """``function+0x12`` for people; the bare address where no symbol covers it."""
        index = bisect.bisect_right(self._starts, address) - 1
        functions = self._functions
        if index >= 0:
            symbol = functions[index]
            if address < symbol.address + max(symbol.size_bytes, 2):
                offset = address - symbol.address
                return f"{symbol.name}+{offset:#x}" if offset else symbol.name
        return f"{address:#010x}"

    def bytes_at(self, address: int, count: int) -> bytes:
        """What the load image has there: fewer where it ends."""
        for segment in self.segments:
            if 0 <= address - segment.address < len(segment.data):
                return segment.data[address - segment.address :][:count]
        return b""

    @property
    def _functions(self) -> tuple[Symbol, ...]:
        return tuple(symbol for symbol in self.symbols if symbol.kind == "function")


def read_firmware(path: Path) -> Firmware:
    """Read a file. Raises `DataFileError` for what is no program of a Cortex-M core."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would wait for ever, a device never end
            raise DataFileError(f"{path} is not a regular file", hint=_ADVICE)
        if status.st_size > LARGEST_BYTES:
            raise DataFileError(f"{path} has {status.st_size} bytes: no microcontroller's program", hint=_ADVICE)
        content = path.read_bytes()
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror}", hint=_ADVICE) from error
    return parse_firmware(content, path)


def parse_firmware(content: bytes, path: Path) -> Firmware:
    """The same from bytes; ``path`` is for messages. Raises `DataFileError`."""
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    if content[:4] != b"\x7fELF":
        raise DataFileError(f"{path} is not an ELF file", hint=_ADVICE)
    try:
        elf = ELFFile(io.BytesIO(content))
        _check_header(elf, path)
        segments = _segments(elf, len(content), path)
        attributes = build_attributes(elf)
        _check_profile(attributes, path)
        sections = _sections(elf, segments)
        symbols = _symbols(elf)
        vectors = _find_vectors(elf, segments, path)
    except DataFileError:
        raise
    except Exception as error:  # the reader raises a dozen kinds for a damaged file
        reason = f"{error}" or type(error).__name__
        raise DataFileError(f"{path} is damaged: {reason.splitlines()[0][:200]}", hint=_ADVICE) from error
    address, table = vectors
    architecture = ARCHITECTURES.get(attributes.get("TAG_CPU_ARCH", -1))
    fpu_tag = attributes.get("TAG_FP_ARCH", 0)
    single = attributes.get("TAG_ABI_HARDFP_USE", 0) == 1
    functions = [symbol.address for symbol in symbols if symbol.kind == "function"]
    return Firmware(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        architecture="v7-M" if architecture == "v7" else architecture,
        cpu=attributes.get("TAG_CPU_NAME"),
        float_abi="hard" if attributes.get("TAG_ABI_VFP_ARGS", 0) == 1 else "soft",
        fpu="none" if not fpu_tag else "single" if single else "double",
        vectors=address,
        initial_stack=table[0],
        reset=table[1] & ~1,
        handlers={number: table[number] & ~1 for number in range(2, min(8, len(table))) if table[number] & 1},
        sections=sections,
        segments=segments,
        symbols=symbols,
        _starts=functions,
    )


def _check_header(elf: ELFFile, path: Path) -> None:
    machine, kind = elf["e_machine"], elf["e_type"]
    if elf.elfclass != 32 or not elf.little_endian or machine != "EM_ARM":
        bits = f"{elf.elfclass}-bit {'little' if elf.little_endian else 'big'}-endian"
        raise DataFileError(
            f"{path} is for another core: {bits} {str(machine).removeprefix('EM_')}, not 32-bit little-endian ARM",
            hint=_ADVICE,
        )
    if kind != "ET_EXEC":
        what = {"ET_REL": "an object file that was not linked yet", "ET_DYN": _MOVABLE, "ET_CORE": "a core dump"}.get(
            kind, f"of the kind {kind}, no program"
        )
        raise DataFileError(f"{path} is {what}", hint=_ADVICE)


def _check_profile(attributes: Mapping[str, Any], path: Path) -> None:
    """Tag_CPU_arch_profile: ``A``, ``R``, ``M`` or ``S``, for either of the first two; absent in old files."""
    profile = _PROFILES.get(attributes.get("TAG_CPU_ARCH_PROFILE", 0))
    if profile is not None:
        cpu = attributes.get("TAG_CPU_NAME")
        told = f" ({cpu})" if cpu else ""
        raise DataFileError(f"{path} was compiled for an {profile}{told}, not for a Cortex-M core", hint=_ADVICE)


def _segments(elf: ELFFile, available: int, path: Path) -> tuple[Segment, ...]:
    found: list[Segment] = []
    for segment in elf.iter_segments("PT_LOAD"):
        if not segment["p_memsz"]:
            continue
        if segment["p_offset"] + segment["p_filesz"] > available:
            raise DataFileError(f"{path} is cut short: a segment lies behind the file's end", hint=_ADVICE)
        if len(found) == _MOST_SEGMENTS:
            raise DataFileError(f"{path} has more than {_MOST_SEGMENTS} segments to load", hint=_ADVICE)
        data = segment.data()
        found.append(
            Segment(
                address=segment["p_vaddr"],
                stored_at=segment["p_paddr"],
                data=data,
                size_bytes=max(segment["p_memsz"], len(data)),
            )
        )
    if not found:
        raise DataFileError(f"{path} has nothing to load", hint=_ADVICE)
    return tuple(found)


def build_attributes(elf: ELFFile) -> dict[str, Any]:
    """Arm's build attributes of the whole file; none in a file that has lost them."""
    section: Any = elf.get_section_by_name(".ARM.attributes")
    found: dict[str, Any] = {}
    for subsection in section.iter_subsections() if hasattr(section, "iter_subsections") else ():
        for part in subsection.iter_subsubsections():
            found.update({attribute.tag: attribute.value for attribute in part.iter_attributes()})
    return found


def _sections(elf: ELFFile, segments: Sequence[Segment]) -> tuple[Section, ...]:
    found = []
    for section in elf.iter_sections():
        flags, size, address = section["sh_flags"], section["sh_size"], section["sh_addr"]
        if not flags & 2 or not size:  # SHF_ALLOC
            continue
        stored = None
        if section["sh_type"] != "SHT_NOBITS":
            holder = next((s for s in segments if s.address <= address < s.address + max(len(s.data), 1)), None)
            stored = address if holder is None else holder.stored_at + address - holder.address
        found.append(
            Section(
                name=section.name,
                address=address,
                stored_at=stored,
                size_bytes=size,
                writable=bool(flags & 1),
                code=bool(flags & 4),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.address, one.name)))


def _symbols(elf: ELFFile) -> tuple[Symbol, ...]:
    table: Any = elf.get_section_by_name(".symtab")
    kinds: Mapping[str, Literal["function", "object", "label"]] = {"STT_FUNC": "function", "STT_OBJECT": "object"}
    found: list[tuple[bool, Symbol]] = []
    for symbol in table.iter_symbols() if hasattr(table, "iter_symbols") else ():
        type_, where = symbol["st_info"]["type"], symbol["st_shndx"]
        known = type_ in {"STT_FUNC", "STT_OBJECT", "STT_NOTYPE"} and where != "SHN_UNDEF"
        if known and symbol.name and not _MAPPING_SYMBOL.match(symbol.name):
            kind = kinds.get(type_, "label")
            address = symbol["st_value"] & ~1 if kind == "function" else symbol["st_value"]
            strong = symbol["st_info"]["bind"] != "STB_WEAK"
            found.append((strong, Symbol(name=symbol.name, address=address, size_bytes=symbol["st_size"], kind=kind)))
        if len(found) == _MOST_SYMBOLS:
            break
    # Handlers are often weak aliases of one function: the last, which gives a place its name, is that function.
    found.sort(key=lambda one: (one[1].address, one[1].size_bytes, one[0], one[1].name))
    return tuple(symbol for _strong, symbol in found)


def _find_vectors(elf: ELFFile, segments: Sequence[Segment], path: Path) -> tuple[int, tuple[int, ...]]:
    """(address, first 16 words) of the vector table: the lowest place in the image that looks like one.

    A table begins with a stack pointer that is a multiple of 4 and the address, with the Thumb bit, of code in the
    image. Boot loaders and image headers may lie before it; tables are aligned to 128 bytes at least.
    """
    code = [(s.address, s.address + s.size_bytes) for s in segments]
    named = [
        section["sh_addr"]
        for section in elf.iter_sections()
        if section["sh_flags"] & 2 and re.search(r"vector|isr|intvec|rom_start|\.boot_hdr", section.name)
    ]
    entry = elf["e_entry"] & ~1
    candidates = [
        *named,
        *(s.address + offset for s in segments for offset in range(0, min(len(s.data), 1 << 16), 128)),
    ]
    fallback = None
    for address in candidates:
        table = _words(segments, address, 16)
        if len(table) < 2:
            continue
        stack, reset = table[0], table[1]
        if stack and stack % 4 == 0 and reset & 1 and any(low <= reset - 1 < high for low, high in code):
            if reset & ~1 == entry or address in named:
                return address, table
            fallback = fallback or (address, table)
    if fallback is not None:
        return fallback
    raise DataFileError(
        f"{path} has no vector table: no stack pointer and reset address that a Cortex-M core could start from",
        hint="link with a linker script that keeps the vector table at the start of flash (KEEP(*(.isr_vector)))",
    )


def _words(segments: Sequence[Segment], address: int, count: int) -> tuple[int, ...]:
    for segment in segments:
        offset = address - segment.address
        if 0 <= offset < len(segment.data):
            data = segment.data[offset : offset + 4 * count]
            return tuple(int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data) - 3, 4))
    return ()
