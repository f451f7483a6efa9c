"""The search for the least memory, on an engine that needs as much as the test says."""

from __future__ import annotations

import io
import json as standard_json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jsonschema
import pytest

from sandbox import ceiling as module
from sandbox.budget import MemoryBudget
from sandbox.ceiling import MOST_TRIALS, Sweep, ceiling, with_batch
from sandbox.ceiling_result import CeilingResult
from sandbox.cli.ceiling import combinations
from sandbox.engines.base import Job, MemoryTrace, Outcome
from sandbox.engines.guard import Guard
from sandbox.errors import UsageError
from sandbox.graph import read_model
from sandbox.image.build import ImageBuilder
from sandbox.metrics import Metric, Unavailable
from sandbox.plan import ProfileRequest
from sandbox.progress import Silent
from sandbox.reports import ceiling_terminal, json
from sandbox.rundir import read_record
from tests import renew, zoo
from tests.record_runs import PROJECT, RUNS

EXAMPLE = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
MB = 1_000_000


@dataclass
class Device:
    """An engine: a run needs ``need`` bytes of its own and maps ``files`` more."""

    need: int
    files: int = 20 * MB
    lax: int = 0
    """By how much the limit is kept too late."""
    exit_code: int = 0
    limits: list[int | None] = field(default_factory=list)

    def run(self, job: Job, _cancel: threading.Event) -> Outcome:
        self.limits.append(job.memory_limit_bytes)
        assert (job.run_dir / "request.json").is_file()
        (job.run_dir / "runner.json").write_text("{}")
        killed = job.memory_limit_bytes is not None and self.need > job.memory_limit_bytes + self.lax
        return Outcome(
            exit_code=None if killed else self.exit_code,
            signal=9 if killed else None,
            out_of_memory=killed,
            limit_mechanism="cgroup v2",
            isolation="bubblewrap",
            emulator="QEMU 7.2",
            seconds=1.0,
            memory=MemoryTrace(
                guest_peak_bytes=self.need + self.files, guest_files_bytes=self.files, guest_own_bytes=self.need
            ),
        )


Find = Callable[..., CeilingResult]


@pytest.fixture
def find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Find:
    def find(device: Device, sweep: Sweep | None = None, available: int = 1000 * MB) -> CeilingResult:
        def prepare(request: ProfileRequest, folder: Path, *_rest: object) -> Any:
            (folder / "latency").mkdir()
            (folder / "latency" / "request.json").write_text("{}")
            job = Job(
                name="latency", image=cast("Any", None), argv=(), env={}, run_dir=folder / "latency", mounts=(),
                cpu="", page_size_bytes=4096, hostname="", memory_limit_bytes=available, timeout_seconds=1,
            )  # fmt: skip
            known = Metric(value=available, unit="byte", mode="measured", source="spec")
            return SimpleNamespace(
                request=request,
                engine=device,
                jobs=(job,),
                run_dir=folder,
                device=SimpleNamespace(id="rpi4b"),
                budget=MemoryBudget(available=known, limit_bytes=available, source="spec"),
                runtime=("tflite-runtime", "2.14.0"),
            )

        monkeypatch.setattr(module, "prepare", prepare)
        monkeypatch.setattr(module, "record_of", lambda _plan: read_record(RUNS / "ready"))
        request = ProfileRequest(model=EXAMPLE, device="rpi4b")
        builder = cast("ImageBuilder", SimpleNamespace(progress=Silent()))
        return ceiling(request, sweep or Sweep(), tmp_path, builder, Guard(io.BytesIO()))

    return find


def test_the_least_memory_to_a_hundredth(find: Find) -> None:
    device = Device(need=50 * MB)
    result = find(device)
    (variant,) = result.variants
    assert isinstance(variant.minimum, Metric)
    assert variant.minimum.low is not None
    assert variant.minimum.low < 50 * MB <= variant.minimum.value <= variant.minimum.low * 1.01
    assert device.limits[0] is None
    assert len(device.limits) == len(variant.trials) <= MOST_TRIALS
    assert (result.verdict.status, result.checks[0].status) == ("ready", "pass")


