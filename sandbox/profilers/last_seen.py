"""What the counter files of a run that was killed still tell: they are mapped, and outlive the process."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox import rundir
from sandbox.engines.base import COUNTS
from sandbox.errors import DataFileError

from .counts import Counters, parse_counters

_COUNTER_FILE = re.compile(r"([1-9][0-9]{0,6})\.counts")


@dataclass(frozen=True, kw_only=True)
class LastSeen:
    """The last that was seen of a run before the kernel killed it."""

    asked_bytes: int = 0
    """What it had last asked the kernel for, to 4 KiB; 0 where that was not seen."""
    operator: tuple[int, int] | None = None
    """(subgraph, index) of the operator that ran."""


def last_seen(run_dir: Path, phase: str) -> LastSeen:
    """Of a profile whose latency run was killed in ``phase``.

    That run has no profiler. The operator run has one, under the same limit: what it ran when it was killed too, in the
    same phase, stands for both.
    """
    counters = _counters(run_dir / "latency")
    return LastSeen(
        asked_bytes=counters.asked_bytes if counters else 0, operator=_operator(run_dir / "operators", phase)
    )


def _operator(job_dir: Path, phase: str) -> tuple[int, int] | None:
    try:
        outcome = rundir.read_outcome(job_dir)
    except DataFileError:  # it was not made
        return None
    phases: Sequence[tuple[str, float]] = rundir.read_phases(job_dir)
    counters = _counters(job_dir)
    if counters is None or not outcome.out_of_memory or not phases or phases[-1][0] != phase:
        return None
    return next((thread.operator for thread in counters.threads if thread.operator is not None), None)


def _counters(job_dir: Path) -> Counters | None:
    """Those of the job's first process."""
    try:
        found = [match for path in (job_dir / COUNTS).iterdir() if (match := _COUNTER_FILE.fullmatch(path.name))]
        first = min(found, key=lambda match: int(match[1]), default=None)
        return parse_counters(rundir.read_guest_file(job_dir / COUNTS / first[0])) if first else None
    except (OSError, DataFileError):
        return None
