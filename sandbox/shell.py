"""Any program on the emulated device: its image, core, memory and clock, without a model or a report."""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import native, rundir
from .budget import budget
from .device import DeviceSpec, OsChoice, load_device, select_os
from .engines.base import (
    COUNTS,
    GUEST_CLOCK_LIBRARY,
    GUEST_PLUGIN,
    Counting,
    Engine,
    Job,
    Mount,
    Outcome,
)
from .engines.guard import Guard
from .engines.local import LocalEngine
from .engines.native import NativeEngine
from .errors import DataFileError, HostError, UsageError
from .image.build import ImageBuilder
from .image.emulator import host_architecture
from .image.store import BuiltImage
from .plan import core_tick
from .profilers.counts import Counters, parse_counters
from .resources import data_directory

GUEST_SHARE = "/edge/share"
"""Where the guest sees the shared folder, read-only."""

_PATH = ("usr/local/bin", "usr/bin", "bin")
_LONGEST_SHEBANG = 255
_MOST_LINKS = 40  # as Linux follows


@dataclass(frozen=True, kw_only=True)
class ShellRequest:
    """What the user asked for."""

    device: str
    command: tuple[str, ...]
    """Empty: the image's Python."""
    share: Path
    """Host folder that the program finds itself in, read-only."""
    os: str | None = None
    runtime: str | None = None
    """``name`` or ``name@version`` to have on the Python path; None: all that the image has."""
    memory_bytes: int | None = None
    timeout_seconds: float = float("inf")


@dataclass(frozen=True, kw_only=True)
class ShellOutcome:
    """How it went."""

    outcome: Outcome
    processes: tuple[tuple[int, Counters], ...]
    """(process number in the guest, its counters) of all that were counted."""
    tick_ns: tuple[int, int]


def run_shell(request: ShellRequest, run_dir: Path, builder: ImageBuilder, protector: Guard) -> ShellOutcome:
    """Run the command to its end, on the standard streams of this process. ``run_dir`` is what it can write to.

    Raises `UsageError` for a program that the device has not, `HostError` for a host that cannot emulate or whose disk
    is full.
    """
    device = load_device(request.device, data_directory("device_specs"))
    os = select_os(device, request.os)
    image, python_path = _image(request, os, builder)
    command = _command(request, image)
    emulator = builder.emulator()
    emulated = host_architecture() != "arm64" or image.spec.architecture == "amd64"
    engine: Engine = (
        LocalEngine(emulator, protector) if emulated else NativeEngine(emulator, protector, image.spec.architecture)
    )
    problem = engine.probe()
    if problem is not None:
        raise HostError(f"engine {engine.name}: {problem.reason}", hint=problem.hint)
    with rundir.on_disk(run_dir):
        (run_dir / COUNTS).mkdir(parents=True, exist_ok=True)
        job = _job(request, command, device=device, os=os, image=image, run_dir=run_dir, python_path=python_path)
        rundir.require_room(run_dir)
        outcome = engine.run(job, threading.Event())
    return ShellOutcome(outcome=outcome, processes=_processes(run_dir / COUNTS), tick_ns=core_tick(device))


def _image(request: ShellRequest, os: OsChoice, builder: ImageBuilder) -> tuple[BuiltImage, str]:
    """The image, and the Python path that its runtimes need."""
    if request.runtime is None:
        image = builder.build(os.image)
        offered = [(r.name, version) for r in image.spec.runtimes for version in image.lock.runtime_versions(r.name)]
        return image, ":".join(f"/opt/{name}-{version}" for name, version in offered)
    name, _, version = request.runtime.partition("@")
    image = builder.with_runtime(os.image, name, version or None)
    return image, f"/opt/{name}-{version or image.lock.runtime_versions(name)[0]}"


