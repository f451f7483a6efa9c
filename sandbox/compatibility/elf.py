"""Reads the ELF files of a wheel and of an image: what they need, what they offer, which instructions they hold."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sandbox.errors import DataFileError
from sandbox.isa import decode

from . import instructions
from .facts import ArmAttributes, FoundInstructions, LibraryFacts

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

_MACHINES: Mapping[str, Literal["amd64", "arm64", "armhf"]] = {
    "EM_X86_64": "amd64",
    "EM_AARCH64": "arm64",
    "EM_ARM": "armhf",
}
_PYTHON_SUFFIX = re.compile(r"\.cpython-(\d)(\d+)-[\w-]+\.so$")
_VERSION = re.compile(r"([A-Z][A-Z_]*?)_(\d+(?:\.\d+)*)$")
_ASKS_KERNEL = (b"getauxval\0", b"/proc/cpuinfo\0")
# import_array() of NumPy's headers names the module that holds the C API; headers of NumPy 2 try the new name first.
_NUMPY_1, _NUMPY_2 = b"numpy.core._multiarray_umath", b"numpy._core._multiarray_umath"
_LARGEST_BYTES = 1 << 30


def libraries(folder: Path) -> Iterator[Path]:
    """ELF files below a folder, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and re.search(r"\.so(\.|$)", path.name):
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def read_library(path: Path, name: str) -> LibraryFacts:
    """The facts of one file, called ``name`` in reports. Raises `DataFileError` for a damaged or foreign one."""
    from elftools.common.exceptions import ELFError  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    if path.stat().st_size > _LARGEST_BYTES:
        raise DataFileError(f"{name}: larger than any library", hint="install the runtime again")
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            machine = _MACHINES.get(elf["e_machine"])
            facts = None if machine is None else _facts(elf, path.read_bytes(), name)
    # pyelftools checks little: offsets of a damaged file lead it anywhere
    except (
        *(ELFError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError),
        *(OverflowError, MemoryError, RecursionError, AssertionError, ZeroDivisionError),
    ) as error:
        raise DataFileError(
            f"{name}: a damaged ELF file ({type(error).__name__}: {error})", hint="install the runtime again"
        ) from error
    if facts is None:
        raise DataFileError(f"{name}: made for neither Arm nor x86-64", hint="use another wheel")
    return facts


def offered(folders: Iterable[Path]) -> tuple[dict[str, str], set[str]]:
    """(newest symbol version by namespace, sonames) that the libraries in ``folders`` offer."""
    from elftools.common.exceptions import ELFError  # noqa: PLC0415
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    versions: dict[str, str] = {}
    sonames: set[str] = set()
    for path in (p for folder in folders if folder.is_dir() for p in sorted(folder.glob("*.so*"))):
        sonames.add(path.name)
        if path.is_symlink() or not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                section: Any = ELFFile(file).get_section_by_name(".gnu.version_d")
                for _verdef, names in section.iter_versions() if section else ():
                    for name in names:
                        _newest(versions, name.name)
        except (ELFError, OSError):  # a linker script is no library
            continue
    return versions, sonames


def version_key(version: str) -> tuple[int, ...]:
    """``2.27`` as numbers, to compare."""
    return tuple(int(part) for part in version.split("."))


def _newest(versions: dict[str, str], name: str) -> None:
    if match := _VERSION.match(name):
        space, version = match[1], match[2]
        versions[space] = max(versions.get(space, "0"), version, key=version_key)


