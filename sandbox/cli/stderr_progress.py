"""Progress on stderr: bars on a terminal, plain lines elsewhere; nothing in the first two seconds of a task."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.progress import Advance
from sandbox.units import format_duration

from .common import printable

if TYPE_CHECKING:
    from rich.progress import Progress

_QUIET_SECONDS = 2.0


class StderrProgress:
    """What runs, how far it is, how long it has taken and took before. Tasks may run side by side, in threads."""

    def __init__(self) -> None:
        self._bars = _Bars() if sys.stderr.isatty() else None

    @contextlib.contextmanager
    def task(
        self, text: str, *, total: float | None = None, expected_seconds: float | None = None
    ) -> Iterator[Advance]:
        """See `Progress.task`."""
        show = self._bars.show if self._bars else _write_lines
        state = _Task(text, total, expected_seconds)
        timer = threading.Thread(target=show, args=(state,), daemon=True)
        timer.start()
        try:
            yield state.advance
        finally:
            state.done.set()
            timer.join()

    def warn(self, text: str) -> None:
        """See `Progress.warn`."""
        print(f"warning: {printable(text)}", file=sys.stderr)


class _Task:
    """A task as it stands."""

    def __init__(self, text: str, total: float | None, expected_seconds: float | None) -> None:
        self.done = threading.Event()
        self.text, self.total, self.expected_seconds = printable(text), total, expected_seconds
        self.reached = 0.0
        self.started = time.monotonic()

    def advance(self, amount: float) -> None:
        self.reached += amount

    @property
    def expected(self) -> str:
        """How long it may take; empty where that is not known."""
        return f"about {format_duration(self.expected_seconds)}" if self.expected_seconds else ""

    @property
    def status(self) -> str:
        """Share done and time, for people."""
        share = f"{min(self.reached / self.total, 1):.0%}, " if self.total else ""
        return f"{share}{time.monotonic() - self.started:.0f} s{self.expected and f' of {self.expected}'}"


def _write_lines(task: _Task) -> None:
    """For a log: a line when the task has lasted a while, and one at its end."""
    if task.done.wait(_QUIET_SECONDS):
        return
    print(f"{task.text} …{task.expected and f' ({task.expected})'}", file=sys.stderr, flush=True)
    task.done.wait()
    print(f"{task.text}: {time.monotonic() - task.started:.0f} s", file=sys.stderr, flush=True)


class _Bars:
    """One live display for all tasks that have lasted a while; it is there only while there are some."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._display: Progress | None = None
        self._tasks = 0

    def show(self, task: _Task) -> None:
        """Draw the task until it is done, from a thread of its own: a blocking step still shows that time passes."""
        if task.done.wait(_QUIET_SECONDS):
            return
        with self._lock:
            if self._display is None:
                self._display = _new_display()
                self._display.start()
            display, self._tasks = self._display, self._tasks + 1
        number = display.add_task(task.text, total=task.expected_seconds or task.total, status=task.status)
        while not task.done.wait(0.2):
            reached = time.monotonic() - task.started if task.expected_seconds else task.reached
            display.update(number, completed=reached, status=task.status, refresh=True)
        display.remove_task(number)
        with self._lock:
            self._tasks -= 1
            if self._tasks == 0:
                display.stop()
                self._display = None


def _new_display() -> Progress:
    from rich.console import Console  # noqa: PLC0415  # only what lasts pays for it
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        TextColumn("{task.fields[status]}", markup=False),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
    )
