"""A helper process that outlives the tool by a moment: when the tool dies, however, it clears up what was left.

The tool writes a line for each thing it creates and for each that it has removed itself. End of input means that the
tool is gone, killed even, and all that is still on the list is removed. It runs in a session of its own, so that a
Ctrl-C in the terminal does not reach it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from sandbox import process

Kind = Literal["process_group", "sandbox", "cgroup", "container", "folder"]
SANDBOX_MARK = "--die-with-parent"
"""The bubblewrap option by which `kill_sandbox` knows one of ours, beside the run folder that it mounts."""

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_START = (
    "import sys; sys.path[:] = [path for path in sys.path if path] + sys.argv[1:]; "
    "from sandbox.engines.guard import main; main()"
)
"""``python -m`` would look in the working folder first, where a user may have a ``sandbox`` of their own."""


class Guard:
    """The tool's end: what `protect` announces is removed even if this process is killed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    @contextlib.contextmanager
    def protect(self, kind: Kind, name: str) -> Iterator[None]:
        """Have ``name`` removed if the tool dies inside the block; the block itself removes it otherwise."""
        self._tell("+", kind, name)
        try:
            yield
        finally:
            self._tell("-", kind, name)

    def _tell(self, sign: str, kind: Kind, name: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # a dead guard must not end the run
            self._stream.write(json.dumps([sign, kind, name]).encode() + b"\n")
            self._stream.flush()


@contextlib.contextmanager
def guard() -> Iterator[Guard]:
    """Start a guard for the time of the block."""
    argv = [sys.executable, "-c", _START, str(_PACKAGE_PARENT)]
    with process.start_with_input(argv) as helper:
        stream = helper.stdin
        if stream is None:
            raise AssertionError("started with a pipe")
        try:
            yield Guard(stream)
        finally:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                helper.wait(timeout=10)


def main() -> None:
    """The helper's end: keep the list, and clear it at the end of input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    left: dict[tuple[str, str], None] = {}
    for line in sys.stdin:
        try:
            sign, kind, name = json.loads(line)
        except ValueError:  # the tool died over this line
            continue
        if sign == "+":
            left[(kind, name)] = None
        else:
            left.pop((kind, name), None)
    order = ("container", "process_group", "sandbox", "cgroup", "folder")
    for kind, name in sorted(left, key=lambda item: order.index(item[0])):
        with contextlib.suppress(Exception):  # the next thing on the list must be removed all the same
            _remove(kind, name)


def kill_sandbox(run_dir: str) -> None:
    """Kill what is left of the bubblewrap sandbox around that run folder; with its first process the rest goes.

    The inner process has a session of its own, and dies with the outer one only once it has asked the kernel to: a
    kill before that leaves it running, out of the process group's reach. Seen once, on a slow host.
    """
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours
            words = path.read_bytes().split(b"\0")
            if SANDBOX_MARK.encode() in words and run_dir.encode() in words:
                os.kill(int(path.parent.name), signal.SIGKILL)


def _remove(kind: str, name: str) -> None:
    if kind == "container":
        import docker  # noqa: PLC0415  # only a run with containers pays for it

        docker.from_env().containers.get(name).remove(force=True)
    elif kind == "process_group":
        os.killpg(int(name), signal.SIGKILL)
    elif kind == "sandbox":
        kill_sandbox(name)
    elif kind == "cgroup":
        from .memory_limit import remove_cgroup  # noqa: PLC0415

        for pid in (Path(name) / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(int(pid), signal.SIGKILL)
        remove_cgroup(Path(name))
    else:
        shutil.rmtree(name, ignore_errors=True)


if __name__ == "__main__":
    main()
