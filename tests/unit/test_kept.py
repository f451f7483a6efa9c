"""A profile by kept runs, without an engine: a stand-in for the pipeline leaves a recorded run."""

from __future__ import annotations

import io
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import kept, pipeline, rundir
from sandbox.analysis import analyse
from sandbox.calibration import load_calibrations
from sandbox.engines.guard import Guard
from sandbox.errors import DataFileError, HostError, UsageError
from sandbox.fit import render_calibration
from sandbox.image.build import ImageBuilder
from sandbox.image.store import Store
from sandbox.microcontroller.analysis import analyse as analyse_board
from sandbox.pipeline import keep_calibration
from sandbox.plan import ProfileRequest
from sandbox.progress import Silent
from sandbox.reports import html, junit, markdown, terminal
from sandbox.resources import data_directory
from sandbox.result import Result
from sandbox.run_cache import RunCache, run_key
from tests.record_runs import PROJECT, RUNS

MODEL = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
REQUEST = ProfileRequest(model=MODEL, device="rpi4b")
GUARD = Guard(io.BytesIO())


class Told(Silent):
    """Progress that remembers its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def builder(tmp_path: Path) -> ImageBuilder:
    return ImageBuilder(images=data_directory("images"), store=Store(tmp_path / "cache"), progress=Told())


class StandIn:
    """Counts runs, and leaves a recorded one."""

    def __init__(self) -> None:
        self.runs, self.name = 0, "ready"

    def __call__(self, _request: ProfileRequest, run_dir: Path, *_more: Any) -> Result:
        self.runs += 1
        shutil.copytree(RUNS / self.name, run_dir, dirs_exist_ok=True)
        return analyse_board(run_dir) if self.name == "microcontroller" else analyse(run_dir)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()
    monkeypatch.setattr(pipeline, "profile", made)
    return made


def profile(
    request: ProfileRequest, builder: ImageBuilder, folder: Path, stand_in: StandIn, *, fresh: bool = False
) -> Result:
    return kept.profile(request, folder / f"run{stand_in.runs}", builder, GUARD, fresh=fresh)


def test_the_same_run_is_not_made_twice(builder: ImageBuilder, tmp_path: Path, stand_in: StandIn) -> None:
    first = profile(REQUEST, builder, tmp_path, stand_in)
    again = profile(REQUEST, builder, tmp_path, stand_in)
    assert (stand_in.runs, first.cached, again.cached) == (1, False, True)
    assert again.started == first.started
    assert again.verdict == first.verdict
    profile(replace(REQUEST, threads=2), builder, tmp_path, stand_in)
    assert stand_in.runs == 2, "another run"
    assert not profile(REQUEST, builder, tmp_path, stand_in, fresh=True).cached
    assert stand_in.runs == 3


def test_a_budget_is_asked_of_the_kept_run(builder: ImageBuilder, tmp_path: Path, stand_in: StandIn) -> None:
    stand_in.name = "calibrated"
    profile(REQUEST, builder, tmp_path, stand_in)
    asked = profile(replace(REQUEST, latency_budget_seconds=1e-9), builder, tmp_path, stand_in)
    assert (asked.cached, asked.verdict.status) == (True, "not_ready")


def test_a_calibration_is_of_the_request_and_not_of_the_kept_run(
    builder: ImageBuilder, tmp_path: Path, stand_in: StandIn
) -> None:
    """Neither the file that made the run nor one that has changed since may answer for today's."""
    stand_in.name = "calibrated"
    (shipped,) = (
        each
        for each in load_calibrations(PROJECT / "calibration")
        if each.id == "rpi4b/tflite-runtime-2.14.0-xnnpack-fp32-1t"
    )
    path = tmp_path / "mine.json"
    asked = replace(REQUEST, calibration=path)
    made = tmp_path / "made"
    made.mkdir()
    keep_calibration(made, shipped, "local")
    key = run_key(asked, builder)
    assert key == run_key(REQUEST, builder)
    shutil.copytree(RUNS / "calibrated", made, dirs_exist_ok=True)
    RunCache(builder.store).keep(key, made)
    plain: Any = profile(REQUEST, builder, tmp_path, stand_in).latency
    assert not any("--calibration" in note for note in plain.calibration.notes)
    for factor in (2.0, 3.0):
        path.write_text(render_calibration(shipped.model_copy(update={"interval": factor})))
        found: Any = profile(asked, builder, tmp_path, stand_in).latency
        assert found.mean.high == pytest.approx(plain.mean.value * math.exp(factor))
    assert stand_in.runs == 0
    path.write_text("{}")
    profile(asked, builder, tmp_path, stand_in)
    assert stand_in.runs == 1, "a damaged file is for the pipeline to refuse"


