"""Which part of the run is under way, on disk before it starts.

The host reads the last line after a kill or a crash, so a line is one ``write`` to an ``O_APPEND`` descriptor:
once the call returns, the kernel holds the line and no signal can take it back.
"""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

#: sandbox/engines/gate.py makes it.
GATE = "report.gate"


class PhaseLog:
    """Appends ``{"phase", "monotonic_ns"}`` to ``phases.jsonl`` and remembers the phase for the error report."""

    def __init__(self, run_dir: Path) -> None:
        self.current = "start"
        self._fd = os.open(run_dir / "phases.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def enter(self, phase: str) -> None:
        """Record that ``phase`` starts now (guest's monotonic clock, nanoseconds)."""
        self.current = phase
        line = json.dumps({"phase": phase, "monotonic_ns": time.monotonic_ns()}) + "\n"
        os.write(self._fd, line.encode())


def wait_for_last_reading(run_dir: Path) -> None:
    """The model has done its part: wait until the host has read the memory that it took, if the host wants to."""
    gate = run_dir / GATE
    try:
        if stat.S_ISFIFO(gate.stat().st_mode):
            gate.read_bytes()
    except OSError:
        return  # no gate
