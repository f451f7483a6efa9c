"""Runs kept by content: what changes the key, what does not, and what a kept run gives back."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import rundir
from sandbox.errors import DataFileError, UsageError
from sandbox.image.build import ImageBuilder
from sandbox.image.spec import load_lock
from sandbox.image.store import Store
from sandbox.metrics import Metric
from sandbox.plan import ProfileRequest
from sandbox.progress import Silent
from sandbox.resources import data_directory
from sandbox.run_cache import RunCache, run_key
from tests.record_runs import PROJECT, RUNS
from tests.unit.recorded import copy, edit, result

MODEL = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
REQUEST = ProfileRequest(model=MODEL, device="rpi4b")


@pytest.fixture
def builder(tmp_path: Path) -> ImageBuilder:
    return ImageBuilder(images=data_directory("images"), store=Store(tmp_path / "cache"), progress=Silent())


@pytest.mark.parametrize(
    "change",
    [
        {"device": "rpi4b-2gb"},
        {"os": "bullseye-arm64"},
        {"runtime": "ai-edge-litert"},
        {"runtime": "tflite-runtime@2.13.0"},
        {"threads": 2},
        {"memory_bytes": 2**28},
        {"reserve_bytes": 2**20},
        {"swap": True},
        {"inputs": "zeros"},
        {"seed": 1},
        {"shapes": {"input": (1, 64, 64, 3)}},
        {"timeout_seconds": 5.0},
        {"delegates": False},
        {"caches": True},
        {"isolated": False},
        {"engine": "docker"},
        {"inferences": (1, 9)},
        {"model": PROJECT / "examples" / "mobilenet_v1_0.25_128_fp32.onnx"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_a_run_decides_its_key(builder: ImageBuilder, change: dict[str, Any]) -> None:
    assert run_key(replace(REQUEST, **change), builder) != run_key(REQUEST, builder)


def test_what_decides_nothing_changes_nothing(builder: ImageBuilder, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.tflite"
    shutil.copy(MODEL, renamed)
    same = replace(REQUEST, model=renamed, latency_budget_seconds=0.05, mirror="http://127.0.0.1:9")
    assert run_key(same, builder) == run_key(REQUEST, builder)
    assert run_key(replace(REQUEST, runtime="tflite-runtime", os="bookworm-arm64"), builder) == run_key(
        REQUEST, builder
    )


def test_facts_decide_and_their_sources_and_prices_do_not(builder: ImageBuilder, tmp_path: Path) -> None:
    spec = tmp_path / "board.toml"

    def key(text: str) -> dict[str, Any]:
        spec.write_text(f'base = "rpi4b"\n{text}\n')
        return run_key(replace(REQUEST, device=str(spec)), builder)

    plain = key("")
    assert key('[price]\namount = 35.0\ncurrency = "USD"\ndate = "2024-01"') == plain
    assert key('[sources]\nram_bytes = "the label"') == plain
    assert key("ram_bytes = 5368709120") != plain


def test_own_inputs_count_by_their_bytes(builder: ImageBuilder, tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "in.npz", tmp_path / "b" / "in.npz"
    for path, content in ((first, b"1"), (second, b"1")):
        path.parent.mkdir()
        path.write_bytes(content)
    keys = [run_key(replace(REQUEST, inputs=str(path)), builder) for path in (first, second)]
    assert keys[0] == keys[1]
    second.write_bytes(b"2")
    assert run_key(replace(REQUEST, inputs=str(second)), builder) != keys[0]
    with pytest.raises(DataFileError, match=r"none\.npz: cannot be read"):
        run_key(replace(REQUEST, inputs=str(tmp_path / "none.npz")), builder)


def test_tflm_counts_by_its_files(builder: ImageBuilder, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "libtensorflow-microlite.a").write_bytes(b"1")
    request = replace(REQUEST, device="nucleo-l4r5zi")
    keys = [run_key(replace(request, tflm=tmp_path / name), builder) for name in ("a", "b")]
    assert keys[0] == keys[1] != run_key(request, builder)
    (tmp_path / "b" / "libtensorflow-microlite.a").write_bytes(b"2")
    assert run_key(replace(request, tflm=tmp_path / "b"), builder) != keys[0]


def test_what_cannot_be_run_has_no_key(builder: ImageBuilder) -> None:
    with pytest.raises(UsageError, match="does not run the OS image"):
        run_key(replace(REQUEST, os="bookworm-amd64"), builder)
    with pytest.raises(UsageError, match="onnxruntime does not run tflite models"):
        run_key(replace(REQUEST, runtime="onnxruntime"), builder)


def test_a_kept_run_gives_the_same_result_again(builder: ImageBuilder) -> None:
    cache, key = RunCache(builder.store), run_key(REQUEST, builder)
    assert cache.find(key) is None
    cache.keep(key, RUNS / "ready")
    folder = cache.find(key)
    assert folder is not None
    again = cache.result(folder, REQUEST)
    expected = result("ready")
    named = expected.model.model_copy(update={"path": str(MODEL)})
    assert again == expected.model_copy(update={"model": named, "cached": True})
    assert cache.find({**key, "code": "changed"}) is None


def test_a_kept_run_answers_a_question_that_it_was_not_asked(builder: ImageBuilder) -> None:
    cache, key = RunCache(builder.store), run_key(REQUEST, builder)
    cache.keep(key, RUNS / "calibrated")
    folder = cache.find(key)
    assert folder is not None
    assert [check.id for check in cache.result(folder, REQUEST).checks if check.id == "latency"] == []
    asked = cache.result(folder, replace(REQUEST, latency_budget_seconds=0.05))
    (check,) = (check for check in asked.checks if check.id == "latency")
    assert isinstance(check.limit, Metric)
    assert check.limit.value == 0.05


def test_a_run_that_timed_out_is_not_kept(builder: ImageBuilder) -> None:
    cache = RunCache(builder.store)
    cache.keep({"a": 1}, RUNS / "timed_out")
    assert cache.find({"a": 1}) is None


def test_only_plain_files_are_kept(builder: ImageBuilder, tmp_path: Path) -> None:
    """The guest owns its folder: a link in it leads anywhere, a pipe blocks."""
    run = copy("ready", tmp_path)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("x")
    (run / "latency" / "link").symlink_to(secret / "key")
    (run / "latency" / "folder").symlink_to(secret)
    os.mkfifo(run / "latency" / "pipe")
    cache = RunCache(builder.store)
    cache.keep({"a": 1}, run)
    folder = cache.find({"a": 1})
    assert folder is not None
    kept = {path.name for path in folder.rglob("*")}
    assert not kept & {"link", "folder", "pipe"}
    assert {rundir.RECORD, rundir.RUNNER_REPORT} <= kept


def test_a_run_is_kept_whole_or_not_at_all(builder: ImageBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_paths: Path) -> None:
        raise KeyboardInterrupt

    cache = RunCache(builder.store)
    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(KeyboardInterrupt):
        cache.keep({"a": 1}, RUNS / "missing_operator")
    assert cache.find({"a": 1}) is None
    assert list((builder.store.directory / "runs").iterdir()) == []


def test_a_new_run_takes_the_place_of_the_old(builder: ImageBuilder, tmp_path: Path) -> None:
    cache, run = RunCache(builder.store), copy("missing_operator", tmp_path)
    cache.keep({"a": 1}, run)
    edit(run / rundir.RECORD, lambda record: record.update(started="2030-01-01T00:00:00+00:00"))
    cache.keep({"a": 1}, run)
    folder = cache.find({"a": 1})
    assert folder is not None
    assert rundir.read_record(folder).started.startswith("2030")
    assert len(list(cache.runs())) == 1


def test_they_can_be_removed(builder: ImageBuilder) -> None:
    cache = RunCache(builder.store)
    cache.keep({"a": 1}, RUNS / "missing_operator")
    cache.keep({"a": 2}, RUNS / "missing_operator")
    size = cache.size_bytes()
    assert size > 10_000
    assert cache.clear() == size
    assert (cache.find({"a": 1}), cache.size_bytes()) == (None, 0)


def test_the_run_that_was_asked_for_least_recently_goes(
    builder: ImageBuilder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sandbox.run_cache._MOST", 2)
    cache, run = RunCache(builder.store), copy("missing_operator", tmp_path)
    for number, name in enumerate("ab", start=1):
        cache.keep({"name": name}, run)
        folder = cache.find({"name": name})
        assert folder is not None
        os.utime(folder / "key.json", (number, number))
    assert cache.find({"name": "a"}) is not None, "asked for just now"
    cache.keep({"name": "c"}, run)
    assert [name for name in "abc" if cache.find({"name": name})] == ["a", "c"]


def test_a_run_that_something_killed_is_not_kept(builder: ImageBuilder, tmp_path: Path) -> None:
    run = copy("missing_operator", tmp_path)
    cache = RunCache(builder.store)
    edit(run / "latency" / "outcome.json", lambda outcome: outcome.update(signal=9, exit_code=None))
    cache.keep({"a": 1}, run)
    assert cache.find({"a": 1}) is None
    edit(run / "latency" / "outcome.json", lambda outcome: outcome.update(out_of_memory=True))
    cache.keep({"a": 1}, run)
    assert cache.find({"a": 1}) is not None, "the device's own limit is an answer"


def test_wheels_that_were_resolved_anew_decide(builder: ImageBuilder) -> None:
    """A wheel of one's own may be another one under the same version, once `images prune` has forgotten the first."""
    request = replace(REQUEST, runtime="tflite-runtime@2.14.0+mine")
    lock = load_lock("bookworm-arm64", builder.images)
    folder = builder.store.directory / "derived"
    folder.mkdir(parents=True)
    path = folder / f"bookworm-arm64-{lock.digest[:16]}-tflite-runtime-2.14.0+mine.json"
    keys = [run_key(request, builder)]
    for sha256 in ("a" * 64, "b" * 64):
        own = lock.wheels[0].model_copy(update={"sha256": sha256})
        path.write_text(lock.model_copy(update={"wheels": (own, *lock.wheels)}).model_dump_json())
        keys.append(run_key(request, builder))
    assert len({str(key["image"]) for key in keys}) == 3
    assert run_key(REQUEST, builder)["image"] == lock.digest
