"""Recorded runs instead of new ones: everything after the engine can be done again from a run folder."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from sandbox import rundir
from sandbox.errors import DataFileError

from .base import Cancelled, EngineName, Job, Outcome, Problem

_NOT_RECORDED = "request.json"
"""What a run is given; the job at hand has its own."""


class ReplayEngine:
    """Answers each job with the files and the outcome that were recorded under its name."""

    name: EngineName = "replay"

    def __init__(self, recorded: Path) -> None:
        self._recorded = recorded

    def probe(self) -> Problem | None:
        """Whether the folder holds at least one recorded job."""
        if any(self._recorded.glob(f"*/{rundir.OUTCOME}")):
            return None
        missing = "is no folder" if not self._recorded.is_dir() else "holds no recorded job"
        return Problem(reason=f"{self._recorded} {missing}", hint="give a run folder that `profile --run-dir` wrote")

    def command(self, job: Job) -> tuple[str, ...]:
        """See `Engine.command`."""
        return ("cp", "-r", f"{self._recorded / job.name}/.", str(job.run_dir))

    def run(self, job: Job, cancel: threading.Event) -> Outcome:
        """See `Engine.run`. Raises `DataFileError` for a job that was not recorded."""
        if cancel.is_set():
            raise Cancelled
        folder = self._recorded / job.name
        if not folder.is_dir():
            raise DataFileError(f"{self._recorded} has no recorded job {job.name!r}", hint="record the run again")
        outcome = rundir.read_outcome(folder)
        if folder.resolve() != job.run_dir.resolve():
            _copy(folder, job.run_dir)
        return outcome


def _copy(folder: Path, run_dir: Path) -> None:
    """Copy plain files and folders: a link in a recorded folder could point anywhere."""
    try:
        for path in sorted(folder.rglob("*")):
            target = run_dir / path.relative_to(folder)
            if path.is_symlink() or target == run_dir / _NOT_RECORDED:
                continue
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif path.is_file():
                shutil.copyfile(path, target)
    except OSError as error:
        raise DataFileError(f"{error.filename}: cannot be copied: {error.strerror}", hint="check the folder") from error
