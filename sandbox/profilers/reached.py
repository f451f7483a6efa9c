"""Which instructions of optional features ran that QEMU's cores execute although the device's core may lack them.

The plugin lists every cryptographic A64 instruction that was translated, from the first one of the process on, so
what an import does is in it too.
"""

from __future__ import annotations

import re
from pathlib import Path

from sandbox import rundir
from sandbox.compatibility.instructions import EMULATED_ANYWAY
from sandbox.engines.base import COUNTS
from sandbox.isa import a64_feature, decode
from sandbox.measurements import ReachedCode

from .symbols import Symbols

_LINE = re.compile(r"([0-9a-f]{1,16}) ([0-9a-f]{8})")


def reached_code(job_dir: Path, root: Path) -> tuple[ReachedCode, ...] | None:
    """Each feature once in each library, with the first place; None where the plugin left no list.

    ``root``: the image's files on this host.
    """
    lines = _lines(job_dir)
    if lines is None:
        return None
    try:
        maps = rundir.read_guest_file(job_dir / rundir.MAPS).decode(errors="replace")
    except OSError:
        maps = ""
    symbols = Symbols(maps, root)
    found: dict[tuple[str, str], ReachedCode] = {}
    for address, word in lines:
        feature = a64_feature(word)
        if feature is None or feature not in EMULATED_ANYWAY:
            continue
        path = symbols.path(address) or "unknown"
        if (path, feature) not in found:
            code = symbols.code(address)
            found[path, feature] = ReachedCode(
                feature=feature,
                instruction=decode(word.to_bytes(4, "little"), "a64").text,
                path=path,
                function=code.function,
                address=address,
            )
    return tuple(found.values())


def note_reached(job_dir: Path, root: Path) -> None:
    """Write it into the job's folder, while the image at ``root`` is at hand."""
    reached = reached_code(job_dir, root)
    if reached is not None:
        rundir.write_reached(job_dir, reached)


def _lines(job_dir: Path) -> list[tuple[int, int]] | None:
    """(address, word) of all processes; the guest can write to these files."""
    folder = job_dir / COUNTS
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".crypto")
        texts = [rundir.read_guest_file(path).decode("ascii", errors="replace") for path in paths]
    except OSError:
        return None
    if not paths:
        return None
    matches = (_LINE.fullmatch(line) for text in texts for line in text.splitlines())
    return [(int(match[1], 16), int(match[2], 16)) for match in matches if match]