@pytest.mark.parametrize(
    "change", [{"engine": "native"}, {"engine": "renode"}, {"tflm": PROJECT}], ids=["native", "renode", "tflm"]
)
def test_what_this_host_has_a_share_in_is_always_run(
    builder: ImageBuilder, tmp_path: Path, stand_in: StandIn, change: dict[str, Any]
) -> None:
    request = replace(REQUEST, **change)
    for _ in range(2):
        assert not profile(request, builder, tmp_path, stand_in).cached
    assert stand_in.runs == 2
    assert not list(RunCache(builder.store).runs())


def test_a_board_of_which_nothing_was_learned_is_run_again(
    builder: ImageBuilder, tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(REQUEST, device="nucleo-l4r5zi")
    stand_in.name = "microcontroller"
    known = analyse_board(RUNS / "microcontroller")
    unknown = known.model_copy(update={"verdict": known.verdict.model_copy(update={"status": "unknown"})})
    monkeypatch.setattr(pipeline, "profile", lambda *_given: unknown)
    kept.profile(request, tmp_path / "first", builder, GUARD)
    monkeypatch.setattr(pipeline, "profile", stand_in)
    assert not profile(request, builder, tmp_path, stand_in).cached
    assert profile(request, builder, tmp_path, stand_in).cached


def test_a_damaged_kept_run_is_made_again(builder: ImageBuilder, tmp_path: Path, stand_in: StandIn) -> None:
    profile(REQUEST, builder, tmp_path, stand_in)
    (folder,) = RunCache(builder.store).runs()
    (folder / "run.json").unlink()
    assert not profile(REQUEST, builder, tmp_path, stand_in).cached
    assert profile(REQUEST, builder, tmp_path, stand_in).cached, "and kept"


def test_a_full_disk_takes_no_result_away(
    builder: ImageBuilder, tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object) -> None:
        raise HostError("no room", hint="make some")

    monkeypatch.setattr(RunCache, "keep", full)
    assert profile(REQUEST, builder, tmp_path, stand_in).verdict.status == "ready"
    assert isinstance(builder.progress, Told)
    assert builder.progress.warnings == ["the run is not kept: no room"]


def test_every_report_says_that_nothing_was_run(builder: ImageBuilder, tmp_path: Path, stand_in: StandIn) -> None:
    first = profile(REQUEST, builder, tmp_path, stand_in)
    again = profile(REQUEST, builder, tmp_path, stand_in)
    for render, words in (
        (terminal.render, f"the kept run of {first.started}: nothing was run for this report"),
        (html.render, f"The kept run of {first.started}"),
        (markdown.render, f"the kept run of {first.started}"),
        (junit.render, '<property name="run" value="kept" />'),
    ):
        assert words in render(again)
        assert words not in render(first)


def test_what_cannot_be_read_is_refused_before_anything_runs(
    builder: ImageBuilder, tmp_path: Path, stand_in: StandIn
) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"nothing")
    with pytest.raises(DataFileError, match=r"broken\.tflite"):
        profile(replace(REQUEST, model=broken), builder, tmp_path, stand_in)
    assert stand_in.runs == 0


def test_a_replay_asks_nothing_of_the_cache(builder: ImageBuilder, stand_in: StandIn, tmp_path: Path) -> None:
    assert not profile(replace(REQUEST, engine="replay"), builder, tmp_path, stand_in).cached
    assert not list(RunCache(builder.store).runs())
    assert rundir.read_record(tmp_path / "run0").device.id == "rpi4b"


def test_a_microcontroller_refuses_a_calibration_also_when_its_run_is_kept(
    builder: ImageBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(REQUEST, device="nucleo-l4r5zi")
    monkeypatch.setattr(RunCache, "find", lambda *_given: RUNS / "microcontroller")
    assert kept.profile(request, tmp_path, builder, GUARD).cached
    with pytest.raises(UsageError, match="nucleo-l4r5zi is a microcontroller"):
        kept.profile(replace(request, calibration=tmp_path / "mine.json"), tmp_path, builder, GUARD)
