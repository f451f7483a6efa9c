"""Builds stand_in_tflm as a static library, as a user's TFLM would lie in a folder."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from sandbox import process

from . import CORES

_SOURCES = Path(__file__).parent / "stand_in_tflm"


def build_stand_in(folder: Path, *, core: str = "cortex-m4", incomplete: bool = False) -> Path:
    """Fill ``folder`` with headers and ``lib/libstandin.a`` and return it.

    ``incomplete``: with a kernel for SPLIT, of which a part is missing.
    """
    shutil.copytree(_SOURCES / "include", folder / "include")
    (folder / "lib").mkdir()
    flags = (*CORES[core], "-mthumb", "-std=c++17", "-Os", "-fno-rtti", "-fno-exceptions", "-ffunction-sections")
    objects = []
    for name in ("interpreter", *(["split"] if incomplete else [])):
        objects.append(str(folder / f"{name}.o"))
        source = str(_SOURCES / f"{name}.cc")
        _run("arm-none-eabi-g++", *flags, f"-I{folder / 'include'}", "-c", source, "-o", objects[-1])
    _run("arm-none-eabi-ar", "rcs", str(folder / "lib" / "libstandin.a"), *objects)
    return folder


def model(*, needs: int, says: int | None = None, turns: int = 1000, wrong: int = 0, schema: int = 3) -> bytes:
    """A "model" of the stand-in: see its README."""
    return struct.pack("<5I", schema, needs, needs if says is None else says, turns, wrong)


def _run(*argv: str) -> None:
    done = process.run(argv, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"the stand-in cannot be built:\n{done.stderr}")
