"""A TFLM library that the user points to: finds it, says what it is, and refuses what cannot be linked.

The project holds no TFLM; docs/howto/microcontroller.md says where to get one.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sandbox.errors import DataFileError, UsageError
from sandbox.resources import config_directory

from .archive import archive_members, in_need_of, object_symbols
from .board import Core, Cpu
from .elf import ARCHITECTURES, FloatAbi
from .firmware import RUNS

_HEADER = "tensorflow/lite/micro/micro_interpreter.h"
_OTHER_HEADERS = ("flatbuffers/flatbuffers.h", "fixedpoint/fixedpoint.h", "ruy/profiler/instrumentation.h")
_WHERE = (
    "get TFLM's static library for the core, as github.com/tensorflow/tflite-micro documents it, and name the folder "
    "that holds it with its headers; see docs/howto/microcontroller.md"
)
_LARGEST_BYTES = 512 << 20
_MOST_FOLDERS = 50_000
_SUFFIXES = frozenset({".a", ".h", ".hpp", ".inc"})
_REGISTER = re.compile(rb"(?<![A-Za-z_])_ZN6tflite(?:11tflm_signal)?\d+(Register_\w+?)Ev")
_ADD = re.compile(r"TfLiteStatus Add(\w+)\(")
_REGISTERS = re.compile(r"Register_\w+(?=\(\))")
_BUILTIN = re.compile(r"BuiltinOperator_(\w+)")
_CUSTOM = re.compile(r'AddCustom\(\s*"(\w+)"')


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One that a resolver of this TFLM can be given."""

    method: str
    """``AddConv2D``."""
    name: str
    """What models call it: ``CONV_2D``, or a custom operator's own name."""
    registers: tuple[str, ...]
    """Functions that the library must hold for it."""


@dataclass(frozen=True, kw_only=True)
class Library:
    """TFLM as a static library, with its headers."""

    archive: Path
    sha256: str
    includes: tuple[Path, ...]
    architecture: str
    float_abi: FloatAbi
    kernels: Literal["reference", "cmsis-nn"]
    operators: tuple[Operator, ...]
    """Those whose kernels the library holds."""
    lacking: tuple[str, ...]
    """Names of those that the headers know and the library has no kernel for."""
    log_has_arguments: bool
    """Whether DebugLog takes a format and its arguments, as since 2023, or a text."""

    @property
    def version(self) -> str:
        """TFLM has no version numbers: the library's own digest tells one from another."""
        return f"library {self.sha256[:12]}"


def find_library(folder: Path, cpu: Cpu) -> Library:
    """The library in ``folder`` that the core can run. Raises `UsageError` for a folder that is none of TFLM's,
    `DataFileError` for one whose libraries cannot be used, with the reason for each."""
    files = files_in(folder)
    includes = _includes(folder, files)
    archives = [path for path in files if path.suffix == ".a"]
    if not archives:
        raise UsageError(f"--tflm {folder}: there is no static library (*.a) in it", hint=_WHERE)
    refused, found = [], []
    for path in archives:
        read = _read(path)
        if isinstance(read, str):
            refused.append(f"{path.relative_to(folder)}: {read}")
            continue
        architecture, abi, symbols, content = read
        reason = unsuitable(architecture, abi, cpu)
        if reason is not None:
            refused.append(f"{path.relative_to(folder)}: {reason}")
            continue
        found.append((path, architecture, abi, symbols, content))
    if not found:
        raise DataFileError(f"--tflm {folder}: no library for {cpu.core}: " + "; ".join(refused[:4]), hint=_WHERE)
    # the newest architecture that the core runs has the fastest kernels
    order = [*ARCHITECTURES.values()]
    path, architecture, abi, symbols, content = max(found, key=lambda one: (order.index(one[1]), one[2] == "hard"))
    root = next(include for include in includes if (include / _HEADER).is_file())
    listed = parse_operators(_text(root / "tensorflow/lite/micro/micro_mutable_op_resolver.h"))
    held = {name.decode() for name in _REGISTER.findall(symbols)}
    able = tuple(operator for operator in listed if set(operator.registers) <= held)
    if not able:
        raise DataFileError(f"{path} holds none of TFLM's kernels (no tflite::Register_… in it)", hint=_WHERE)
    return Library(
        archive=path,
        sha256=hashlib.sha256(content).hexdigest(),
        includes=includes,
        architecture=architecture,
        float_abi=abi,
        kernels=_kernels(symbols),
        operators=able,
        lacking=tuple(operator.name for operator in listed if operator not in able),
        log_has_arguments="va_list" in _text(root / "tensorflow/lite/micro/debug_log.h"),
    )


