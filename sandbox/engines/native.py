"""An ARM host is the device's kin: the same image and sandbox, no emulator. The core is the host's, and said so."""

from __future__ import annotations

import threading

from sandbox.image.emulator import Emulator, host_architecture

from .base import EngineName, Job, Outcome, Problem
from .guard import Guard
from .local import probe_namespaces, run_limited, sandbox_arguments

_RUNS_ON = {"arm64": ("arm64", "armhf"), "amd64": ("amd64",)}


class NativeEngine:
    """Runs jobs of an image of this host's architecture on this host's core."""

    name: EngineName = "native"

    def __init__(self, emulator: Emulator, guard: Guard, architecture: str) -> None:
        self._programs = emulator
        self._guard = guard
        self._architecture = architecture

    def probe(self) -> Problem | None:
        """Whether the image's code runs on this host, and namespaces can be opened."""
        host = host_architecture()
        if self._architecture not in _RUNS_ON[host]:
            return Problem(
                reason=f"this host is {host}, the device's programs are {self._architecture}",
                hint="use --engine local, which emulates the device's core",
            )
        return probe_namespaces(self._programs)

    def command(self, job: Job) -> tuple[str, ...]:
        """See `Engine.command`."""
        return (*self._programs.program("bwrap"), *sandbox_arguments(job, None), *job.argv)

    def run(self, job: Job, cancel: threading.Event) -> Outcome:
        """See `Engine.run`."""
        return run_limited(
            self.command(job), job, cancel, guard=self._guard, env={}, isolation="bubblewrap", emulator=None
        )
