"""Comparing without an engine: a stand-in for `profile` leaves recorded runs, and says what it was asked."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import pipeline
from sandbox.analysis import analyse
from sandbox.compare import Axes, compare
from sandbox.engines.base import Cancelled
from sandbox.engines.guard import Guard
from sandbox.errors import DataFileError, HostError, SandboxError, UsageError
from sandbox.image.build import ImageBuilder
from sandbox.image.store import Store
from sandbox.plan import ProfileRequest
from sandbox.progress import Silent
from sandbox.resources import data_directory
from sandbox.result import Result
from tests.record_runs import PROJECT, RUNS

MODEL = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
BASE = ProfileRequest(model=MODEL, device="rpi4b")
GUARD = Guard(io.BytesIO())


class Ran:
    """What was run, and a run of it: the recorded one, as on the device that was asked for."""

    def __init__(self, before: Callable[[ProfileRequest], None], run: str) -> None:
        self.requests: list[ProfileRequest] = []
        self._run = run
        self._before = before
        self._lock = threading.Lock()

    def __call__(self, request: ProfileRequest, folder: Path, *_more: Any) -> Result:
        with self._lock:
            self.requests.append(request)
        self._before(request)
        shutil.copytree(RUNS / self._run, folder, dirs_exist_ok=True)
        return analyse(folder)


@pytest.fixture
def builder(tmp_path: Path) -> ImageBuilder:
    return ImageBuilder(images=data_directory("images"), store=Store(tmp_path / "cache"), progress=Silent())


def use(
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[ProfileRequest], None] = lambda _request: None,
    *,
    run: str = "missing_operator",
) -> Ran:
    ran = Ran(before, run)
    monkeypatch.setattr(pipeline, "profile", ran)
    return ran


def axes(*devices: str, threads: tuple[int, ...] = (1,), images: tuple[str | None, ...] = (None,)) -> Axes:
    return Axes(models=(MODEL,), devices=devices, threads=threads, images=images)


def test_every_combination_is_a_cell_in_the_order_asked_for() -> None:
    both = axes("rpi4b", "rpi5", "rpi4b", threads=(1, 4)).requests(BASE)
    assert [(each.device, each.threads) for each in both] == [("rpi4b", 1), ("rpi4b", 4), ("rpi5", 1), ("rpi5", 4)]


def test_a_second_call_runs_nothing(builder: ImageBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = use(monkeypatch)
    first = compare(BASE, axes("rpi4b", "rpi3b"), builder, GUARD)
    assert sorted(each.device for each in ran.requests) == ["rpi3b", "rpi4b"]
    again = compare(BASE, axes("rpi4b", "rpi3b"), builder, GUARD)
    assert len(ran.requests) == 2
    assert [cell.cached for cell in first.cells] == [False, False]
    assert [cell.cached for cell in again.cells] == [True, True]
    assert [cell.status for cell in again.cells] == [cell.status for cell in first.cells]
    compare(BASE, axes("rpi4b", "rpi3b", "rpi5"), builder, GUARD)
    assert [each.device for each in ran.requests[2:]] == ["rpi5"]
    compare(BASE, axes("rpi4b"), builder, GUARD, fresh=True)
    assert [each.device for each in ran.requests[3:]] == ["rpi4b"]


def test_after_an_interruption_only_the_rest_is_run(builder: ImageBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def interrupted(request: ProfileRequest) -> None:
        if request.device == "rpi5":
            assert done.wait(10), "the others were not finished"
            raise KeyboardInterrupt

    class Watch(Silent):
        def task(self, *_texts: Any, **_options: Any) -> Any:
            return _counting(done, 2)

    ran = use(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare(BASE, axes("rpi4b", "rpi3b", "rpi5"), replace(builder, progress=Watch()), GUARD)
    ran = use(monkeypatch)
    compare(BASE, axes("rpi4b", "rpi3b", "rpi5"), builder, GUARD)
    assert [each.device for each in ran.requests] == ["rpi5"]


class _counting:  # noqa: N801  # stands for a context manager function
    """Progress that says when so many cells are done."""

    def __init__(self, done: threading.Event, wanted: int) -> None:
        self._done, self._wanted = done, wanted

    def __enter__(self) -> Callable[[float], None]:
        return self._advance

    def __exit__(self, *_error: object) -> None:
        self._done.set()

    def _advance(self, _amount: float) -> None:
        self._wanted -= 1
        if self._wanted == 0:
            self._done.set()


def test_an_interruption_ends_what_runs(builder: ImageBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    started, seen = threading.Event(), []

    def fake(
        request: ProfileRequest, _folder: Path, _builder: object, _guard: object, cancel: threading.Event
    ) -> Result:
        if request.device == "rpi4b":
            started.set()
            assert cancel.wait(10), "never told"
            seen.append(request.device)
            raise Cancelled
        assert started.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "profile", fake)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with pytest.raises(KeyboardInterrupt):
        compare(BASE, axes("rpi4b", "rpi5"), builder, GUARD)
    assert seen == ["rpi4b"]


def test_a_cell_that_cannot_be_run_is_a_cell_with_its_reason(
    builder: ImageBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_wheel(request: ProfileRequest) -> None:
        if request.device == "rpi5":
            raise UsageError("no wheel for this image", hint="take another")

    use(monkeypatch, no_wheel)
    document = compare(BASE, axes("rpi4b", "rpi5", images=("bookworm-arm64", "bullseye-arm64")), builder, GUARD)
    assert [(cell.device, cell.result is not None, cell.error) for cell in document.cells] == [
        ("rpi4b", True, None),
        ("rpi4b", True, None),
        ("rpi5", False, "no wheel for this image"),
        ("rpi5", False, "rpi5 does not run the OS image 'bullseye-arm64'"),
    ]
    assert [cell.image for cell in document.cells[2:]] == ["bookworm-arm64", "bullseye-arm64"]
    assert document.cells[2].fix == "take another"
    assert [cell.runtime for cell in document.cells[2:]] == ["tflite-runtime@2.14.0", "tflite-runtime@2.11.0"]


def test_tflm_is_for_the_microcontrollers_among_the_devices(
    builder: ImageBuilder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran = use(monkeypatch)
    base = replace(BASE, tflm=tmp_path, renode="docker")
    compare(base, axes("rpi4b", "nucleo-l4r5zi"), builder, GUARD)
    asked = {request.device: (request.tflm, request.renode) for request in ran.requests}
    assert asked == {"rpi4b": (None, None), "nucleo-l4r5zi": (tmp_path, "docker")}


@pytest.mark.parametrize("error", [HostError("no network"), DataFileError("damaged"), UsageError("no such thing")])
def test_when_nothing_could_be_run_its_reason_is_the_end(
    builder: ImageBuilder, monkeypatch: pytest.MonkeyPatch, error: SandboxError
) -> None:
    def fail(_request: ProfileRequest) -> None:
        raise error

    use(monkeypatch, fail)
    with pytest.raises(type(error), match=error.message):
        compare(BASE, axes("rpi4b", "rpi3b"), builder, GUARD)


def test_unknown_devices_and_bad_models_are_refused_before_anything_runs(
    builder: ImageBuilder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran = use(monkeypatch)
    with pytest.raises(UsageError, match="unknown device 'rpi9'"):
        compare(BASE, axes("rpi4b", "rpi9"), builder, GUARD)
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"nothing")
    with pytest.raises(DataFileError, match=r"broken\.tflite"):
        compare(BASE, Axes(models=(MODEL, broken), devices=("rpi4b",)), builder, GUARD)
    assert ran.requests == []


def test_the_budget_is_asked_of_kept_runs(builder: ImageBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, run="calibrated")
    compare(BASE, axes("rpi4b"), builder, GUARD)
    document = compare(replace(BASE, latency_budget_seconds=0.05), axes("rpi4b"), builder, GUARD)
    (cell,) = document.cells
    assert cell.cached
    assert cell.result is not None
    assert "latency" in [check.id for check in cell.result.checks]
