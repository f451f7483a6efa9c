"""What several commands share: option types, the image builder, the run folder, the report's way out."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox import process
from sandbox.errors import UsageError
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


def _log_commands(wanted: bool) -> bool:  # noqa: FBT001  # Typer's callback signature
    if wanted:
        logging.getLogger("sandbox").setLevel(logging.DEBUG)
    return wanted


VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", callback=_log_commands, expose_value=False, help="Log every command line on stderr."
    ),
]

EXIT_CODES = {"ready": 0, "marginal": 0, "not_ready": 1, "unknown": 5}
"""The command's exit status by the verdict's."""

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


class CheckChoice(str, Enum):
    """``--format`` of `check`."""

    TERMINAL = "terminal"
    JSON = "json"
    MARKDOWN = "markdown"
    JUNIT = "junit"


class ReportChoice(str, Enum):
    """``--format`` of commands whose result has all reports."""

    TERMINAL = "terminal"
    JSON = "json"
    HTML = "html"
    MARKDOWN = "markdown"
    JUNIT = "junit"


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


def printable(text: str) -> str:
    """Lines without control characters, for a terminal: a text may quote a model, its file's name or the guest.

    Reports do so themselves.
    """
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)


def say(text: str) -> None:
    """Print a line, whatever is in it."""
    typer.echo(printable(text.replace("\n", "\\x0a")))


def wants_colour(output: Path | None) -> bool:
    """Colours only on a terminal, and not where NO_COLOR (https://no-color.org) is set to anything."""
    return output is None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def write_report(text: str, output: Path | None) -> None:
    """Print the report, or write it to ``output``. Raises `UsageError` when that cannot be written."""
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output {output}: {error.strerror}", hint="name a file that can be written") from error
