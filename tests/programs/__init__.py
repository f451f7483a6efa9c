"""Small programs whose behaviour is known in advance: counted by hand, or asking for the time in known ways."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from sandbox import process

_FOLDER = Path(__file__).parent
_LINUX = ("-nostdlib", "-static")
_ARMHF = ("-target", "arm-linux-musleabihf", "-mcpu=generic+v8_2a+neon+fp_armv8+dotprod+crypto+aes+sha2")
_TARGETS = {
    "count_a64": ("-target", "aarch64-linux-musl", *_LINUX),
    "count_a32": (*_ARMHF, *_LINUX),
    "count_t32": (*_ARMHF, *_LINUX),
    "count_m": (
        "-target", "thumb-freestanding-eabi", "-mcpu=cortex_m3", "-nostdlib", f"-Wl,-T,{_FOLDER / 'count_m.ld'}"
    ),
}  # fmt: skip

NAMES = tuple(_TARGETS)
"""What `build_program` understands: bare programs, each with a row in `hand_counts.HAND_COUNTS`."""


def build_program(name: str, out: Path) -> None:
    """Assemble and link ``<name>.S`` to the file ``out``. Raises `ValueError` for a name that is none of `NAMES`."""
    if name not in _TARGETS:
        raise ValueError(f"no program {name!r}; there are {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory() as cache:
        caches = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
        argv = (sys.executable, "-m", "ziglang", "cc", *_TARGETS[name], str(_FOLDER / f"{name}.S"), "-o", str(out))
        done = process.run(argv, timeout=300, env={**os.environ, **caches})
    if done.returncode != 0:
        raise RuntimeError(f"{name}.S cannot be built:\n{done.stderr}")
