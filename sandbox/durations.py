"""How long runs took on this host: a hint for the next one's progress line, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from .graph import ModelGraph

_FILE = "durations.json"
_MOST = 200
"""Models that are remembered, the latest."""


def expected_seconds(directory: Path, graph: ModelGraph) -> float | None:
    """What a run of this model took last, else one of the model nearest in size; None where none is known."""
    known = _read(directory)
    if same := known.get(graph.sha256):
        return same[0]
    alike = [
        (abs(size - graph.size_bytes), seconds) for seconds, size, format_ in known.values() if format_ == graph.format
    ]
    return min(alike)[1] if alike else None


def remember(directory: Path, graph: ModelGraph, seconds: float) -> None:
    """Write down how long the run took. A cache that cannot be written costs the hint, not the run."""
    known = _read(directory)
    known.pop(graph.sha256, None)
    known[graph.sha256] = (round(seconds, 1), graph.size_bytes, graph.format)
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=directory, prefix=f".{_FILE}-")
        try:
            os.write(descriptor, json.dumps(dict(list(known.items())[-_MOST:])).encode())
            Path(name).replace(directory / _FILE)
        finally:
            os.close(descriptor)
            Path(name).unlink(missing_ok=True)


def _read(directory: Path) -> dict[str, tuple[float, int, str]]:
    try:
        found: Any = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        return {str(key): (float(seconds), int(size), str(kind)) for key, (seconds, size, kind) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return {}
