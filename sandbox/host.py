"""Facts about this host that travel with every result, and what ``doctor`` finds."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .engines.base import Problem
from .engines.docker import DockerEngine
from .engines.guard import Guard
from .engines.local import probe_namespaces
from .engines.memory_limit import limit_mechanism, own_limit_bytes
from .errors import SandboxError
from .image.archives import find_sources
from .image.build import ImageBuilder
from .image.emulator import Emulator, host_architecture
from .units import format_size

_AVAILABLE = re.compile(r"^MemAvailable: +(\d+) kB$", re.MULTILINE)
_FREE_BYTES_WANTED = 1 << 30
_MIRROR_HINT = "set EDGE_SANDBOX_MIRROR to a Debian mirror before the first build"


def host_facts() -> dict[str, Any]:
    """What may change wall times and limits: machine, kernel, processors, memory and what is free of it."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "memory_bytes": pages,
        "free_memory_bytes": free_memory_bytes(pages),
    }


def free_memory_bytes(memory_bytes: int, proc: Path = Path("/proc")) -> int:
    """What new programs may use of this host: MemAvailable, or less in a container with a lower limit."""
    try:
        found = _AVAILABLE.search((proc / "meminfo").read_text())
    except OSError:
        found = None
    free = int(found[1]) << 10 if found else memory_bytes
    limit = own_limit_bytes(proc=proc / "self")
    return free if limit is None else min(free, limit)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of ``doctor``."""

    subject: str
    status: Literal["ok", "limited", "missing"]
    detail: str
    hint: str | None = None


def examine(builder: ImageBuilder, guard: Guard) -> Iterator[Finding]:
    """Every check in turn; none stops the others. The first two are needed for any run."""
    yield _architecture()
    yield _cache(builder)
    yield _archives(builder)
    try:
        emulator = builder.emulator()
    except SandboxError as error:
        yield Finding(subject="emulator", status="missing", detail=error.message, hint=error.hint)
        return
    yield Finding(subject="emulator", status="ok", detail=f"QEMU {emulator.version}, {emulator.digest[:12]}")
    yield _engine("engine local", lambda: probe_namespaces(emulator), "bubblewrap, no root, no daemon")
    yield _limit()
    yield _engine("engine docker", lambda: DockerEngine(emulator, guard).probe(), "optional")
    yield _native(emulator)


def _architecture() -> Finding:
    try:
        return Finding(subject="host", status="ok", detail=f"{host_architecture()}, Linux {platform.release()}")
    except SandboxError as error:
        return Finding(subject="host", status="missing", detail=error.message, hint=error.hint)


def _cache(builder: ImageBuilder) -> Finding:
    folder = builder.store.directory
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110  # never raises
    if not existing.is_dir():
        detail = f"{folder}: {existing} is no folder"
        return Finding(subject="cache", status="missing", detail=detail, hint="set EDGE_SANDBOX_CACHE=DIR")
    free = shutil.disk_usage(existing).free
    detail = f"{folder}, {format_size(free)} free"
    if not os.access(existing, os.W_OK):
        return Finding(
            subject="cache", status="missing", detail=f"{detail}, not writable", hint="set EDGE_SANDBOX_CACHE=DIR"
        )
    if free < _FREE_BYTES_WANTED:
        return Finding(subject="cache", status="limited", detail=detail, hint="an image takes about 250 MB")
    return Finding(subject="cache", status="ok", detail=detail)


def _archives(builder: ImageBuilder) -> Finding:
    try:
        sources = find_sources(builder.mirror)
    except OSError as error:
        detail = f"apt's configuration cannot be read: {error.filename}: {error.strerror}"
        return Finding(subject="Debian archive", status="limited", detail=detail, hint=_MIRROR_HINT)
    if not sources.mirrors:
        return Finding(
            subject="Debian archive",
            status="limited",
            detail="apt on this host knows none; built images still work",
            hint=_MIRROR_HINT,
        )
    return Finding(subject="Debian archive", status="ok", detail=f"{len(sources.mirrors)} known")


def _engine(subject: str, probe: Callable[[], Problem | None], good: str) -> Finding:
    try:
        problem = probe()
    except SandboxError as error:
        return Finding(subject=subject, status="limited", detail=error.message, hint=error.hint)
    if problem is None:
        return Finding(subject=subject, status="ok", detail=good)
    return Finding(subject=subject, status="limited", detail=problem.reason, hint=problem.hint)


def _limit() -> Finding:
    mechanism = limit_mechanism()
    if mechanism == "watchdog":
        return Finding(
            subject="memory limit",
            status="limited",
            detail="no memory cgroup that you may use: a watchdog keeps the limit, checking every 10 ms",
            hint="use a systemd user session with cgroup v2, or run as root",
        )
    return Finding(subject="memory limit", status="ok", detail=f"{mechanism}: the kernel keeps it")


def _native(emulator: Emulator) -> Finding:
    if emulator.architecture == "arm64":
        return Finding(subject="engine native", status="ok", detail="this host runs the device's programs itself")
    return Finding(subject="engine native", status="limited", detail="needs a 64-bit ARM host", hint="use engine local")
