"""The replay engine's own promises; that it serves what the others did is shown in `test_engines`."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sandbox import rundir
from sandbox.engines.base import Cancelled, Job, Outcome
from sandbox.engines.replay import ReplayEngine
from sandbox.errors import DataFileError
from tests import host

OUTCOME = Outcome(exit_code=0, limit_mechanism="none", isolation="none", emulator=None, seconds=1.0)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    folder = tmp_path / "recorded" / "latency"
    (folder / "more").mkdir(parents=True)
    rundir.write_outcome(folder, OUTCOME)
    (folder / "runner.json").write_text("{}")
    (folder / "request.json").write_text("recorded")
    (folder / "more" / "file").write_text("deep")
    (folder / "link").symlink_to("/etc/passwd")
    return tmp_path / "recorded"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "request.json").write_text("own")
    return Job(
        name="latency",
        image=host.described(host.DEVICE_IMAGE, tmp_path),
        argv=("/usr/bin/env",),
        env={},
        run_dir=run_dir,
        mounts=(),
        cpu="cortex-a72",
        page_size_bytes=4096,
        hostname="device",
        memory_limit_bytes=None,
        timeout_seconds=1,
    )


def test_serves_files_and_outcome(recorded: Path, job: Job) -> None:
    engine = ReplayEngine(recorded)
    assert engine.probe() is None
    assert engine.run(job, threading.Event()) == OUTCOME
    assert (job.run_dir / "runner.json").read_text() == "{}"
    assert (job.run_dir / "more" / "file").read_text() == "deep"
    assert (job.run_dir / "request.json").read_text() == "own"
    assert not (job.run_dir / "link").exists()
    assert str(recorded) in " ".join(engine.command(job))


def test_a_folder_can_be_replayed_onto_itself(recorded: Path, job: Job) -> None:
    own = recorded / "latency"
    assert ReplayEngine(recorded).run(Job(**{**vars(job), "run_dir": own}), threading.Event()) == OUTCOME
    assert (own / "runner.json").read_text() == "{}"


def test_refuses_what_was_not_recorded(recorded: Path, job: Job) -> None:
    with pytest.raises(DataFileError, match="no recorded job 'heap'"):
        ReplayEngine(recorded).run(Job(**{**vars(job), "name": "heap"}), threading.Event())
    (recorded / "latency" / "outcome.json").write_text("{")
    with pytest.raises(DataFileError, match="damaged"):
        ReplayEngine(recorded).run(job, threading.Event())


def test_probe_tells_a_missing_folder_from_an_empty_one(tmp_path: Path) -> None:
    missing, empty = ReplayEngine(tmp_path / "none").probe(), ReplayEngine(tmp_path).probe()
    assert missing is not None
    assert "is no folder" in missing.reason
    assert empty is not None
    assert "no recorded job" in empty.reason


def test_an_interruption_counts(recorded: Path, job: Job) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        ReplayEngine(recorded).run(job, cancel)