def libraries_in(folder: Path) -> tuple[str, ...]:
    """What each library in the folder is, for people. Raises `UsageError` for a folder without headers or libraries,
    `DataFileError` when all libraries are damaged or of other processors."""
    files = files_in(folder)
    _includes(folder, files)
    found, refused = [], []
    for path in (path for path in files if path.suffix == ".a"):
        read, name = _read(path), path.relative_to(folder)
        if isinstance(read, str):
            refused.append(f"{name}: {read}")
        else:
            architecture, abi, symbols, _content = read
            found.append(f"{name} (Arm{architecture}, {abi}-float ABI, {_kernels(symbols)} kernels)")
    if found:
        return tuple(found)
    if refused:
        raise DataFileError(f"{folder}: " + "; ".join(refused[:4]), hint=_WHERE)
    raise UsageError(f"{folder}: there is no static library (*.a) in it", hint=_WHERE)


def _kernels(symbols: bytes) -> Literal["reference", "cmsis-nn"]:
    return "cmsis-nn" if re.search(rb"(?<![A-Za-z_])arm_convolve_\w*s8", symbols) else "reference"


def unsuitable(architecture: str, abi: FloatAbi, cpu: Cpu) -> str | None:
    """Why the core cannot run code of that kind, or None."""
    core: Core = cpu.core
    if architecture not in RUNS[core]:
        return f"it is for Arm{architecture}, which a {core} does not run"
    if abi == "hard" and cpu.fpu == "none":
        return f"it has the hard-float ABI, and the {core} of this board has no FPU"
    return None


def parse_operators(header: str) -> tuple[Operator, ...]:
    """The operators of TFLM's ``micro_mutable_op_resolver.h``, by its ``Add…`` methods."""
    places = [(match.start(), match[1]) for match in _ADD.finditer(header)]
    found = []
    for (start, name), (end, _next) in zip(places, [*places[1:], (len(header), "")], strict=True):
        body = header[start:end]
        registers = tuple(dict.fromkeys(_REGISTERS.findall(body)))
        called = _BUILTIN.search(body) or _CUSTOM.search(body)
        if name in {"Builtin", "Custom"} or not registers or called is None or "_ETHOSU" in body:
            continue
        found.append(Operator(method=f"Add{name}", name=called[1], registers=registers))
    return tuple(found)


def remember(folder: Path) -> None:
    """Keep the folder as the user's TFLM, for runs without ``--tflm``."""
    path = _memory_file()
    with contextlib.suppress(OSError):  # a home folder that cannot be written to: then --tflm is given each time
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{folder.absolute()}\n")


def remembered() -> Path | None:
    """The folder that was given last, if any: also by the variable EDGE_SANDBOX_TFLM."""
    named = os.environ.get("EDGE_SANDBOX_TFLM")
    if named:
        return Path(named)
    try:
        return Path(_memory_file().read_text().strip())
    except OSError:
        return None


def _memory_file() -> Path:
    return config_directory() / "tflm.txt"


