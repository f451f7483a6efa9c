"""The order of a profile, without an engine: recorded runs judged again, and jobs side by side on one made up here."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from sandbox import rundir
from sandbox.calibration import load_calibrations, read_any_calibration
from sandbox.engines.base import Cancelled, EngineName, Job, Outcome, Problem
from sandbox.engines.guard import Guard
from sandbox.errors import DataFileError, HostError, SandboxError, UsageError
from sandbox.fit import digest, render_calibration
from sandbox.image.build import ImageBuilder
from sandbox.image.store import Store
from sandbox.pipeline import Plan, choose_engine, keep_calibration, profile, run_jobs
from sandbox.plan import ProfileRequest
from sandbox.progress import Advance, Silent
from tests import host, zoo
from tests.record_runs import MICROCONTROLLERS, PROJECT, RECORDINGS, RUNS
from tests.unit.recorded import NAMES, copy, result

PATIENCE = 10.0
WELL = Outcome(exit_code=0, limit_mechanism="cgroup v2", isolation="bubblewrap", emulator="QEMU 7.2", seconds=1.0)
NOWHERE = Path("/nonexistent")
SHIPPED = load_calibrations(PROJECT / "calibration")


def no_builder() -> ImageBuilder:
    """A builder that has nothing to build from: to judge again needs none."""
    return ImageBuilder(images=NOWHERE, store=Store(NOWHERE), progress=Silent())


def model_of(name: str, folder: Path) -> Path:
    """The model of a recorded run."""
    model = {**RECORDINGS, **MICROCONTROLLERS}[name].model
    if model.startswith("examples/"):
        return PROJECT / model
    path = folder / model
    path.write_bytes(zoo.make(model))
    return path


def replay(model: Path, run_dir: Path, *, device: str = "rpi4b", calibration: Path | None = None) -> Any:
    request = ProfileRequest(model=model, device=device, engine="replay", calibration=calibration)
    return profile(request, run_dir, no_builder(), Guard(io.BytesIO()))


# Replay


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_run_is_judged_again(tmp_path: Path, name: str) -> None:
    before = sorted(path.stat().st_mtime_ns for path in (RUNS / name).rglob("*"))
    assert replay(model_of(name, tmp_path), RUNS / name) == result(name)
    assert sorted(path.stat().st_mtime_ns for path in (RUNS / name).rglob("*")) == before, "nothing is written"


@pytest.mark.parametrize(("name", "device"), [("calibrated", "rpi4b"), ("microcontroller", "nucleo-l4r5zi")])
def test_a_budget_may_be_asked_of_a_recorded_run(tmp_path: Path, name: str, device: str) -> None:
    request = ProfileRequest(
        model=model_of(name, tmp_path),
        device=device,
        engine="replay",
        latency_budget_seconds=1e-6,
    )
    found = profile(request, RUNS / name, no_builder(), Guard(io.BytesIO()))
    assert [check.status for check in found.checks if check.id == "latency"] == ["fail"]
    assert found.verdict.status == "not_ready"


def slower(folder: Path) -> Path:
    """A user's calibration with a shipped one's id, and twice its cycles."""
    (shipped,) = (each for each in SHIPPED if each.id == "rpi4b/tflite-runtime-2.14.0-xnnpack-fp32-1t")
    path = folder / "mine.json"
    mine = shipped.model_copy(update={"cycles_per_slot": 2 * shipped.cycles_per_slot, "seconds_per_weight_byte": 0.0})
    path.write_text(render_calibration(mine))
    return path


def test_a_named_calibration_takes_the_place_of_the_shipped_ones(tmp_path: Path) -> None:
    mine = slower(tmp_path)
    found = replay(model_of("calibrated", tmp_path), RUNS / "calibrated", calibration=mine).latency
    before: Any = result("calibrated").latency
    assert 1.7 < found.mean.value / before.mean.value < 2.1
    assert found.calibration.digest == digest(mine.read_bytes()) != before.calibration.digest
    assert found.calibration.rows == ()
    assert found.calibration.notes[0].startswith("named with --calibration")


def test_a_kept_run_keeps_its_calibration(tmp_path: Path) -> None:
    mine, kept = slower(tmp_path), copy("calibrated", tmp_path)
    keep_calibration(kept, read_any_calibration(mine), "local")
    again = replay(model_of("calibrated", tmp_path), kept)
    assert again.latency == replay(model_of("calibrated", tmp_path), RUNS / "calibrated", calibration=mine).latency
    (kept / rundir.CALIBRATION).write_text("{}")
    with pytest.raises(DataFileError, match=r"calibration\.json: id"):
        replay(model_of("calibrated", tmp_path), kept)


def test_a_calibration_of_other_kernels_leaves_only_counts(tmp_path: Path) -> None:
    name = "rpi4b/ai-edge-litert-2.3.0-ruy-fp32-4t"
    path = PROJECT / "calibration" / f"{name}.json"
    found = replay(model_of("calibrated", tmp_path), RUNS / "calibrated", calibration=path).latency
    assert found.calibration is None
    assert f"--calibration {name} does not serve this run: no calibration is for xnnpack" in found.mean.unavailable
    assert found.counts == result("calibrated").latency.counts


def test_a_run_that_failed_says_so_and_blames_no_calibration(tmp_path: Path) -> None:
    found = replay(model_of("out_of_memory", tmp_path), RUNS / "out_of_memory", calibration=slower(tmp_path)).latency
    assert found.mean.unavailable == "the model did not run to its end"


def test_measured_times_take_no_calibration(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the native engine counts nothing"):
        keep_calibration(tmp_path, SHIPPED[0], "native")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("engine", ["replay", "auto"])
def test_a_microcontroller_takes_no_calibration_of_cores_with_linux(
    tmp_path: Path, engine: Literal["auto", "replay"]
) -> None:
    model, mine = model_of("microcontroller", tmp_path), slower(tmp_path)
    request = ProfileRequest(model=model, device="nucleo-l4r5zi", engine=engine, calibration=mine)
    with pytest.raises(UsageError, match="--calibration is for Linux devices: nucleo-l4r5zi is a microcontroller"):
        profile(request, RUNS / "microcontroller", no_builder(), Guard(io.BytesIO()))


@pytest.mark.parametrize("device", ["device_specs/rpi4b.toml", "./rpi4b.toml"])
def test_a_device_may_be_named_by_its_file_then_too(device: str) -> None:
    assert replay(PROJECT / RECORDINGS["ready"].model, RUNS / "ready", device=device) == result("ready")


def test_another_model_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "tiny.onnx"
    model.write_bytes(zoo.make(model.name))
    with pytest.raises(DataFileError, match="was recorded for another model: 5e32c5b1afb5") as caught:
        replay(model, RUNS / "ready")
    assert caught.value.hint == "record it again"


@pytest.mark.parametrize("device", ["rpi5", "RPI4B", "boards/rpi4b-2gb.toml", ""])
def test_another_device_is_refused(device: str) -> None:
    with pytest.raises(DataFileError, match="was recorded for another device: rpi4b, not "):
        replay(PROJECT / RECORDINGS["ready"].model, RUNS / "ready", device=device)


def test_what_is_no_recorded_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="is not a run folder"):
        replay(PROJECT / RECORDINGS["ready"].model, tmp_path)
    with pytest.raises(DataFileError, match=r"model\.tflite"):
        replay(tmp_path / "model.tflite", RUNS / "ready")


# Jobs side by side

Behaviour = Callable[[Job, threading.Event], Outcome]


class Actor:
    """An engine that does with each job what the test says."""

    name: EngineName = "local"

    def __init__(self, roles: Mapping[str, Behaviour]) -> None:
        self._roles = roles

    def probe(self) -> Problem | None:
        return None

    def command(self, job: Job) -> tuple[str, ...]:
        return ("act", job.name)

    def run(self, job: Job, cancel: threading.Event) -> Outcome:
        return self._roles[job.name](job, cancel)


class Watched:
    """Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, float | None]] = []
        self.done = 0.0

    @contextlib.contextmanager
    def task(
        self, text: str, *, total: float | None = None, expected_seconds: float | None = None
    ) -> Iterator[Advance]:
        assert expected_seconds is None
        self.tasks.append((text, total))
        yield self._advance

    def warn(self, text: str) -> None:
        raise AssertionError(text)

    def _advance(self, amount: float) -> None:
        self.done += amount


