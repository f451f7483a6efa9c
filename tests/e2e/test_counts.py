"""Instructions of real models on real runtimes: complete, repeatable, and what the arithmetic says they must be.

Runs the pipeline itself with the jobs that count; the heap job, which a profile has too, takes most of its time.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import rundir
from sandbox.analysis import analyse
from sandbox.engines.guard import Guard, guard
from sandbox.measurements import Op
from sandbox.metrics import Metric, Quantity
from sandbox.pipeline import prepare, record_of, run_jobs
from sandbox.plan import ProfileRequest
from sandbox.progress import Silent
from sandbox.result import Result
from sandbox.stats import mean
from tests import host, zoo

pytestmark = [pytest.mark.timeout(300), pytest.mark.engine("local")]

SMALL, SMALL_FLOAT, SMALL_ONNX = (
    "mobilenet_v1_0.25_128_int8.tflite",
    "mobilenet_v1_0.25_128_fp32.tflite",
    "mobilenet_v1_0.25_128_fp32.onnx",
)


@pytest.fixture(scope="module")
def protector() -> Iterator[Guard]:
    with guard() as one:
        yield one


@dataclasses.dataclass(frozen=True)
class Counter:
    """Profiles models by the jobs that count."""

    protector: Guard
    folder: Path

    def __call__(self, name: str, device: str = "rpi4b", **options: Any) -> Result:
        model = self.folder / name
        model.write_bytes(zoo.make(name))
        run_dir = self.folder / f"run-{len(list(self.folder.iterdir()))}"
        run_dir.mkdir()
        request = ProfileRequest(model=model, device=device, timeout_seconds=280, **options)
        plan = prepare(request, run_dir, host.builder(), self.protector)
        plan = dataclasses.replace(plan, jobs=tuple(job for job in plan.jobs if job.name != "heap"))
        rundir.write_record(run_dir, record_of(plan))
        run_jobs(plan, Silent())
        return analyse(run_dir)


@pytest.fixture
def count(protector: Guard, tmp_path: Path) -> Counter:
    return Counter(protector, tmp_path)


def number(quantity: Quantity) -> float:
    assert isinstance(quantity, Metric), quantity
    return quantity.value


def whole(result: Result) -> float:
    return number(result.latency.counts.instructions)


@pytest.mark.parametrize(
    ("model", "options", "delegate", "library"),
    [
        (SMALL, {}, None, "gemmlowp"),
        (SMALL_FLOAT, {}, "XNNPACK", "XNNPACK"),
        (SMALL_FLOAT, {"delegates": False}, None, "Eigen"),
        (SMALL, {"os": "bookworm-armhf"}, None, "gemmlowp"),
        (SMALL, {"runtime": "ai-edge-litert@1.4.0"}, "XNNPACK", "XNNPACK"),
        (SMALL, {"runtime": "ai-edge-litert"}, "XNNPACK", "XNNPACK"),
        (SMALL_ONNX, {}, "CPUExecutionProvider", "onnxruntime"),
    ],
    ids=["int8", "float", "float without XNNPACK", "32 bit", "litert 1", "litert 2", "onnx"],
)
def test_operators_add_up_to_the_inference(
    count: Counter, model: str, options: dict[str, Any], delegate: str | None, library: str
) -> None:
    result = count(model, **options)
    *operators, outside = result.ops
    assert (outside.type, outside.status) == ("(outside operators)", "outside")
    assert sum(number(op.instructions) for op in result.ops) == pytest.approx(whole(result), rel=0.02)
    assert number(outside.instructions) < 0.02 * whole(result)
    convolutions = [op for op in operators if "CONV" in op.type.upper() or op.type == "FULLY_CONNECTED"]
    assert len(convolutions) >= 27
    for op in convolutions:
        assert op.delegate == delegate
        assert sum(op.classes.values()) == number(op.instructions) > 10_000
        assert op.dtype in {"int8", "float32"}
        assert op.shape is not None
        assert len(op.shape) in {2, 4}
        assert op.kernels
        assert number(op.time) > 0
    libraries = {kernel.library for op in convolutions for kernel in op.kernels}
    assert any(library in name for name in libraries), libraries


def test_counts_are_the_same_each_time(count: Counter) -> None:
    """Two runs, one beside a busy host: the same to 0.1 %, operator by operator."""
    first = count(SMALL)
    loops = [subprocess.Popen((sys.executable, "-c", "while True: pass")) for _ in range(2)]
    try:
        second = count(SMALL)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert_same(first, second)


@pytest.mark.engine("docker")
def test_counts_are_the_same_in_docker(count: Counter) -> None:
    assert_same(count(SMALL), count(SMALL, engine="docker"))


@pytest.mark.parametrize("runtime", ["ai-edge-litert", "tflite-runtime"])
def test_counts_of_a_float_model_are_the_same_each_time(count: Counter, runtime: str) -> None:
    assert_same(count(SMALL_FLOAT, runtime=runtime), count(SMALL_FLOAT, runtime=runtime))


def assert_same(first: Result, second: Result) -> None:
    assert whole(second) == pytest.approx(whole(first), rel=1e-3)
    assert mean(second.latency.samples) == pytest.approx(mean(first.latency.samples), rel=1e-3)
    for one, other in zip(first.ops, second.ops, strict=True):
        assert (one.type, one.name) == (other.type, other.name)
        assert number(other.instructions) == pytest.approx(number(one.instructions), rel=1e-3, abs=2000)


def test_threads_share_the_work(count: Counter) -> None:
    alone, four = count("mobilenet_v1_0.5_160_int8.tflite"), count("mobilenet_v1_0.5_160_int8.tflite", threads=4)
    counts = four.latency.counts
    shares = [number(thread.instructions) for thread in counts.threads]
    assert len(shares) == 4
    assert sum(shares) == pytest.approx(number(counts.instructions), rel=0.02)
    assert number(counts.instructions) == pytest.approx(whole(alone), rel=0.1), "waiting is no work"
    path = number(counts.critical_path)
    assert max(shares) * 0.95 < path < 0.6 * whole(alone)
    assert mean(four.latency.samples) == pytest.approx(path / 1.5e9, rel=1e-3), "one cycle for each at 1.5 GHz"


@pytest.mark.parametrize("model", ["mobilenet_v1_0.25_96", "mobilenet_v1_0.5_128", "mobilenet_v1_1.0_96"])
def test_pointwise_convolutions_take_a_multiply_add_for_four_macs(count: Counter, model: str) -> None:
    """XNNPACK's float kernels do four multiply-accumulates by one vector instruction, on tiles of 4 pixels by 8
    channels, whatever the size."""
    result = count(f"{model}_fp32.tflite")
    seen = 0
    for before, op in itertools.pairwise(result.ops):
        if op.name.endswith(" GEMM") and op.shape and before.shape and op.shape[1:3] != (1, 1):
            pixels, channels = op.shape[1] * op.shape[2], op.shape[3]
            macs = math.ceil(pixels / 4) * 4 * math.ceil(channels / 8) * 8 * before.shape[3]
            assert 4 * op.classes["vector_fma"] / macs == pytest.approx(1, abs=0.01), (op.shape, before.shape)
            seen += 1
    assert seen == 13


def test_quantised_convolutions_cost_in_proportion_to_their_macs(count: Counter) -> None:
    ratios = [ratio for size in (96, 160) for ratio in _per_mac(count(f"mobilenet_v1_0.5_{size}_int8.tflite").ops)]
    assert len(ratios) == 2 * 12
    assert max(ratios) / min(ratios) < 1.5


def _per_mac(ops: tuple[Op, ...]) -> Iterator[float]:
    """Vector multiplies for each multiply-accumulate of the pointwise convolutions, but the first."""
    for before, op in itertools.pairwise(ops):
        if op.name.startswith("pointwise") and op.name != "pointwise_1" and op.shape and before.shape:
            macs = op.shape[1] * op.shape[2] * op.shape[3] * before.shape[3]
            yield op.classes["vector_integer_multiply"] / macs


def test_caches_are_modelled_on_request(count: Counter) -> None:
    result = count(SMALL_FLOAT, caches=True)
    first = result.ops[0]
    assert 0 < number(first.lines_from_dram) < number(first.lines_from_l2)
    weights = number(result.memory.weights)
    fetched = sum(number(op.lines_from_l2) for op in result.ops) * 64
    assert fetched > weights, "each weight is read at least once"
    plain = count(SMALL_FLOAT)
    assert not isinstance(plain.ops[0].lines_from_l2, Metric)
    alone = [number(op.instructions) for op in plain.ops[:-1]]
    assert [number(op.instructions) for op in result.ops[:-1]] == pytest.approx(alone, rel=1e-3, abs=2000)
