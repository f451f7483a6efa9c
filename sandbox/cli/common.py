"""What several commands share: option types, the image builder, progress on stderr."""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox import process
from sandbox.errors import UsageError
from sandbox.progress import Advance
from sandbox.resources import cache_directory, data_directory

if TYPE_CHECKING:
    from sandbox.engines.guard import Guard
    from sandbox.image.build import ImageBuilder
    from sandbox.progress import Progress

MirrorOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL|DIR",
        help="Debian mirror to take packages from, before those that apt on this host knows "
        "(or EDGE_SANDBOX_MIRROR). Only the first build needs one.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]

EXIT_CODES = {"ready": 0, "marginal": 0, "not_ready": 1, "unknown": 5}
"""The command's exit status by the verdict's."""

_QUIET_SECONDS = 2.0
_SIZE = re.compile("[0-9]{1,18}")


class EngineChoice(str, Enum):
    """``--engine``."""

    AUTO = "auto"
    LOCAL = "local"
    DOCKER = "docker"
    NATIVE = "native"
    REPLAY = "replay"
    QEMU_SYSTEM = "qemu-system"
    RENODE = "renode"


class FormatChoice(str, Enum):
    """``--format``."""

    TERMINAL = "terminal"
    JSON = "json"


def image_builder(mirror: str | None, progress: Progress) -> ImageBuilder:
    """The builder over the shipped image specs and the user's cache."""
    from sandbox.image.build import ImageBuilder  # noqa: PLC0415
    from sandbox.image.store import Store  # noqa: PLC0415

    return ImageBuilder(
        images=data_directory("images"), store=Store(cache_directory()), progress=progress, mirror=mirror
    )


@contextlib.contextmanager
def run_folder(chosen: Path | None, protector: Guard) -> Iterator[Path]:
    """The run folder that the user chose, which must be new or empty, or a temporary one."""
    if chosen is None:
        with (
            tempfile.TemporaryDirectory(prefix="edge-sandbox-", ignore_cleanup_errors=True) as folder,
            protector.protect("folder", folder),
        ):
            yield Path(folder)
        return
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        occupied = next(chosen.iterdir(), None)
    except OSError as error:
        raise UsageError(f"--run-dir {chosen}: {error.strerror}", hint="name a folder that can be made") from error
    if occupied is not None:
        raise UsageError(f"--run-dir {chosen} is not empty", hint="name a new folder: nothing is overwritten")
    yield chosen.absolute()


def enter_own_scope() -> None:
    """Start again in a cgroup of our own where that is what it takes for the kernel to keep the memory limit.

    For the beginning of a command: nothing may be running or printed yet.
    """
    from sandbox.engines.memory_limit import delegated_scope, settle_in_scope  # noqa: PLC0415

    prefix = delegated_scope()
    if prefix:
        process.become([*prefix, sys.executable, *sys.orig_argv[1:]])
    settle_in_scope()


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """``name=1,224,224,3`` → name and sizes. The name may hold ``=``; the sizes are after the last."""
    name, _, sizes = text.rpartition("=")
    parts = sizes.split(",")
    if not name or not all(_SIZE.fullmatch(part.strip()) and int(part) > 0 for part in parts):
        raise UsageError(f"--shape {text!r} is not a shape", hint="write it like --shape input=1,224,224,3")
    return name, tuple(int(part) for part in parts)


def write_report(text: str, output: Path | None) -> None:
    """Print the report, or write it to ``output``. Raises `UsageError` when that cannot be written."""
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise UsageError(f"--output {output}: {error.strerror}", hint="name a file that can be written") from error


class StderrProgress:
    """Progress for people: a live line on a terminal, plain lines elsewhere; nothing in the first two seconds."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    @contextlib.contextmanager
    def task(self, text: str, *, total: float | None = None) -> Iterator[Advance]:
        """See `Progress.task`."""
        line = _Line(text, total, live=self._live)
        timer = threading.Thread(target=line.draw_until_done, daemon=True)
        timer.start()
        try:
            yield line.advance
        finally:
            line.done.set()
            timer.join()

    def warn(self, text: str) -> None:
        """See `Progress.warn`."""
        print(f"warning: {text}", file=sys.stderr)


class _Line:
    """One task's line: drawn from a thread of its own, so that a blocking step still shows that time passes."""

    def __init__(self, text: str, total: float | None, *, live: bool) -> None:
        self.done = threading.Event()
        self._text, self._total, self._live = text, total, live
        self._reached = 0.0
        self._started = time.monotonic()

    def advance(self, amount: float) -> None:
        self._reached += amount

    def draw_until_done(self) -> None:
        if self.done.wait(_QUIET_SECONDS):
            return
        if not self._live:
            print(f"{self._text} …", file=sys.stderr, flush=True)
            self.done.wait()
            print(f"{self._text}: {time.monotonic() - self._started:.0f} s", file=sys.stderr, flush=True)
            return
        while not self.done.wait(0.2):
            print(f"\r\x1b[2K{self._status()}", end="", file=sys.stderr, flush=True)
        print("\r\x1b[2K", end="", file=sys.stderr, flush=True)

    def _status(self) -> str:
        seconds = time.monotonic() - self._started
        share = f" {self._reached / self._total:.0%}" if self._total else ""
        return f"{self._text}{share}, {seconds:.0f} s"
