"""The device's RAM as a limit on this host: a memory cgroup where there is one, else a watchdog that says so.

The limit is the guest's: whoever runs the job adds what the emulator uses, as it is measured, with `MemoryLimit.set`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import process

from .base import LARGEST_FILE_BYTES

_CGROUP_NAME = "edge-sandbox"
_OOM_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_KERNEL = re.compile(r"^kernel (\d+)$", re.MULTILINE)
_KERNEL_PARTS = re.compile(r"^(?:kernel_stack|pagetables|percpu|slab) (\d+)$", re.MULTILINE)
"""Most of it, of kernels before 5.18, which do not tell the sum."""
_ADVANCE_BYTES = 1 << 20
"""Room for charges that the kernel makes in advance."""
EMULATOR_LAG_BYTES = 16 << 20
"""Room for what the emulator adds between two readings: when its table of translated blocks is full, it makes one of
twice the size, 8 MiB for most programs and 16 for the largest."""
_JOIN = ("/bin/sh", "-c", f'ulimit -c 0; ulimit -f {LARGEST_FILE_BYTES // 512}; echo $$ > "$0" && exec "$@"')
"""Starts a program in the cgroup whose procs file is named first (/dev/null joins none), without core dumps, and
unable to fill the disk with one file. POSIX counts such files in blocks of 512 bytes."""
_OCTAL = re.compile(r"\\([0-7]{3})")
_PROC = Path("/proc/self")
_SYSTEMD_RUN = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "-p", "Delegate=yes")


@dataclass(kw_only=True)
class MemoryLimit:
    """A limit that a job is started under: run ``launcher + argv``, then `close`."""

    mechanism: str
    launcher: tuple[str, ...] = (*_JOIN, "/dev/null")
    directory: Path | None = None
    limit_bytes: int | None = None
    lag_bytes: int = 0
    _files: tuple[str, ...] = field(default=(), repr=False)
    _events: str = field(default="", repr=False)
    _kills: int = field(default=0, repr=False)

    @property
    def enforced(self) -> bool:
        """Whether the kernel kills at the limit; when not, the caller must watch."""
        return self.directory is not None

    def set(self, limit_bytes: int) -> None:
        """Move the limit. Raising may be refused by nobody; lowering below use makes the kernel reclaim or kill."""
        self.limit_bytes = limit_bytes
        if self.directory is None:
            return
        # v1 wants memory ≤ memory+swap at every moment, so the order of the two writes follows the direction
        for name in (*self._files, *reversed(self._files)):
            with contextlib.suppress(OSError):
                (self.directory / name).write_text(str(limit_bytes))

    def kills(self) -> int:
        """How many processes the kernel has killed for this limit."""
        if self.directory is not None:
            with contextlib.suppress(OSError):
                found = _OOM_KILLS.search((self.directory / self._events).read_text())
                self._kills = max(self._kills, int(found[1]) if found else 0)
        return self._kills

    def room_bytes(self) -> int:
        """What the limit must leave beside the processes' pages: the kernel's own memory, charged to the cgroup too."""
        return _ADVANCE_BYTES + self.lag_bytes + self._kernel_bytes()

    def _kernel_bytes(self) -> int:
        """Page tables and other structures that the kernel keeps for these processes; 0 where it does not tell."""
        if self.directory is None:
            return 0
        with contextlib.suppress(OSError, ValueError):
            return int((self.directory / "memory.kmem.usage_in_bytes").read_text())
        stat = _read(self.directory / "memory.stat")
        found = _KERNEL.search(stat)
        return int(found[1]) if found else sum(map(int, _KERNEL_PARTS.findall(stat)))

    def close(self) -> None:
        """Remove the cgroup. Its processes are gone by now; the kernel may need a moment to notice."""
        if self.directory is not None:
            remove_cgroup(self.directory)


def open_limit(name: str, limit_bytes: int | None, *, emulated: bool = False, proc: Path = _PROC) -> MemoryLimit:
    """A limit of ``limit_bytes`` by the best means this host offers; ``name`` must be unique on the host.

    ``emulated``: the limit will follow what an emulator uses. ``proc`` is where ``cgroup`` and ``mountinfo`` of this
    process are.
    """
    if limit_bytes is None:
        return MemoryLimit(mechanism="none")
    for parent, version in _writable_parents(proc):
        with contextlib.suppress(OSError):
            limit = _open_cgroup(parent / f"{_CGROUP_NAME}-{name}", version, limit_bytes)
            limit.lag_bytes = EMULATOR_LAG_BYTES if emulated else 0
            return limit
    return MemoryLimit(mechanism="watchdog", limit_bytes=limit_bytes)


def limit_mechanism() -> str:
    """What `open_limit` would use on this host: tried, not guessed."""
    limit = open_limit(f"probe-{os.getpid()}", 1 << 30)
    limit.close()
    return limit.mechanism


def own_limit_bytes(*, proc: Path = _PROC) -> int | None:
    """The lowest memory limit of the cgroups that this process is in, such as a container's; None without one."""
    found = []
    for version, top, own in memory_hierarchies(_read(proc / "cgroup"), _read(proc / "mountinfo")):
        name = "memory.limit_in_bytes" if version == 1 else "memory.max"
        folders = [folder for folder in (own, *own.parents) if folder.is_relative_to(top)]
        texts = (_read(folder / name).strip() for folder in folders)
        found += [int(text) for text in texts if text.isdecimal()]  # v2 says "max" for none, v1 a number beyond any RAM
    return min(found, default=None)


