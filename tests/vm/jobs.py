"""Runs inside the virtual machine, as root on a bare cgroup v2: memory limits in every way, told to the host as JSON.

What is seen is judged outside, by ``tests/contract/test_cgroup_v2.py``.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox import process
from sandbox.engines.base import Job
from sandbox.engines.guard import Guard
from sandbox.engines.local import LocalEngine
from sandbox.engines.memory_limit import limit_mechanism, open_limit, own_limit_bytes, settle_in_scope
from sandbox.image.emulator import Emulator
from sandbox.image.spec import Architecture, load_lock, load_spec
from sandbox.image.store import BuiltImage
from sandbox.resources import data_directory

MIB = 1 << 20
LIMIT_BYTES = 64 * MIB
BELOW = 60
"""MiB that must fit."""
OUTER_BYTES = 2 << 30
"""Of the cgroup around the tool."""
CPUS: dict[Architecture, str] = {"arm64": "cortex-a72", "armhf": "cortex-a7"}
KEPT, MOMENT = 16, 40
"""MiB: what the pattern keeps, and takes for a moment."""
_TOP = Path("/sys/fs/cgroup")
_RESULTS = Path("/run/results")
_NOBODY = 65534
_FILL = "import sys; held = b'x' * (128 << 20)"


class Guests:
    """Runs the pattern program as an emulated guest."""

    def __init__(self, request: dict[str, Any], folder: Path) -> None:
        fields = request["emulator"]
        emulator = Emulator(**{**fields, "root": Path(fields["root"])})
        self._engine = LocalEngine(emulator, Guard(io.BytesIO()))  # the machine itself goes away with what is left
        self._images = {name: Path(directory) for name, directory in request["images"].items()}
        self._folder = folder

    def run(self, name: str, architecture: Architecture, kept: int, moment: int = 0) -> dict[str, Any]:
        """How ``allocate KEPT MOMENT`` ended under the limit, and how many bytes it had told of."""
        image = f"bookworm-{architecture}"
        run_dir = self._folder / f"{architecture}-{name}"
        run_dir.mkdir()
        job = Job(
            name=f"{architecture}-{name}",
            image=BuiltImage(
                spec=load_spec(image, data_directory("images")),
                lock=load_lock(image, data_directory("images")),
                directory=self._images[architecture],
            ),
            argv=("/allocate", str(kept), str(moment)),
            env={},
            run_dir=run_dir,
            mounts=(),
            cpu=CPUS[architecture],
            page_size_bytes=4096,
            hostname="device",
            memory_limit_bytes=LIMIT_BYTES,
            timeout_seconds=200,
            stops_at_gate=True,
        )
        outcome = asdict(self._engine.run(job, threading.Event()))
        del outcome["memory"]["samples"]
        return {**outcome, "reached": (run_dir / "allocated").stat().st_size * MIB}


def main(request_file: str) -> None:
    """Everything, in the order in which the machine is changed."""
    request = json.loads(Path(request_file).read_text())
    for path in request["open"]:  # folders that other users must be able to pass; the host's own stay as they are
        for folder in (Path(path), *Path(path).parents):
            folder.chmod(folder.stat().st_mode | 0o055)
    outer = _TOP / "outer"
    (outer / "tool").mkdir(parents=True)
    (outer / "tool/cgroup.procs").write_text(str(os.getpid()))
    (_TOP / "cgroup.subtree_control").write_text("+memory")
    (outer / "cgroup.subtree_control").write_text("+memory")
    (outer / "memory.max").write_text(str(OUTER_BYTES))

    tell("root", facts())
    tell("kernel_kill", kernel_kill())
    tell("swap_control", swap_control(outer))
    folder = Path("/run/jobs-of-root")
    folder.mkdir()
    guests = Guests(request, folder)
    for architecture in CPUS:
        tell(f"{architecture}-fills", guests.run("fills", architecture, 400))
        tell(f"{architecture}-below", guests.run("below", architecture, BELOW))
        tell(f"{architecture}-kept", guests.run("kept", architecture, KEPT))
        tell(f"{architecture}-moment", guests.run("moment", architecture, KEPT, MOMENT))
    delegated(request)
    left = [str(path) for path in _TOP.rglob("edge-sandbox-*") if path.name != "edge-sandbox-tool"]
    tell("left", {"cgroups": left, "swap_used": swap_used()})


def facts() -> dict[str, Any]:
    """What the tool finds out about its own place."""
    return {"kernel": os.uname().release, "mechanism": limit_mechanism(), "own_limit": own_limit_bytes()}


def kernel_kill() -> dict[str, Any]:
    """A program that nobody watches, too big for its limit while swap is free."""
    limit = open_limit("unwatched", LIMIT_BYTES)
    done = process.run((*limit.launcher, sys.executable, "-c", _FILL), timeout=200)
    counted = limit.kills()
    limit.close()
    return {"returncode": done.returncode, "kills": counted, "kills_after": limit.kills(), "swap_used": swap_used()}


def swap_control(outer: Path) -> dict[str, Any]:
    """The same program in a plain cgroup with the same limit on memory alone: it lives, by swapping."""
    plain = outer / "plain"
    plain.mkdir()
    (plain / "memory.max").write_text(str(LIMIT_BYTES))
    code = f"open({str(plain / 'cgroup.procs')!r}, 'w').write('0')\n{_FILL}"
    code += "\nprint(open('/proc/self/status').read())"
    done = process.run((sys.executable, "-c", code), timeout=200)
    plain.rmdir()
    swapped = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("VmSwap:")]
    return {"returncode": done.returncode, "swapped_bytes": int(swapped[0]) << 10 if swapped else None}


def delegated(request: dict[str, Any]) -> None:
    """A user without rights: first where nothing is his, then in a cgroup of his own, as systemd delegates one."""
    scope = _TOP / "user.scope"
    scope.mkdir()
    for path in (scope, scope / "cgroup.procs", scope / "cgroup.subtree_control", scope / "cgroup.threads"):
        os.chown(path, _NOBODY, _NOBODY)
    folder = Path("/run/jobs-of-nobody")
    folder.mkdir()
    os.chown(folder, _NOBODY, _NOBODY)
    for name, place in (("nobody", None), ("delegated", scope)):
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            continue
        try:
            as_nobody(name, place, request, folder)
        except Exception:  # noqa: BLE001  # told on the console; its result is missing
            traceback.print_exc()
        finally:
            os._exit(0)


def as_nobody(name: str, scope: Path | None, request: dict[str, Any], folder: Path) -> None:
    """In a process of its own, which gives up its rights."""
    told = os.open(_RESULTS / name, os.O_WRONLY | os.O_CREAT, 0o644)
    if scope is not None:
        (scope / "cgroup.procs").write_text(str(os.getpid()))
        os.environ["EDGE_SANDBOX_SCOPE"] = "1"
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    settle_in_scope()
    seen = {"cgroup": Path("/proc/self/cgroup").read_text().strip(), **facts()}
    if scope is not None:
        guests = Guests(request, folder)
        seen |= {"fills": guests.run("fills", "arm64", 400), "below": guests.run("below", "arm64", BELOW)}
    os.write(told, json.dumps(seen).encode())


def swap_used() -> int:
    """Bytes of the host's swap in use."""
    lines = Path("/proc/swaps").read_text().splitlines()[1:]
    return sum(int(line.split()[3]) << 10 for line in lines)


def tell(name: str, seen: dict[str, Any]) -> None:
    """One file a result, so that what came before a failure is kept."""
    (_RESULTS / name).write_text(json.dumps(seen))
    sys.stdout.write(f"{time.monotonic():.0f} s: {name}\n")  # the machine's console
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