def works(job: Job, _cancel: threading.Event) -> Outcome:
    (job.run_dir / "runner.json").write_text('{"error": null}')
    return WELL


def until_cancelled(_job: Job, cancel: threading.Event) -> Outcome:
    assert cancel.wait(PATIENCE), "never cancelled"
    raise Cancelled


def fails(_job: Job, _cancel: threading.Event) -> Outcome:
    return replace(WELL, exit_code=None, signal=4)


def breaks(_job: Job, _cancel: threading.Event) -> Outcome:
    raise HostError("no space left", hint="make room")


def run(folder: Path, **roles: Behaviour) -> Watched:
    """Run a job of each name."""
    jobs = []
    for name in roles:
        (folder / name).mkdir()
        jobs.append(
            Job(
                name=name,
                image=host.described(host.DEVICE_IMAGE, folder),
                argv=(),
                env={},
                run_dir=folder / name,
                mounts=(),
                cpu="cortex-a72",
                page_size_bytes=4096,
                hostname="device",
                memory_limit_bytes=None,
                timeout_seconds=1,
            )
        )
    device = type("Device", (), {"id": "rpi4b"})()
    plan = type("PlanOfJobs", (), {"engine": Actor(roles), "jobs": tuple(jobs), "device": device})()
    progress = Watched()
    run_jobs(cast("Plan", plan), progress)
    return progress