def remove_cgroup(directory: Path) -> None:
    """Remove a cgroup of ours, waiting up to a second for its dead processes to be reaped."""
    for _attempt in range(50):
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)
        else:
            return


def delegated_scope() -> tuple[str, ...]:
    """The argv prefix that starts this tool again in a cgroup v2 scope of its own, or () where none is needed or had.

    A user without rights on its own cgroup gets one from its systemd: a scope with ``Delegate=yes``.
    """
    cgroup2 = any(version == 2 for version, _own in _usable_hierarchies(_PROC))
    own_scope = os.environ.get("EDGE_SANDBOX_SCOPE")
    if own_scope or not cgroup2 or _writable_parents(_PROC) or not shutil.which("systemd-run"):
        return ()
    probe = process.run([*_SYSTEMD_RUN, "true"], timeout=5)
    return (*_SYSTEMD_RUN, "--setenv=EDGE_SANDBOX_SCOPE=1") if probe.returncode == 0 else ()


def settle_in_scope(*, proc: Path = _PROC) -> None:
    """Step aside into a leaf of our own scope, so that the jobs' cgroups beside it can have the memory controller.

    A cgroup with processes in it hands no controller down, so this comes before anything else is started.
    """
    if not os.environ.get("EDGE_SANDBOX_SCOPE"):
        return
    for version, own in _usable_hierarchies(proc):
        if version == 2 and _read(own / "cgroup.procs").split() == [str(os.getpid())]:
            with contextlib.suppress(OSError):
                leaf = own / f"{_CGROUP_NAME}-tool"
                leaf.mkdir()
                (leaf / "cgroup.procs").write_text(str(os.getpid()))
                (own / "cgroup.subtree_control").write_text("+memory")


def _open_cgroup(directory: Path, version: int, limit_bytes: int) -> MemoryLimit:
    directory.mkdir()
    join = (*_JOIN, str(directory / "cgroup.procs"))
    if version == 1:
        files: tuple[str, ...] = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        events = "memory.oom_control"
        if not (directory / files[1]).exists():  # the kernel was started without swap accounting
            files = files[:1]
    else:
        files, events = ("memory.max",), "memory.events"
    try:
        if (directory / "memory.swap.max").exists():  # v2, unless the kernel was started without swap accounting
            (directory / "memory.swap.max").write_text("0")
        (directory / files[0]).write_text(str(limit_bytes))
    except OSError:
        remove_cgroup(directory)
        raise
    limit = MemoryLimit(
        mechanism=f"cgroup v{version}", launcher=join, directory=directory, _files=files, _events=events
    )
    limit.set(limit_bytes)
    return limit


def _writable_parents(proc: Path) -> list[tuple[Path, int]]:
    found = []
    for version, own in _usable_hierarchies(proc):
        parents = [own]
        if version == 2:  # a cgroup has processes or hands controllers down, not both: from a leaf, the one above does
            parents = [p for p in (own, own.parent) if "memory" in _read(p / "cgroup.subtree_control").split()]
        found += [(parent, version) for parent in parents if os.access(parent, os.W_OK | os.X_OK)]
    return found


def _usable_hierarchies(proc: Path) -> list[tuple[int, Path]]:
    """(cgroup version, this process's folder) of every hierarchy that can limit memory."""
    found = memory_hierarchies(_read(proc / "cgroup"), _read(proc / "mountinfo"))
    controllers = {top: _read(top / "cgroup.controllers").split() for version, top, _own in found if version == 2}
    return [(version, own) for version, top, own in found if version == 1 or "memory" in controllers[top]]


def memory_hierarchies(cgroup_text: str, mountinfo_text: str) -> list[tuple[int, Path, Path]]:
    """(cgroup version, mount point, this process's folder) of every hierarchy that may limit memory.

    The texts are those of /proc/self/cgroup and /proc/self/mountinfo, see cgroups(7) and proc(5).
    """
    own = {}
    for line in cgroup_text.splitlines():
        _number, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    found = []
    for line in mountinfo_text.splitlines():
        head, _, tail = line.partition(" - ")
        root, mount_point = (_OCTAL.sub(lambda code: chr(int(code[1], 8)), word) for word in head.split(" ")[3:5])
        kind, _source, options = tail.split(" ", 2)  # the source may be empty
        if kind == "cgroup" and "memory" in options.split(","):
            found.append((1, Path(mount_point), _below(mount_point, root, own.get("memory", "/"))))
        elif kind == "cgroup2":
            found.append((2, Path(mount_point), _below(mount_point, root, own.get("", "/"))))
    return found


def _below(mount_point: str, root: str, path: str) -> Path:
    relative = os.path.relpath(path, root)
    inside = not relative.startswith("..")
    return Path(mount_point) / relative if inside else Path(mount_point)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
