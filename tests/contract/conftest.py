"""The engines under test behind one small face: run a Python snippet in the guest, see how it ended."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox import rundir
from sandbox.engines.base import Engine, EngineName, Job, Mount, Outcome
from sandbox.engines.guard import Guard, guard
from sandbox.engines.replay import ReplayEngine
from sandbox.image.store import BuiltImage
from tests import host
from tests.conftest import need_engine

ENDLESS = "open('started', 'w').close(); import time; time.sleep(600); '{token}'"
"""A snippet that says when it runs, and whose command line holds a token to find it by."""
_RECORDERS: tuple[EngineName, ...] = ("native", "local", "docker")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An engine, an image that it runs, and a folder for the jobs of one test."""

    name: EngineName
    engine: Engine
    image: BuiltImage
    folder: Path
    record: Callable[[Job, threading.Event], None] = field(default=lambda _job, _cancel: None)

    def python(
        self,
        code: str,
        *,
        mounts: tuple[Mount, ...] = (),
        page_size_bytes: int = 4096,
        memory_limit_bytes: int | None = None,
        timeout_seconds: float = 60.0,
    ) -> Job:
        """A job that runs a snippet with the image's Python. Its name is unique on this host."""
        name = f"contract-{uuid.uuid4().hex[:12]}"
        run_dir = self.folder / name
        run_dir.mkdir()
        return Job(
            name=name,
            image=self.image,
            argv=(f"/usr/bin/python{self.image.spec.python}", "-c", code),
            env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
            run_dir=run_dir,
            mounts=mounts,
            cpu="cortex-a72",
            page_size_bytes=page_size_bytes,
            hostname="contract-device",
            memory_limit_bytes=memory_limit_bytes,
            timeout_seconds=timeout_seconds,
        )

    def run(self, job: Job, cancel: threading.Event | None = None) -> Outcome:
        """Run the job to its end."""
        cancel = cancel or threading.Event()
        self.record(job, cancel)
        return self.engine.run(job, cancel)


@pytest.fixture(scope="session")
def protector() -> Iterator[Guard]:
    with guard() as one:
        yield one


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.engine(name)) for name in host.REAL])
def real(request: pytest.FixtureRequest, protector: Guard, tmp_path: Path) -> Subject:
    """Each engine that runs programs."""
    return _real(request.param, protector, tmp_path)


@pytest.fixture(
    params=[
        *(pytest.param(name, marks=pytest.mark.engine(name)) for name in host.REAL),
        pytest.param("replay", marks=pytest.mark.subprocess),
    ]
)
def subject(request: pytest.FixtureRequest, protector: Guard, tmp_path: Path) -> Subject:
    """Each engine. What replay serves is recorded just before, with the first real engine that this host has."""
    if request.param != "replay":
        return _real(request.param, protector, tmp_path)
    recorder = next((name for name in _RECORDERS if host.left_out(name) is None), None)
    if recorder is None:
        need_engine(request.config, "local")
        raise AssertionError("skipped or failed above")
    recorded = tmp_path / "recorded"
    real = host.make_engine(recorder, protector)

    def record(job: Job, cancel: threading.Event) -> None:
        folder = recorded / job.name
        folder.mkdir(parents=True)
        rundir.write_outcome(folder, real.run(dataclasses.replace(job, run_dir=folder), cancel))

    return Subject(
        name="replay",
        engine=ReplayEngine(recorded),
        image=host.image_for(recorder),
        folder=tmp_path,
        record=record,
    )


def _real(name: EngineName, protector: Guard, folder: Path) -> Subject:
    return Subject(name=name, engine=host.make_engine(name, protector), image=host.image_for(name), folder=folder)