def _job(
    request: ShellRequest,
    command: tuple[str, ...],
    *,
    device: DeviceSpec,
    os: OsChoice,
    image: BuiltImage,
    run_dir: Path,
    python_path: str,
) -> Job:
    limit = budget(device, os, request.memory_bytes).limit_bytes
    identity = rundir.write_identity(run_dir, device, os, limit)
    plugin, clock = native.plugin(host_architecture()), native.clock_library(image.spec.architecture)
    mounts = (
        Mount(source=request.share, target=GUEST_SHARE),
        Mount(source=identity / "meminfo", target="/proc/meminfo"),
        Mount(source=identity / "cpuinfo", target="/proc/cpuinfo"),
        Mount(source=identity / "cpu", target="/sys/devices/system/cpu"),
        Mount(source=plugin, target=GUEST_PLUGIN),
        Mount(source=clock, target=GUEST_CLOCK_LIBRARY),
    )
    return Job(
        name="shell",
        image=image,
        argv=command,
        env={"PYTHONPATH": python_path, "HOME": "/tmp", "LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"},
        run_dir=run_dir,
        mounts=mounts,
        cpu=os.emulated_cpu,
        page_size_bytes=os.page_size_bytes,
        hostname=device.id,
        memory_limit_bytes=limit,
        timeout_seconds=request.timeout_seconds,
        counting=Counting(plugin=plugin, clock_library=clock, clock=True, tick_ns=core_tick(device)),
        cwd=GUEST_SHARE,
        attached=True,
    )


def _command(request: ShellRequest, image: BuiltImage) -> tuple[str, ...]:
    """The argv with the program's path, and a script's interpreter before it: QEMU looks for neither."""
    if not request.command:
        return (f"/usr/bin/python{image.spec.python}",)
    name, *rest = request.command
    found = _find(name, request.share, image.root)
    if found is None:
        raise UsageError(
            f"{name}: the device has no such program",
            hint=f"it has Python {image.spec.python} and what lies in {request.share}; a file there is ./NAME",
        )
    inside, host = found
    with host.open("rb") as file:
        first = file.readline(_LONGEST_SHEBANG)
    if not first.startswith(b"#!"):
        return (inside, *rest)
    interpreter, _, argument = first[2:].decode(errors="replace").strip().partition(" ")
    if interpreter == "/usr/bin/env":  # not in every image
        interpreter, argument = argument.strip(), ""
    found = _find(interpreter, request.share, image.root)
    if found is None:
        raise UsageError(f"{name}: its interpreter {interpreter} is not on the device", hint="start it by another")
    return (found[0], *([argument.strip()] if argument.strip() else []), inside, *rest)


def _find(name: str, share: Path, root: Path) -> tuple[str, Path] | None:
    """(path in the guest, file on this host) of a program, by path or by name."""
    if name.startswith("/"):
        places = [(name, root / name.lstrip("/"))]
    elif "/" in name:
        inside = posixpath.normpath(f"{GUEST_SHARE}/{name}")
        if not inside.startswith(f"{GUEST_SHARE}/"):
            return None  # beside the shared folder: the guest does not see it
        places = [(inside, share / inside.removeprefix(f"{GUEST_SHARE}/"))]
    else:
        places = [(f"/{folder}/{name}", root / folder / name) for folder in _PATH]
    for inside, host in places:
        file = _followed(host, root)
        if not file.is_symlink() and file.is_file():
            return inside, file
    return None


def _followed(path: Path, root: Path) -> Path:
    """Where the guest's links lead: absolute ones start at the image's root."""
    for _link in range(_MOST_LINKS):
        if not path.is_symlink():
            break
        target = path.readlink()
        path = root / target.relative_to("/") if target.is_absolute() else path.parent / target
    return path


def _processes(folder: Path) -> tuple[tuple[int, Counters], ...]:
    found = []
    for path in folder.glob("*.counts"):
        try:
            found.append((int(path.stem), parse_counters(rundir.read_guest_file(path))))
        except (OSError, ValueError, DataFileError):
            continue
    return tuple(sorted(found, key=lambda entry: entry[0]))


def seconds(counters: Sequence[Counters], tick_ns: tuple[int, int]) -> float:
    """CPU time of processes on the device's clock."""
    retired = sum(thread.retired for process in counters for thread in process.threads)
    return retired * tick_ns[0] / tick_ns[1] / 1e9
