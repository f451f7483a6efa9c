"""Where the runner in the guest stops once the model has done its part: our report is not to count as its memory.

The gate is a named pipe in the run folder. The runner opens it to read, and waits; that there is a reader is how the
host learns of it. Closing the other end lets the runner go on. A guest without that runner never comes to it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

GATE = "report.gate"
"""images/guest/phases.py has the same name."""
REPORT_BYTES = 256 << 20
"""What the report may take beyond the limit: modules, and the profile of every operator."""


class Gate:
    """One gate, for one run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end: int | None = None
        self._passed = False

    def is_reached(self) -> bool:
        """Whether the guest waits there, for the first time. The guest may have put something else in its place."""
        if self._passed or self._end is not None:
            return False
        try:
            end = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # ENXIO: nobody reads yet
            return False
        if not stat.S_ISFIFO(os.fstat(end).st_mode):
            os.close(end)
            return False
        self._end = end
        return True

    def let_pass(self) -> None:
        """Let the guest go on, and any that comes later."""
        if self._end is not None:
            os.close(self._end)
        self._end, self._passed = None, True


@contextlib.contextmanager
def gate(run_dir: Path) -> Iterator[Gate]:
    """A gate in a run folder, gone afterwards."""
    path = run_dir / GATE
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o644)
    one = Gate(path)
    try:
        yield one
    finally:
        one.let_pass()
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