def _facts(elf: ELFFile, content: bytes, name: str) -> LibraryFacts:
    from elftools.elf.dynamic import DynamicSection  # noqa: PLC0415

    machine = _MACHINES[elf["e_machine"]]
    dynamic = elf.get_section_by_name(".dynamic")
    tags: list[Any] = list(dynamic.iter_tags()) if isinstance(dynamic, DynamicSection) else []
    versions: dict[str, str] = {}
    section: Any = elf.get_section_by_name(".gnu.version_r")
    for _library, names in section.iter_versions() if section else ():
        for each in names:
            _newest(versions, each.name)
    suffix = _PYTHON_SUFFIX.search(name)
    return LibraryFacts(
        file=name,
        machine=machine,
        needed=tuple(sorted(tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED")),
        versions=dict(sorted(versions.items())),
        alignment_bytes=min((s["p_align"] for s in elf.iter_segments("PT_LOAD")), default=0),
        python=f"{suffix[1]}.{suffix[2]}" if suffix else None,
        numpy=("1 or 2" if _NUMPY_2 in content else "1") if _NUMPY_1 in content or _NUMPY_2 in content else None,
        asks_kernel=any(words in content for words in _ASKS_KERNEL),
        arm=_attributes(elf) if machine == "armhf" else None,
        instructions=_instructions(elf, "A64" if machine == "arm64" else "A32") if machine != "amd64" else (),
    )


def _attributes(elf: ELFFile) -> ArmAttributes | None:
    section: Any = elf.get_section_by_name(".ARM.attributes")
    if section is None:
        return None
    found: dict[str, Any] = {}
    for subsection in section.iter_subsections():
        for part in subsection.iter_subsubsections():
            found |= {attribute.tag: attribute.value for attribute in part.iter_attributes()}
    return ArmAttributes(
        cpu_name=found.get("TAG_CPU_NAME"),
        architecture=found.get("TAG_CPU_ARCH"),
        fpu=found.get("TAG_FP_ARCH"),
        simd=found.get("TAG_ADVANCED_SIMD_ARCH"),
    )


def _instructions(elf: ELFFile, instruction_set: instructions.InstructionSet) -> tuple[FoundInstructions, ...]:
    import numpy as np  # noqa: PLC0415

    starts, ends, names, data = _symbols(elf)
    found: dict[str, FoundInstructions] = {}
    for section in elf.iter_sections():
        if not section["sh_flags"] & 4 or section["sh_type"] != "SHT_PROGBITS" or section["sh_size"] < 4:
            continue
        code, start = section.data(), section["sh_addr"]
        for feature, hits in instructions.find(code, instruction_set).items():
            addresses = hits + start
            if data:  # $d … $x: constants between functions
                place = np.searchsorted([at for at, _ in data], addresses, side="right") - 1
                addresses = addresses[~np.array([i >= 0 and data[i][1] for i in place])]
            if not addresses.size:
                continue
            first, known = int(addresses[0]), found.get(feature)
            near = bisect.bisect_right(starts, first) - 1
            found[feature] = FoundInstructions(
                feature=feature,
                instruction=known.instruction if known else _mnemonic(code[first - start :], instruction_set),
                count=int(addresses.size) + (known.count if known else 0),
                symbol=known.symbol if known else names[near] if near >= 0 and first < ends[near] else None,
            )
    return tuple(found.values())


def _mnemonic(code: bytes, instruction_set: instructions.InstructionSet) -> str:
    decoded = decode(code[:8], "a64" if instruction_set == "A64" else "a32")
    return decoded.text.partition(" ")[0].upper() if decoded.text != "unknown" else decoded.encoding


def _symbols(elf: ELFFile) -> tuple[list[int], list[int], list[str], list[tuple[int, bool]]]:
    """(starts, ends, names) of functions by address, and (address, begins data) of mapping symbols."""
    import numpy as np  # noqa: PLC0415

    section = elf.get_section_by_name(".symtab") or elf.get_section_by_name(".dynsym")
    if section is None:
        return [], [], [], []
    wide = elf.elfclass == 64
    kind = np.dtype(
        [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
        if wide
        else [("name", "<u4"), ("value", "<u4"), ("size", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2")]
    )
    raw = section.data()
    table = np.frombuffer(raw[: len(raw) // kind.itemsize * kind.itemsize], kind)
    table = table[table["section"] != 0]
    table = np.sort(table, order=["value"])
    strings = elf.get_section(section["sh_link"]).data()

    def text(start: int) -> str:
        return str(strings[start : strings.find(b"\0", start)].decode(errors="replace"))

    functions = table[(table["info"] & 15) == 2]
    starts = [int(value) & ~(0 if wide else 1) for value in functions["value"]]
    ends = [start + max(int(size), 4) for start, size in zip(starts, functions["size"], strict=True)]
    unnamed = table[(table["info"] & 15) == 0]
    mapping = [(int(row["value"]), text(int(row["name"]))) for row in unnamed]
    return (
        starts,
        ends,
        [text(int(start)) for start in functions["name"]],
        [(at, name.startswith("$d")) for at, name in mapping if re.match(r"\$[adtx](\.|$)", name)],
    )