def files_in(folder: Path) -> tuple[Path, ...]:
    """Headers and libraries below the folder, in order, also behind links to folders. Raises `UsageError` for what is
    no folder, or holds too much to be TFLM's."""
    if not folder.is_dir():
        raise UsageError(f"--tflm {folder} is no folder", hint=_WHERE)
    found: list[Path] = []
    waiting: list[tuple[Path, tuple[str, ...]]] = [(folder, (os.path.realpath(folder),))]
    for parent, above in waiting:  # grows while it is gone through
        for path, is_folder in sorted(_entries(parent)):
            if is_folder:
                real = os.path.realpath(path)
                if real not in above:  # else a link leads back up
                    waiting.append((path, (*above, real)))
            elif path.is_file():
                found.append(path)
        if len(waiting) > _MOST_FOLDERS:
            raise UsageError(f"--tflm {folder} holds more than {_MOST_FOLDERS} folders", hint=_WHERE)
    return tuple(sorted(found))


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """Its headers and libraries, and (True) its folders."""
    try:
        there = [path for path in folder.iterdir() if path.name != ".git"]
        return [(path, path.is_dir()) for path in there if path.is_dir() or path.suffix in _SUFFIXES]
    except OSError:  # one that may not be read: what is missing is named later
        return []


def _includes(folder: Path, files: Sequence[Path]) -> tuple[Path, ...]:
    found = []
    for header in (_HEADER, *_OTHER_HEADERS):
        places = (path for path in files if path.as_posix().endswith(f"/{header}"))
        roots = sorted((path.parents[header.count("/")] for path in places), key=lambda root: len(root.parts))
        if not roots:
            raise UsageError(f"--tflm {folder}: the header {header} is not in it", hint=_WHERE)
        found.append(roots[0])
    return tuple(dict.fromkeys(found))


def _read(path: Path) -> tuple[str, FloatAbi, bytes, bytes] | str:
    """(architecture, ABI, the archive's symbol table, its bytes), or why it is no library for a Cortex-M core."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return "it is too large"
        content = path.read_bytes()
    except OSError as error:
        return str(error.strerror)
    try:
        members = dict(archive_members(content))
    except ValueError as error:
        return str(error)
    table = members.pop("/", b"")
    objects = [data for data in members.values() if data[:4] == b"\x7fELF"]
    if not objects:
        return "it holds no object files"
    if b"MicroInterpreter" not in table:
        return "it does not hold tflite::MicroInterpreter"
    attributes = _attributes(objects[len(objects) // 2])
    if isinstance(attributes, str):
        return attributes
    architecture = ARCHITECTURES.get(attributes.get("TAG_CPU_ARCH", -1))
    if architecture is None:
        return "its objects do not say for which architecture they are"
    if architecture == "v7" and attributes.get("TAG_CPU_ARCH_PROFILE") == ord("M"):
        architecture = "v7-M"
    return architecture, "hard" if attributes.get("TAG_ABI_VFP_ARGS", 0) == 1 else "soft", table, content


def _attributes(data: bytes) -> Mapping[str, Any] | str:
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415

    from .elf import build_attributes  # noqa: PLC0415

    try:
        elf = ELFFile(io.BytesIO(data))
        if elf["e_machine"] != "EM_ARM":
            return f"it is for {str(elf['e_machine']).removeprefix('EM_')}, not for ARM"
        return build_attributes(elf)
    except Exception as error:  # noqa: BLE001  # the reader raises a dozen kinds for damaged files
        return f"its objects are damaged: {error}"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise DataFileError(f"{path}: {error.strerror}", hint=_WHERE) from error


def names_lacking(library: Library, wanted: Sequence[str]) -> tuple[str, ...]:
    """Operators of a model that the library cannot run."""
    able = {operator.name for operator in library.operators}
    return tuple(dict.fromkeys(name for name in wanted if name not in able))


def names_in_need(library: Library, missing: frozenset[str]) -> tuple[str, ...]:
    """Operators that cannot be linked where these symbols are in no library."""
    try:
        reached = in_need_of(object_symbols(library.archive.read_bytes()), missing)
    except (OSError, ValueError):  # it could be read before: it has just been replaced
        return ()
    lost = {match[1].decode() for name in reached if (match := _REGISTER.match(name.encode()))}
    return tuple(operator.name for operator in library.operators if lost & set(operator.registers))