def test_a_limit_that_is_kept_too_late_does_not_count_as_enough(find: Find) -> None:
    (variant,) = find(Device(need=50 * MB, lax=5 * MB)).variants
    assert isinstance(variant.minimum, Metric)
    assert variant.minimum.value >= 50 * MB / 1.01
    assert any("ran on, but held 50.0 MB of its own" in trial.outcome for trial in variant.trials)


def test_a_device_that_is_too_small(find: Find) -> None:
    result = find(Device(need=50 * MB), available=40 * MB)
    assert result.verdict.status == "not_ready"
    assert "it needs" in result.verdict.reasons[0]


def test_a_model_that_fails_anyhow_is_run_once(find: Find) -> None:
    device = Device(need=50 * MB, exit_code=3)
    result = find(device)
    assert device.limits == [None]
    assert isinstance(result.variants[0].minimum, Unavailable)
    assert result.verdict.status == "not_ready"


def test_every_combination_is_a_variant(find: Find) -> None:
    result = find(Device(need=50 * MB), Sweep(threads=(1, 4), batches=(1, 2)))
    inputs = read_model(EXAMPLE).inputs
    assert [(v.threads, v.shapes[inputs[0].name][0]) for v in result.variants] == [(1, 1), (1, 2), (4, 1), (4, 2)]
    assert len(result.checks) == 4


def test_what_a_sweep_names_twice_is_searched_once(find: Find) -> None:
    result = find(Device(need=50 * MB), Sweep(threads=(1, 4, 1), batches=(2, 2)))
    assert [variant.threads for variant in result.variants] == [1, 4]


def test_batches(tmp_path: Path) -> None:
    path = tmp_path / "dynamic_batch.onnx"
    path.write_bytes(zoo.make(path.name))
    graph = read_model(path)
    assert with_batch(graph, {}, 3) == {"input": (3, 3, 8, 8)}
    assert with_batch(graph, {"input": (1, 3, 9, 9)}, 3) == {"input": (3, 3, 9, 9)}


def test_a_batch_of_what_has_open_sizes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "endless_model.onnx"
    path.write_bytes(zoo.make(path.name))
    graph = read_model(path)
    open_ = graph.inputs[0].__class__(name="x", dtype="float32", shape=(None, None))
    with pytest.raises(UsageError, match="--batch: input x"):
        with_batch(cast("Any", SimpleNamespace(inputs=(open_,))), {}, 2)


def test_shapes_of_one_name_are_alternatives() -> None:
    assert combinations([]) == ({},)
    assert combinations([("a", (1,)), ("b", (2,)), ("a", (3,))]) == ({"a": (1,), "b": (2,)}, {"a": (3,), "b": (2,)})


def test_recorded_runs_have_no_other_limits(tmp_path: Path) -> None:
    request = ProfileRequest(model=EXAMPLE, device="rpi4b", engine="replay")
    with pytest.raises(UsageError, match="one limit"):
        ceiling(request, Sweep(), tmp_path, cast("ImageBuilder", None), Guard(io.BytesIO()))


def test_reports(find: Find) -> None:
    result = find(Device(need=50 * MB))
    text = ceiling_terminal.render(result)
    for words in ("1 THREAD", "least", "are not enough", "ran", "out of memory", "READY"):
        assert words in text
    assert CeilingResult.model_validate_json(json.render(result)) == result
    published = renew.CEILING_SCHEMA.read_text(encoding="utf-8")
    assert published == renew.made()[renew.CEILING_SCHEMA], "run python -m tests.renew"
    jsonschema.Draft202012Validator(standard_json.loads(published)).validate(standard_json.loads(json.render(result)))
