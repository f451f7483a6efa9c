"""Counts in, times out: they add up, they carry their interval, and the budget is judged by it."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import pytest

from sandbox import rundir
from sandbox.analysis import analyse
from sandbox.calibration import load_calibrations
from sandbox.estimate import UNCALIBRATED, apply, budget_check, kernel_library
from sandbox.measurements import Counts, Kernel, Op
from sandbox.metrics import Metric, Unavailable
from sandbox.record import Hardware, RunRecord, Traffic
from sandbox.result import Result
from tests.unit.recorded import copy, edit

SHIPPED = load_calibrations(Path(__file__).parents[2] / "calibration")
CLASSES: dict[str, int] = {"vector_fma": 60_000_000, "vector_load": 22_000_000, "integer": 8_000_000, "load": 4_000_000}
PI4 = Hardware(
    soc="Broadcom BCM2711",
    clock_hz=1_500_000_000,
    sustained_clock_hz=1_000_000_000,
    bandwidth_bytes_per_second=2_554_100_000,
    idle_watts=2.7,
    load_watts=6.4,
)


def counted(value: float) -> Metric:
    return Metric(value=value, unit="instruction", mode="emulated")


def op(index: int, share: float, *, delegate: str | None = "XNNPACK", dtype: str = "float32") -> Op:
    nothing = Unavailable(unavailable="none")
    return Op.model_validate(
        {
            "index": index,
            "type": "CONV_2D",
            "name": "conv",
            "dtype": dtype,
            "shape": None,
            "delegate": delegate,
            "instructions": counted(94e6 * share),
            "classes": {name: int(count * share) for name, count in CLASSES.items()},
            "kernels": (),
            "lines_from_l2": nothing,
            "lines_from_dram": nothing,
            "time": nothing,
            "status": "delegated" if delegate else "native",
        }
    )


@functools.cache
def recorded() -> tuple[Result, RunRecord]:
    """A recorded run that went well, whatever version recorded it."""

    def add_what_is_new(document: dict[str, Any]) -> None:
        document["device"].setdefault("tick_ns", [2, 3])
        document.setdefault("caches", False)

    with tempfile.TemporaryDirectory() as folder:
        run = copy("ready", Path(folder))
        edit(run / rundir.RECORD, add_what_is_new)
        return analyse(run), rundir.read_record(run)


def record(budget: float | None = None) -> RunRecord:
    return recorded()[1].model_copy(update={"latency_budget_seconds": budget})


def given(*ops: Op, threads: int = 1) -> Result:
    """A recorded result as if it had been counted with XNNPACK in fp32."""
    base = recorded()[0]
    counts = Counts.model_validate(
        {"instructions": counted(94e6), "critical_path": counted(94e6), "classes": CLASSES, "threads": ()}
    )
    runtime = base.runtime.model_copy(update={"name": "tflite-runtime", "version": "2.14.0", "threads": threads})
    return base.model_copy(
        update={
            "latency": base.latency.model_copy(update={"counts": counts}),
            "ops": ops or (op(0, 0.75), op(1, 0.25)),
            "runtime": runtime,
        }
    )


def test_times_carry_interval_and_source() -> None:
    found = apply(given(), record(), PI4, SHIPPED).latency
    mean = found.mean
    assert isinstance(mean, Metric)
    assert (mean.mode, mean.unit) == ("calibrated", "second")
    assert mean.low is not None
    assert mean.high is not None
    assert mean.low < mean.value < mean.high
    assert 0.05 < mean.value < 0.08
    assert "rpi4b/tflite-runtime-2.14.0-xnnpack-fp32-1t" in str(mean.source)
    assert found.calibration is not None
    assert found.calibration.error is not None
    assert isinstance(found.p95, Metric)
    assert found.p95.value > mean.value
    assert isinstance(found.throughput, Metric)
    assert found.throughput.value == pytest.approx(1 / mean.value)


def test_a_lower_sustained_clock_takes_longer() -> None:
    found = apply(given(), record(), PI4, SHIPPED).latency
    assert isinstance(found.sustained, Metric)
    assert isinstance(found.mean, Metric)
    assert found.mean.value * 1.3 < found.sustained.value < found.mean.value * 1.5


def test_energy_lies_between_idle_and_full_load() -> None:
    found = apply(given(), record(), PI4, SHIPPED).latency
    assert isinstance(found.mean, Metric)
    assert isinstance(found.energy, Metric)
    assert found.mean.value * 2.7 < found.energy.value < found.mean.value * 6.4
    bare = PI4.model_copy(update={"idle_watts": None, "sustained_clock_hz": None})
    poor = apply(given(), record(), bare, SHIPPED).latency
    assert isinstance(poor.energy, Unavailable)
    assert isinstance(poor.sustained, Unavailable)


def test_operators_add_up_to_the_whole() -> None:
    found = apply(given(), record(), PI4, SHIPPED)
    times = [each.time for each in found.ops]
    assert isinstance(found.latency.mean, Metric)
    assert sum(time.value for time in times if isinstance(time, Metric)) == pytest.approx(found.latency.mean.value)
    assert all(isinstance(time, Metric) and time.mode == "calibrated" for time in times)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (given(threads=3), "no calibration is for xnnpack, fp32, 3 threads"),
        (given(op(0, 0.5), op(1, 0.5, delegate=None), threads=4), "kernels of several libraries"),
        (given(op(0, 0.5), op(1, 0.5, dtype="int8"), threads=4), "several precisions"),
        (given(op(0, 0.5, dtype="float16"), op(1, 0.5, dtype="float16"), threads=4), "several precisions"),
    ],
)
def test_where_nothing_fits_only_counts_are_left(changed: Result, reason: str) -> None:
    found = apply(changed, record(), PI4, SHIPPED)
    assert isinstance(found.latency.mean, Unavailable)
    assert reason in found.latency.mean.unavailable
    assert found.latency.mean == found.latency.p95 == found.latency.throughput == found.latency.sustained
    assert found.latency.counts == changed.latency.counts
    assert found.latency.calibration is None


def moving(of: RunRecord) -> RunRecord:
    """The same with what its operators move."""
    moved = Traffic(activation_bytes=10**7, im2col_bytes=10**5, large_weight_bytes=0)
    return of.model_copy(update={"model": of.model.model_copy(update={"traffic": moved})})


def test_what_does_not_follow_from_the_file_leaves_no_estimate() -> None:
    found = apply(given(own_kernels(0, 1, "ruy"), threads=4), record(), PI4, SHIPPED).latency.mean
    assert isinstance(found, Unavailable)
    assert "activation bytes and im2col bytes" in found.unavailable


def test_counts_of_one_thread_are_what_several_share() -> None:
    several = given(own_kernels(0, 1, "ruy"), threads=4)
    alone = several.latency.counts.model_copy(update={"classes": {n: c // 2 for n, c in CLASSES.items()}})
    counted_alone = several.model_copy(
        update={"latency": several.latency.model_copy(update={"counts": several.latency.counts, "work": alone})}
    )
    wide, narrow = (apply(each, moving(record()), PI4, SHIPPED).latency.mean for each in (several, counted_alone))
    assert isinstance(wide, Metric)
    assert isinstance(narrow, Metric)
    assert narrow.value < wide.value
    assert (narrow.high or 0) / narrow.value < (wide.high or 0) / wide.value


def test_several_libraries_and_precisions_on_one_thread_are_a_transfer_by_core() -> None:
    found = apply(given(op(0, 0.5), op(1, 0.5, delegate=None)), record(), PI4, SHIPPED).latency
    assert found.calibration is not None
    assert found.calibration.id == "rpi4b/any-kernels-1t"
    assert found.calibration.error is not None


@pytest.mark.parametrize(("delegates", "library"), [(("XNNPACK", "XNNPACK"), "xnnpack"), (("XNNPACK", None), None)])
def test_without_counts_of_operators_the_runtime_s_word_is_taken(
    delegates: tuple[str | None, ...], library: str | None
) -> None:
    nothing = Unavailable(unavailable="not counted")
    ops = (op(n, 0.5, delegate=each).model_copy(update={"instructions": nothing}) for n, each in enumerate(delegates))
    outside = op(9, 0.01, delegate=None).model_copy(update={"status": "outside"})
    assert kernel_library(given(*ops, outside)) == library


def own_kernels(index: int, share: float, library: str) -> Op:
    kernel = Kernel(function=None, library=library, instructions=counted(1))
    return op(index, share, delegate=None).model_copy(update={"kernels": (kernel,)})


def test_the_interpreter_s_own_kernels_go_with_the_matrix_library() -> None:
    mixed = given(own_kernels(0, 0.6, "ruy"), own_kernels(1, 0.4, "TFLite optimised kernels"), threads=4)
    found = apply(mixed, moving(record()), PI4, SHIPPED).latency
    assert found.calibration is not None
    assert "-ruy-fp32-4t" in found.calibration.id
    foreign = given(own_kernels(0, 0.6, "gemmlowp"), own_kernels(1, 0.4, "TFLite"), threads=4)
    assert isinstance(apply(foreign, record(), PI4, SHIPPED).latency.mean, Unavailable)


def test_an_unusual_mix_of_instructions_widens_the_interval() -> None:
    usual = apply(given(), record(), PI4, SHIPPED).latency.mean
    strange = given()
    classes = {"vector_fma": 10_000_000, "integer": 84_000_000}
    counts = strange.latency.counts.model_copy(update={"classes": classes})
    strange = strange.model_copy(update={"latency": strange.latency.model_copy(update={"counts": counts})})
    found = apply(strange, record(), PI4, SHIPPED).latency
    assert isinstance(usual, Metric)
    assert isinstance(found.mean, Metric)
    assert (found.mean.high or 0) / found.mean.value > (usual.high or 0) / usual.value
    assert found.calibration is not None
    assert any("twice as wide" in note for note in found.calibration.notes)


def test_the_warning_about_uncalibrated_times_goes() -> None:
    base = given()
    noted = base.model_copy(update={"warnings": (f"times are not calibrated: {UNCALIBRATED}", "another")})
    assert apply(noted, record(), PI4, SHIPPED).warnings == ("another",)
    kept = noted.model_copy(update={"runtime": noted.runtime.model_copy(update={"threads": 3})})
    assert len(apply(kept, record(), PI4, SHIPPED).warnings) == 2


def mean(**values: Any) -> Metric:
    return Metric.model_validate({"value": 0.02, "unit": "second", "mode": "calibrated", **values})


@pytest.mark.parametrize(
    ("budget", "status"),
    [(0.0221, "pass"), (0.022, "pass"), (0.021, "warn"), (0.0199, "fail"), (0.01, "fail")],
)
def test_the_budget_is_judged_by_the_interval(budget: float, status: str) -> None:
    check = budget_check(mean(low=0.018, high=0.022), budget)
    assert (check.id, check.status) == ("latency", status)
    assert check.fix if status in {"fail", "warn"} else True


def test_an_unknown_time_passes_no_budget() -> None:
    check = budget_check(Unavailable(unavailable="no calibration is for this"), 1.0)
    assert (check.status, check.reason) == ("unknown", "no calibration is for this")


def test_the_verdict_follows_the_budget() -> None:
    assert apply(given(), record(0.001), PI4, SHIPPED).verdict.status == "not_ready"
    assert apply(given(threads=3), record(1.0), PI4, SHIPPED).verdict.status == "unknown"
