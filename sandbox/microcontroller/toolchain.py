"""Compiles images/cortex_m for a core and links it against the user's TFLM with the GCC that Debian has."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox import process
from sandbox.errors import DataFileError, HostError
from sandbox.resources import data_directory

from .board import Core, Cpu
from .elf import FloatAbi
from .job import Span
from .tflm import Library, Operator

COMPILER = "arm-none-eabi-g++"
_INSTALL = "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib"
_M, _K = 1 << 20, 1 << 10
STACK_BYTES = 16 * _K
_TIMEOUT_SECONDS = 300.0
_UNDEFINED = re.compile(r"undefined reference to `([^']+)'")
_MISSING_HEADER = re.compile(r"fatal error: (\S+): No such file")


@dataclass(frozen=True, kw_only=True)
class MemoryMap:
    """Where the runner lies: one map for a core, so that one file serves every board that has the core."""

    machine: str
    """QEMU's machine with memory at these places; in Renode the same places are described."""
    code: Span
    ram: Span
    model: Span
    """Stands for the flash that holds the model."""


def _map(machine: str, code: tuple[int, int], ram: tuple[int, int], model: tuple[int, int]) -> MemoryMap:
    def span(place: tuple[int, int], *, writable: bool) -> Span:
        return Span(start=place[0], end=place[0] + place[1], writable=writable)

    return MemoryMap(
        machine=machine,
        code=span(code, writable=False),
        ram=span(ram, writable=True),
        model=span(model, writable=False),
    )


_AN385 = _map("mps2-an385", (0, 4 * _M), (0x2000_0000, 4 * _M), (0x2100_0000, 16 * _M))
_AN386 = _map("mps2-an386", (0, 4 * _M), (0x2000_0000, 4 * _M), (0x2100_0000, 16 * _M))
_AN500 = _map("mps2-an500", (0, 4 * _M), (0x2000_0000, 4 * _M), (0x6000_0000, 16 * _M))
_AN505 = _map("mps2-an505", (0x1000_0000, 4 * _M), (0x3800_0000, 4 * _M), (0x8000_0000, 16 * _M))
_AN547 = _map("mps3-an547", (0, 512 * _K), (0x2100_0000, 4 * _M), (0x6000_0000, 64 * _M))
MAPS: Mapping[Core, MemoryMap] = {
    "cortex-m0": _AN385,
    "cortex-m0+": _AN385,
    "cortex-m3": _AN385,
    "cortex-m4": _AN386,
    "cortex-m7": _AN500,
    "cortex-m23": _AN505,
    "cortex-m33": _AN505,
    "cortex-m55": _AN547,
    "cortex-m85": _AN547,
}
"""Addresses of QEMU 7.2's machines. An older core's code runs unchanged on the newer one that stands for it: the same
instructions in the same number."""

_FPUS: Mapping[tuple[str, str], str] = {
    ("cortex-m4", "single"): "fpv4-sp-d16",
    ("cortex-m7", "single"): "fpv5-sp-d16",
    ("cortex-m7", "double"): "fpv5-d16",
    ("cortex-m33", "single"): "fpv5-sp-d16",
}


class IncompleteLibraryError(DataFileError):
    """The library needs what neither it nor the compiler's libraries have."""

    def __init__(self, message: str, *, hint: str, symbols: frozenset[str]) -> None:
        super().__init__(message, hint=hint)
        self.symbols = symbols
        """As they are in object files."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A runner that was linked."""

    elf: Path
    operators: tuple[Operator, ...]


def find_compiler() -> str:
    """The compiler's path. Raises `HostError` when there is none."""
    found = shutil.which(COMPILER)
    if found is None:
        raise HostError(f"there is no {COMPILER}: the runner cannot be compiled for a Cortex-M core", hint=_INSTALL)
    return found


def core_flags(cpu: Cpu, abi: FloatAbi) -> tuple[str, ...]:
    """GCC's options for the core, with the floating-point ABI of the library that will be linked."""
    name = "cortex-m55" if cpu.core == "cortex-m85" else cpu.core.replace("m0+", "m0plus")
    fpu = _FPUS.get((cpu.core, cpu.fpu))
    if cpu.core == "cortex-m33" and cpu.fpu == "none":
        name += "+nofp" + ("" if cpu.dsp else "+nodsp")
    return (f"-mcpu={name}", "-mthumb", f"-mfloat-abi={abi}", *([f"-mfpu={fpu}"] if fpu else []))


