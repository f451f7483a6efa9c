"""What every engine takes and gives: a job, an outcome, a probe, and the interface."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from sandbox.image.store import BuiltImage

EngineName = Literal["local", "docker", "native", "replay"]

GUEST_RUN_DIR = "/edge/run"
"""Where a job's run folder is in the guest: the one place the guest can write to, beside /tmp."""

GUEST_PLUGIN, GUEST_CLOCK_LIBRARY, GUEST_FAULT_LIBRARY = "/edge/plugin.so", "/edge/clock.so", "/edge/fault.so"
"""Where a job's mounts put the native parts."""

FAULT = "fault.txt"
"""The file in a job's run folder in which the guest says where it met an illegal instruction."""

COUNTS = "counts"
"""The folder of counter files in a job's run folder."""

LARGEST_FILE_BYTES = 4 << 30
"""No file that the guest writes, its output included, grows beyond this: a model must not fill the host's disk."""


class Cancelled(Exception):
    """The user interrupted the run; what was started is gone."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A host file or folder that the guest sees, read-only."""

    source: Path
    target: str


@dataclass(frozen=True, kw_only=True)
class Counting:
    """How an emulated job's instructions are counted (images/plugin), and what its clock makes of them."""

    plugin: Path
    """The plugin for this host's emulator."""
    clock_library: Path
    """The clock library for this guest."""
    clock: bool
    """Whether the guest reads its clocks from the counts."""
    tick_ns: tuple[int, int]
    """Nanoseconds that an instruction takes on that clock, as numerator and denominator."""
    caches: str | None = None
    """Caches to model, as the plugin's ``caches`` option has them."""
    fault_library: Path | None = None
    """The library that writes `FAULT`, for this guest; without it an illegal instruction only has a signal."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One program to run on the emulated device. Paths in ``argv`` and ``env`` are the guest's."""

    name: str
    image: BuiltImage
    argv: tuple[str, ...]
    env: Mapping[str, str]
    run_dir: Path
    """Host folder that becomes `GUEST_RUN_DIR`, the only writable one."""
    mounts: tuple[Mount, ...]
    cpu: str
    """The emulator's name of the core."""
    page_size_bytes: int
    hostname: str
    memory_limit_bytes: int | None
    """What the guest alone may use before the kernel kills it; what the emulator uses comes on top."""
    timeout_seconds: float
    counting: Counting | None = None
    """Without it, or without an emulator, nothing is counted and the clock is the host's."""
    cwd: str = GUEST_RUN_DIR
    stops_at_gate: bool = False
    """Whether the program is our runner, which waits to have its memory read before it reports: see `engines.gate`."""
    attached: bool = False
    """Whether the program talks to the tool's own standard streams; else it reads nothing and `Outcome.stderr` has the
    end of what it printed."""


@dataclass(frozen=True, kw_only=True)
class MemoryTrace:
    """Resident memory of a run, the guest's and the emulator's told apart, in bytes."""

    samples: tuple[tuple[float, int, int], ...] = ()
    """(seconds since start, guest's highest since the sample before, emulator), at each new maximum and every quarter
    second."""
    started_seconds: float = 0.0
    """The start, on the monotonic clock that guest and host share."""
    guest_peak_bytes: int | None = None
    """The highest, also of moments between two samples: by the kernel's own high-water mark."""
    guest_peak_high_bytes: int | None = None
    """No more than this: as above with the emulator's smallest share around the peak."""
    guest_files_bytes: int | None = None
    """Of the guest's memory around its peak, pages of files; the kernel can drop and read them again."""
    guest_own_bytes: int | None = None
    """The most of the guest's pages that are of no file, of all moments that were looked at."""
    emulator_bytes: int | None = None
    """The emulator's share when the guest was at its peak."""
    unavailable: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended. Nothing in here is an error of the tool: a dead guest is a result."""

    exit_code: int | None
    """The guest's exit status; None when a signal or the tool ended it."""
    signal: int | None = None
    timed_out: bool = False
    out_of_memory: bool = False
    """The limit ended the guest, by ``limit_mechanism``."""
    limit_mechanism: str
    """What enforced the memory limit: ``cgroup v1``, ``cgroup v2``, ``docker``, ``watchdog``, ``none``."""
    isolation: str
    """What the guest was shut in: ``bubblewrap``, ``docker``, ``none``."""
    emulator: str | None
    """Emulator and version, or None where the device's code ran on the host's own core."""
    seconds: float
    """Wall time on the host, start-up of the emulator included."""
    stderr: str = ""
    memory: MemoryTrace = field(default_factory=MemoryTrace)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why an engine cannot work on this host, and what opens it."""

    reason: str
    hint: str


class Engine(Protocol):
    """Runs jobs on an emulated or real device."""

    name: EngineName

    def probe(self) -> Problem | None:
        """What keeps this engine from working here, or None."""
        ...

    def command(self, job: Job) -> tuple[str, ...]:
        """The command line that `run` would use, for people."""
        ...

    def run(self, job: Job, cancel: threading.Event) -> Outcome:
        """Run the job to its end; afterwards nothing of it is left but the run folder.

        Raises `Cancelled` once ``cancel`` is set, `HostError` when the host cannot start it.
        """
        ...


def signal_of(returncode: int) -> tuple[int | None, int | None]:
    """(exit status, signal) from a wait status: shells and sandboxes report a signal as 128 + its number."""
    if returncode < 0:
        return None, -returncode
    if 128 < returncode <= 192:
        return None, returncode - 128
    return returncode, None
