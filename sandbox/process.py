"""The one door to subprocesses: every program is started, timed, stopped and logged here.

Each program gets its own process group, and no standard input unless asked for, so that stopping it stops what it
started too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, NoReturn

from .errors import HostError

_log = logging.getLogger(__name__)
_GRACE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a program ended."""

    argv: tuple[str, ...]
    returncode: int
    """Exit status; negative is the number of the signal that ended it."""
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False


def run(
    argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Completed:
    """Run a program to its end and capture what it prints.

    After ``timeout`` seconds its process group is terminated, then killed. Raises `HostError` when the program
    cannot be started at all; an exit status other than 0 is the caller's to judge.
    """
    started = time.monotonic()
    with start(argv, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        timed_out = False
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            stop(process)
            try:
                out, err = process.communicate(timeout=_GRACE_SECONDS)
            except subprocess.TimeoutExpired as open_pipe:  # held by something that left the group
                out, err = open_pipe.stdout or b"", open_pipe.stderr or b""
    seconds = time.monotonic() - started
    _log.debug("exit %s after %.2f s", process.returncode, seconds)
    return Completed(
        argv=tuple(argv),
        returncode=process.returncode,
        stdout=out.decode(errors="replace"),
        stderr=err.decode(errors="replace"),
        seconds=seconds,
        timed_out=timed_out,
    )


@contextlib.contextmanager
def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int | IO[bytes] | None = subprocess.DEVNULL,
    stderr: int | IO[bytes] | None = subprocess.DEVNULL,
    stdin: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program and stop its whole process group when the block is left, however it is left.

    A stream that is None is this process's own; with ``stdin`` the program also reads what this process would.
    """
    _log.debug("$ %s", shlex.join(argv))
    try:
        process = subprocess.Popen(
            argv,
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=None if stdin else subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise HostError(f"cannot start {argv[0]}: {error.strerror}") from error
    try:
        yield process
    finally:
        stop(process)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def start_with_input(argv: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a quiet helper that reads its orders from a pipe; it ends by itself when the pipe is closed."""
    _log.debug("$ %s", shlex.join(argv))
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as helper:
        yield helper


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by a program, keeping its terminal, files and process number. Raises `HostError`."""
    _log.debug("exec %s", shlex.join(argv))
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606  # an argv, no shell
    except OSError as error:
        raise HostError(f"cannot start {argv[0]}: {error.strerror}") from error


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a program's process group: terminate, and kill what has not gone after two seconds."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a program's process group as the kernel does at a memory limit: at once, and with no word to it."""
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()


def wait(
    process: subprocess.Popen[bytes], *, timeout: float, interval: float, go_on: Callable[[], bool]
) -> Literal["ended", "timeout", "stopped"]:
    """Wait for a program, asking ``go_on`` every ``interval`` seconds; the program is left running but in "ended"."""
    deadline = time.monotonic() + timeout
    while process.poll() is None:
        if time.monotonic() > deadline:
            return "timeout"
        if not go_on():
            return "stopped"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(interval)
    return "ended"


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