def recorded(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob(f"*/{rundir.OUTCOME}")}


def test_jobs_run_side_by_side_and_leave_their_outcomes(tmp_path: Path) -> None:
    together = threading.Barrier(3, timeout=PATIENCE)

    def meets(job: Job, cancel: threading.Event) -> Outcome:
        together.wait()
        return works(job, cancel)

    progress = run(tmp_path, latency=meets, operators=meets, heap=meets)
    assert recorded(tmp_path) == {"latency", "operators", "heap"}
    assert rundir.read_outcome(tmp_path / "heap") == WELL
    assert progress.tasks == [("running latency, operators, heap on rpi4b", 3)]
    assert progress.done == 3


def test_when_the_model_fails_the_others_are_stopped(tmp_path: Path) -> None:
    progress = run(tmp_path, latency=fails, operators=until_cancelled, heap=until_cancelled)
    assert recorded(tmp_path) == {"latency"}
    assert rundir.read_outcome(tmp_path / "latency").signal == 4
    assert progress.done == 3


def test_a_profiler_that_fails_stops_nothing(tmp_path: Path) -> None:
    over = threading.Event()

    def fails_first(job: Job, cancel: threading.Event) -> Outcome:
        over.set()
        return fails(job, cancel)

    def works_last(job: Job, cancel: threading.Event) -> Outcome:
        assert over.wait(PATIENCE)
        assert not cancel.wait(0.5)
        return works(job, cancel)

    run(tmp_path, latency=works_last, operators=works_last, heap=fails_first)
    assert recorded(tmp_path) == {"latency", "operators", "heap"}


@pytest.mark.parametrize("broken", ["latency", "heap"])
def test_an_engine_that_breaks_is_an_error_and_stops_the_rest(tmp_path: Path, broken: str) -> None:
    stopped: list[str] = []

    def notes(job: Job, cancel: threading.Event) -> Outcome:
        assert cancel.wait(PATIENCE), "never cancelled"
        stopped.append(job.name)
        raise Cancelled

    roles = {name: breaks if name == broken else notes for name in ("latency", "operators", "heap")}
    with pytest.raises(HostError, match="no space left") as caught:
        run(tmp_path, **roles)
    assert caught.value.hint == "make room"
    assert sorted(stopped) == sorted({"latency", "operators", "heap"} - {broken})
    assert recorded(tmp_path) == set()


def test_an_interruption_stops_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes as an exception in the thread that waits."""

    class Interrupted(BaseException):
        pass

    def interrupt(*_args: object, **_options: object) -> None:
        raise Interrupted

    monkeypatch.setattr("sandbox.pipeline.wait", interrupt)
    with pytest.raises(Interrupted):
        run(tmp_path, latency=until_cancelled, heap=until_cancelled)
    assert recorded(tmp_path) == set()


def test_what_a_guest_put_in_place_of_its_outcome_is_replaced(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("untouched")

    def links(job: Job, cancel: threading.Event) -> Outcome:
        (job.run_dir / rundir.OUTCOME).symlink_to(secret)
        return works(job, cancel)

    run(tmp_path, latency=links)
    assert secret.read_text() == "untouched"
    assert rundir.read_outcome(tmp_path / "latency") == WELL


# Which engine


class Unusable(Actor):
    def __init__(self, *_args: object) -> None:
        super().__init__({})

    def probe(self) -> Problem | None:
        return Problem(reason="no namespaces here", hint="ask your administrator")


def test_an_engine_that_cannot_work_is_refused_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.pipeline.LocalEngine", Unusable)
    request = ProfileRequest(model=tmp_path, device="rpi4b", engine="local")
    image = host.described(host.DEVICE_IMAGE, tmp_path)
    with pytest.raises(HostError, match="engine local: no namespaces here") as caught:
        choose_engine(request, image, cast("Any", None), Guard(io.BytesIO()))
    assert caught.value.hint == "ask your administrator"
    assert isinstance(caught.value, SandboxError)
    assert caught.value.exit_code == 4
