"""Guest addresses → functions and libraries, by the guest's own memory map and the image's own files.

A function is named only where a library keeps its symbols; a stripped one is told by its file. Compiled kernels belong
to the library whose name they carry, whatever file they were linked into.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox import rundir
from sandbox.measurements import Code

from .inference import read_marks

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

# QEMU 7.2 shows neighbouring read-only and executable parts of a file as one part, with the permissions of the first.
_MAP_LINE = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16}) (?:..x|r--). ([0-9a-f]{1,16}) [0-9a-f:]+ \d+ +(/.*)")
_MAPPING_SYMBOL = re.compile(r"\$[adtx](\.|$)")  # "ELF for the Arm Architecture", mapping symbols: not functions
_C_NAMES: Sequence[tuple[str, str]] = (
    (r"^xnn_|^_ZN\d+xnn", "XNNPACK"),
    (r"^pthreadpool", "pthreadpool"),
    (r"^(_ZL?\d+)?[Mm]las", "MLAS"),
    (r"^cpuinfo_|^clog_", "cpuinfo"),
    (r"^_?Py[A-Z_]|^_PyEval", "Python"),
)
_NAMESPACES: Mapping[str, str] = {
    "3ruy": "ruy",
    "8gemmlowp": "gemmlowp",
    "5Eigen": "Eigen",
    "14EigenForTFLite": "Eigen",
    "6tflite": "TFLite",
    "11onnxruntime": "ONNX Runtime",
}
_NAMESPACE = re.compile(rf"(?<!\d)({'|'.join(_NAMESPACES)})")
_TFLITE_KERNELS: Sequence[tuple[str, str]] = (
    (r"::reference_(integer_)?ops::", "TFLite reference kernels"),
    (r"::optimized_(integer_)?ops::|::depthwise_conv::|::tensor_utils::", "TFLite optimised kernels"),
)
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class _Mapping:
    start: int
    end: int
    offset: int
    path: str


class Symbols:
    """The code of one guest process."""

    def __init__(self, maps: str, root: Path) -> None:
        """``maps``: the guest's /proc/self/maps; ``root``: the image's files on this host."""
        self._mappings = sorted(_parse_maps(maps), key=lambda mapping: mapping.start)
        self._starts = [mapping.start for mapping in self._mappings]
        self._root = root
        self._tables: dict[str, _Table] = {}

    def path(self, address: int) -> str | None:
        """The guest's file that is mapped at an address."""
        place = bisect.bisect_right(self._starts, address) - 1
        mapping = self._mappings[place] if place >= 0 else None
        return mapping.path if mapping is not None and address < mapping.end else None

    def code(self, address: int) -> Code:
        """What is at a guest address."""
        place = bisect.bisect_right(self._starts, address) - 1
        mapping = self._mappings[place] if place >= 0 else None
        if mapping is None or address >= mapping.end:
            return Code(function=None, library=UNKNOWN, place=f"{address:x}")
        if mapping.path not in self._tables:
            self._tables[mapping.path] = _read_table(self._root, mapping.path)
        offset = address - mapping.start + mapping.offset
        name = self._tables[mapping.path].find(offset)
        file = Path(mapping.path).name
        return Code(
            function=None if name is None else readable(name),
            library=library_of(name) or file,
            place=f"{file}+{offset:x}",
        )


def describe_code(job_dir: Path, report: Mapping[str, Any] | None, root: Path) -> None:
    """Write what the code of a job's counted inferences is, while the image at ``root`` is at hand."""
    marks = read_marks(job_dir, report)
    try:
        maps = rundir.read_guest_file(job_dir / rundir.MAPS).decode(errors="replace")
    except OSError:
        return
    if isinstance(marks, str):
        return
    symbols = Symbols(maps, root)
    rundir.write_code(job_dir, {address: symbols.code(address) for address in marks.addresses.tolist()})


def library_of(name: str | None) -> str | None:
    """The kernel library whose naming a function follows, if any."""
    if name is None:
        return None
    library = next((library for pattern, library in _C_NAMES if re.search(pattern, name)), None)
    if library is not None or not name.startswith("_Z"):
        return library
    outermost = _NAMESPACE.search(name)  # those behind it are of its arguments
    if outermost is None or outermost[1] != "6tflite":
        return _NAMESPACES[outermost[1]] if outermost else None
    return next((kernels for pattern, kernels in _TFLITE_KERNELS if re.search(pattern, readable(name))), "TFLite")


