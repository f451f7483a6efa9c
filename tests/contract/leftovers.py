"""What a run could leave behind on this host, looked for by the unique name that its job has."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox.engines.docker_daemon import connect
from sandbox.errors import HostError


def cgroups_of(token: str) -> set[Path]:
    """The memory cgroups that processes of the job are in, as folders, the root of the hierarchy left out."""
    found = set()
    for pid in _processes(token):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
                _number, controllers, path = line.split(":", 2)
                mounted = Path("/sys/fs/cgroup") / controllers
                if controllers in {"", "memory"} and path != "/":
                    found.add(mounted / path.lstrip("/"))
    return {path for path in found if path.is_dir() and not _holds_us(path)}


def left_behind(token: str, cgroups: set[Path]) -> list[str]:
    """Processes, cgroups, mounts and containers of the job that are still there."""
    found = [f"process {pid}" for pid in _processes(token)]
    found += [f"cgroup {path}" for path in cgroups if path.exists()]
    found += [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if token in line]
    with contextlib.suppress(HostError), connect() as client:
        found += [f"container {c.name}" for c in client.containers.list(all=True) if token in str(c.name)]
    return found


def eventually(look: Callable[[], list[str]], seconds: float) -> list[str]:
    """Look again until nothing is found or the time is over; the last that was found."""
    deadline = time.monotonic() + seconds
    while (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen


def _processes(token: str) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            running = (folder / "stat").read_text().rpartition(") ")[2][0] not in "ZX"
            if running and int(folder.name) != os.getpid() and token.encode() in (folder / "cmdline").read_bytes():
                yield int(folder.name)


def _holds_us(cgroup: Path) -> bool:
    return str(os.getpid()) in (cgroup / "cgroup.procs").read_text().split()
