"""Programs for a bare Cortex-M core whose end is known beforehand, built with the toolchain that Debian has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sandbox import process

COMPILER = "arm-none-eabi-gcc"
_FOLDER = Path(__file__).parent
TURNS = 100_000
BETWEEN_SYMBOLS = 3 * TURNS + 3
"""Instructions from the first of ``bench_begin`` to the first of ``bench_end``: bx, ldr, TURNS times (subs, nop, bne),
bl."""

CORES: Mapping[str, tuple[str, ...]] = {
    "cortex-m0": ("-mcpu=cortex-m0", "-masm-syntax-unified"),
    "cortex-m0+": ("-mcpu=cortex-m0plus", "-masm-syntax-unified"),
    "cortex-m3": ("-mcpu=cortex-m3",),
    "cortex-m4": ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
    "cortex-m4 soft": ("-mcpu=cortex-m4", "-mfloat-abi=soft"),
    "cortex-m7": ("-mcpu=cortex-m7", "-mfpu=fpv5-d16", "-mfloat-abi=hard"),
    "cortex-m33": ("-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
    "cortex-m55": ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
}


def build_firmware(
    fate: str,
    out: Path,
    *,
    core: str = "cortex-m4",
    flash: tuple[int, int] = (0x0800_0000, 1 << 20),
    ram: tuple[int, int] = (0x2000_0000, 128 << 10),
    beyond: int = 0x2002_0000,
    arena_bytes: int = 4096,
) -> Path:
    """Compile faults.c for a fate (``OVERFLOW``, ``BEYOND`` …, ``NONE``) and (first address, bytes) of memory."""
    defines = (f"-DFATE_{fate}", f"-DBEYOND={beyond:#x}", f"-DARENA_BYTES={arena_bytes}")
    places = {"FLASH": flash[0], "FLASH_SIZE": flash[1], "RAM": ram[0], "RAM_SIZE": ram[1]}
    linking = (f"-Wl,-T,{_FOLDER / 'board.ld'}", *(f"-Wl,--defsym={name}={value:#x}" for name, value in places.items()))
    quiet = ("-Wl,--no-warn-rwx-segments", "-fno-optimize-sibling-calls", "-Wno-infinite-recursion")
    argv = (COMPILER, *CORES[core], "-mthumb", "-std=gnu11", "-Os", "-ffreestanding", "-nostdlib", "-nostartfiles")
    done = process.run(
        (*argv, *quiet, *defines, *linking, str(_FOLDER / "faults.c"), "-o", str(out), "-lgcc"), timeout=60
    )
    if done.returncode != 0:
        raise RuntimeError(f"faults.c cannot be built:\n{done.stderr}")
    return out