def readable(name: str) -> str:
    """A C++ name without its argument types; any other name as it is.

    Itanium C++ ABI, "External Names": a nested name is a row of lengths and identifiers. Templates are left out.
    """
    match = re.match(r"_ZN?K?(?:St)?(?=\d)", name)
    if not match:
        return name
    parts, place = [], match.end()
    while digits := re.match(r"\d+", name[place:]):
        start = place + digits.end()
        place = start + int(digits[0])
        part = name[start:place]
        parts.append("(anonymous)" if part.startswith("_GLOBAL__N") else part)
    return "::".join(parts)


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Functions of one file, by place in the file, sorted."""

    starts: Sequence[int] = ()
    ends: Sequence[int] = ()
    names: Sequence[str] = ()

    def find(self, offset: int) -> str | None:
        place = bisect.bisect_right(self.starts, offset) - 1
        return self.names[place] if place >= 0 and offset < self.ends[place] else None


def _parse_maps(maps: str) -> list[_Mapping]:
    found = []
    for line in maps.splitlines():
        match = _MAP_LINE.match(line)
        if match:
            start, end, offset = (int(match[group], 16) for group in (1, 2, 3))
            found.append(_Mapping(start=start, end=end, offset=offset, path=match[4]))
    return found


def _read_table(root: Path, path: str) -> _Table:
    """The symbols of a guest's file. A file that cannot be read has none: it may be the guest's own invention."""
    from elftools.common.exceptions import ELFError  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    try:
        # without isolation the guest sees the image where it is
        file = (root / path.removeprefix(str(root)).lstrip("/")).resolve()
        if not file.is_relative_to(root.resolve()) or not file.is_file():
            return _Table()
        with file.open("rb") as opened:
            return _functions(ELFFile(opened))
    except (ELFError, OSError, ValueError, MemoryError, OverflowError):  # sizes that only a damaged file has
        return _Table()


def _functions(elf: ELFFile) -> _Table:
    """The functions that ``.symtab``, else ``.dynsym``, lists, with what the linker left unsized closed by the next."""
    import numpy as np  # noqa: PLC0415

    section = elf.get_section_by_name(".symtab") or elf.get_section_by_name(".dynsym")
    if section is None:
        return _Table()
    wide = elf.elfclass == 64
    names, formats = (
        (["name", "info", "other", "section", "value", "size"], ["<u4", "u1", "u1", "<u2", "<u8", "<u8"])
        if wide
        else (["name", "value", "size", "info", "other", "section"], ["<u4", "<u4", "<u4", "u1", "u1", "<u2"])
    )
    kind = np.dtype(list(zip(names, formats, strict=True)))
    table = np.frombuffer(section.data()[: section["sh_size"] // kind.itemsize * kind.itemsize], kind)
    table = table[np.isin(table["info"] & 15, (0, 2)) & (table["section"] != 0) & (table["section"] < 0xFF00)]
    strings = elf.get_section(section["sh_link"]).data()
    loads = [s for s in elf.iter_segments("PT_LOAD") if s["p_flags"] & 1]
    rows = []
    for entry in np.sort(table, order=["value", "size"]):
        value, start = int(entry["value"]) & ~(0 if wide else 1), int(entry["name"])
        name = strings[start : strings.find(b"\0", start)].decode(errors="replace")
        segment = next((s for s in loads if s["p_vaddr"] <= value < s["p_vaddr"] + s["p_filesz"]), None)
        if segment is not None and name and not _MAPPING_SYMBOL.match(name):
            rows.append((value - segment["p_vaddr"] + segment["p_offset"], int(entry["size"]), name))
    starts = [row[0] for row in rows]
    following = [*starts[1:], starts[-1] + 4096] if starts else []
    ends = [start + size if size else after for (start, size, _), after in zip(rows, following, strict=True)]
    return _Table(starts=starts, ends=ends, names=[row[2] for row in rows])