def linker_script(places: MemoryMap, stack_bytes: int = STACK_BYTES) -> str:
    """For GNU ld: the program in ``code``, all else in ``ram``, and behind that the arena to the end of ``ram``."""
    code, ram = places.code, places.ram
    return f"""ENTRY(Reset_Handler)
MEMORY
{{
    CODE (rx) : ORIGIN = {code.start:#x}, LENGTH = {code.end - code.start:#x}
    RAM (rw) : ORIGIN = {ram.start:#x}, LENGTH = {ram.end - ram.start:#x}
}}
SECTIONS
{{
    .vectors : {{ KEEP(*(.vectors)) }} > CODE
    .text : {{ *(.text .text.*) *(.rodata .rodata.*) . = ALIGN(4); }} > CODE
    .constructors : {{
        runner_constructors_start = .;
        KEEP(*(SORT_BY_INIT_PRIORITY(.init_array.*) .init_array))
        runner_constructors_end = .;
    }} > CODE
    .ARM.extab : {{ *(.ARM.extab*) }} > CODE
    .ARM.exidx : {{ __exidx_start = .; *(.ARM.exidx*) __exidx_end = .; }} > CODE
    .stack (NOLOAD) : {{ . = ALIGN(8); __StackLimit = .; . += {stack_bytes}; __StackTop = .; }} > RAM
    runner_stack_top = __StackTop;
    .data : {{ runner_data_start = .; *(.data .data.*) . = ALIGN(4); runner_data_end = .; }} > RAM AT > CODE
    runner_data_stored = LOADADDR(.data);
    .bss (NOLOAD) : {{ runner_bss_start = .; *(.bss .bss.* COMMON) . = ALIGN(4); runner_bss_end = .; }} > RAM
    .noinit (NOLOAD) : {{ *(.noinit) . = ALIGN(16); }} > RAM
    end = .;
    runner_arena = ALIGN(16);
}}
"""


def operators_source(operators: Sequence[Operator]) -> str:
    """``operators.inc`` for these operators."""
    lines = [f"#define RUNNER_RESOLVER_SIZE {max(1, len(operators))}"]
    lines += ["static bool register_operators(tflite::MicroMutableOpResolver<RUNNER_RESOLVER_SIZE>& resolver) {"]
    lines += ["  (void)resolver;", "  return true"]
    lines += [f"      && resolver.{operator.method}() == kTfLiteOk" for operator in operators]
    return "\n".join([*lines, "      ;", "}"]) + "\n"


def build(library: Library, cpu: Cpu, operators: Sequence[Operator], folder: Path) -> Built:
    """Compile and link into ``folder``. Raises `HostError` without a compiler, `DataFileError` where the library and
    its headers do not go together, `IncompleteLibraryError` where parts of the library are missing."""
    compiler = find_compiler()
    sources = data_directory("images") / "cortex_m"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "operators.inc").write_text(operators_source(operators))
    (folder / "runner.ld").write_text(linker_script(MAPS[cpu.core]))
    elf = folder / "runner.elf"
    common = (*core_flags(cpu, library.float_abi), "-Os", "-ffunction-sections", "-fdata-sections", "-w")
    tflm = ("-DTF_LITE_STATIC_MEMORY", *(("-DRUNNER_LOG_HAS_ARGUMENTS",) if library.log_has_arguments else ()))
    cxx = ("-std=c++17", "-fno-rtti", "-fno-exceptions", "-fno-threadsafe-statics")
    includes = (f"-I{folder}", f"-I{sources}", *(f"-I{include}" for include in library.includes))
    _run(compiler, (*common, "-x", "c", "-c", str(sources / "start.c"), "-o", str(folder / "start.o")), library)
    _run(compiler, (*common, *cxx, *tflm, *includes, "-c", str(sources / "runner.cc"), "-o", str(folder / "runner.o")),
         library)  # fmt: skip
    linking = ("--specs=nano.specs", "--specs=nosys.specs", "-nostartfiles", f"-Wl,-T,{folder / 'runner.ld'}")
    quiet = ("-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments", "-Wl,--no-demangle")
    objects = (str(folder / "start.o"), str(folder / "runner.o"), str(library.archive))
    _run(compiler, (*common, *linking, *quiet, *objects, "-lm", "-o", str(elf)), library)
    return Built(elf=elf, operators=tuple(operators))


def build_key(library: Library, cpu: Cpu, operators: Sequence[Operator]) -> str:
    """Names a build: the same library, core, operators and sources give the same file."""
    sources = data_directory("images") / "cortex_m"
    parts = [library.sha256, *core_flags(cpu, library.float_abi), linker_script(MAPS[cpu.core])]
    parts += [operators_source(operators), *(path.read_text() for path in sorted(sources.glob("*.*")))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _run(compiler: str, arguments: Sequence[str], library: Library) -> None:
    done = process.run((compiler, *arguments), timeout=_TIMEOUT_SECONDS)
    if done.returncode == 0:
        return
    undefined = sorted(set(_UNDEFINED.findall(done.stderr)))
    if undefined:
        listed = ", ".join(_readable(undefined[:4])) + (f" and {len(undefined) - 4} more" if undefined[4:] else "")
        raise IncompleteLibraryError(
            f"{library.archive} is not whole: it needs {listed}",
            hint="link its third-party parts into the library too, or build it anew with all of its kernels",
            symbols=frozenset(undefined),
        )
    header = _MISSING_HEADER.search(done.stderr)
    if header is not None:
        raise DataFileError(
            f"the headers beside {library.archive} are not whole: {header[1]} is missing",
            hint="give --tflm a folder with TFLM's headers and those of flatbuffers, gemmlowp and ruy",
        )
    lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines()
    raise DataFileError(
        f"the runner cannot be built with {library.archive}: {(lines or ['no word why'])[0][:300]}",
        hint="headers and library must be of the same TFLM version",
    )


def _readable(symbols: Sequence[str]) -> list[str]:
    """As C++ writes them."""
    program = shutil.which("arm-none-eabi-c++filt")
    done = process.run((program, *symbols), timeout=60) if program else None
    return list(symbols) if done is None or done.returncode else done.stdout.splitlines()
