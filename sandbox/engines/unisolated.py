"""The local engine without a sandbox, for hosts that close namespaces and models that the user trusts.

The image is only looked up first: QEMU's ``-L`` finds a guest's files below a folder before the host's. The device's
/proc and /sys files lie there too, so the guest still sees the device's core and memory.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping

from sandbox.image.emulator import Emulator

from .base import GUEST_RUN_DIR, EngineName, Job, Outcome, Problem
from .counting import counted
from .guard import Guard
from .local import run_limited

_PREFIX = "prefix"
_OF_THE_DEVICE = ("/proc/", "/sys/")


class UnisolatedEngine:
    """Runs jobs as plain processes of the user: they reach the host's files and network."""

    name: EngineName = "local"

    def __init__(self, emulator: Emulator, guard: Guard) -> None:
        self._emulator = emulator
        self._guard = guard

    def probe(self) -> Problem | None:
        """Nothing is needed but the emulator."""
        return None

    def command(self, job: Job) -> tuple[str, ...]:
        """See `Engine.command`."""
        qemu, _env = self._emulation(job)
        program, *rest = job.argv
        words = (_host_path(word, job) for word in rest)
        return (*qemu, f"{job.image.root}{program}", *words)

    def run(self, job: Job, cancel: threading.Event) -> Outcome:
        """See `Engine.run`."""
        _make_prefix(job)
        _rewrite_request(job)
        _qemu, counting_env = self._emulation(job)
        return run_limited(
            self.command(job),
            job,
            cancel,
            guard=self._guard,
            env={**job.env, **counting_env},
            isolation="none",
            emulator=f"QEMU {self._emulator.version}",
        )

    def _emulation(self, job: Job) -> tuple[tuple[str, ...], Mapping[str, str]]:
        qemu = self._emulator.qemu(job.image.spec.architecture, cpu=job.cpu, page_size_bytes=job.page_size_bytes)
        return counted(job, (*qemu, "-L", str(job.run_dir / _PREFIX)), inside=False)


def _make_prefix(job: Job) -> None:
    """A folder of links to the image's folders, with the device's own /proc and /sys files in it."""
    prefix = job.run_dir / _PREFIX
    prefix.mkdir()
    for entry in job.image.root.iterdir():
        if entry.name not in {"proc", "sys", "tmp", "dev", "run"}:
            (prefix / entry.name).symlink_to(entry)
    for mount in job.mounts:
        if mount.target.startswith(_OF_THE_DEVICE):
            place = prefix / mount.target.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(mount.source)


def _host_path(word: str, job: Job) -> str:
    """A guest path as the host's."""
    places = [(GUEST_RUN_DIR, job.run_dir), *((mount.target, mount.source) for mount in job.mounts)]
    for target, source in places:
        if word == target or word.startswith(f"{target}/"):
            return f"{source}{word[len(target) :]}"
        if word.endswith(f"={target}") or f"={target}/" in word:  # an option such as --massif-out-file=
            return word.replace(f"={target}", f"={source}", 1)
    return word


def _rewrite_request(job: Job) -> None:
    path = job.run_dir / "request.json"
    if path.is_file():
        request = json.loads(path.read_text())
        path.write_text(json.dumps({k: _host_path(v, job) if isinstance(v, str) else v for k, v in request.items()}))
