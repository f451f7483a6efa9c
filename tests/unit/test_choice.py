"""Which calibration is taken, how it is scaled, and that what does not fit is refused with a reason."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from sandbox.calibration import Calibration, load_calibrations
from sandbox.choice import OTHER_BUILD, RELATED_CORE, SAME_CORE, SEVERAL_THREADS, Choice, Target, Workload, choose

SHIPPED = load_calibrations(Path(__file__).parents[2] / "calibration")
PI4 = Target(
    id="rpi4b",
    soc="Broadcom BCM2711",
    core="cortex-a72",
    clock_hz=1_500_000_000,
    bandwidth_bytes_per_second=2_554_100_000,
)
PI5 = Target(id="rpi5", soc="Broadcom BCM2712", core="cortex-a76", clock_hz=2_400_000_000, bandwidth_bytes_per_second=1)
FP32 = Workload(
    runtime="tflite-runtime",
    runtime_version="2.14.0",
    library="xnnpack",
    dtype="fp32",
    threads=1,
    architecture="arm64",
)


def changed(work: Workload, **changes: Any) -> Workload:
    return Workload(**{**vars(work), **changes})


def chosen(target: Target, work: Workload, known: tuple[Calibration, ...] = SHIPPED) -> Choice:
    found = choose(known, target, work)
    assert isinstance(found, Choice), found
    return found


def without(device: str) -> tuple[Calibration, ...]:
    return tuple(each for each in SHIPPED if each.device != device)


def test_a_board_s_own_calibration_comes_first() -> None:
    found = chosen(PI4, FP32)
    assert found.calibration.device == "rpi4b"
    assert found.half_width == found.calibration.interval


def test_without_one_the_same_core_is_scaled_by_clock_and_bandwidth() -> None:
    found = chosen(PI4, FP32, without("rpi4b"))
    source = next(each for each in SHIPPED if each.id == found.calibration.id)
    assert (source.device, found.calibration.clock_hz) == ("aws-graviton1", 1_500_000_000)
    assert found.half_width == pytest.approx(math.hypot(source.interval, SAME_CORE))
    assert any("transferred from aws-graviton1" in note for note in found.notes)


def test_what_bytes_cost_is_scaled_by_bandwidth_and_what_operators_cost_is_not() -> None:
    costs = {"seconds_per_weight_byte": 1e-10, "seconds_per_im2col_byte": 3e-9, "seconds_per_operator": 1e-6}
    source = next(each for each in without("rpi4b") if each.device == "aws-graviton1" and "fp32" in each.dtypes)
    found = chosen(PI4, FP32, (source.model_copy(update=costs),)).calibration
    slower = 4_280_200_000 / 2_554_100_000
    assert found.seconds_per_weight_byte == pytest.approx(1e-10 * slower)
    assert found.seconds_per_im2col_byte == pytest.approx(3e-9 * slower)
    assert found.seconds_per_operator == 1e-6


def test_a_related_core_serves_with_a_wider_interval() -> None:
    found = chosen(PI5, FP32, without("rpi5"))
    assert found.calibration.core == "neoverse-n1"
    assert found.half_width > RELATED_CORE
    assert chosen(PI5, FP32).half_width == pytest.approx(found.half_width, rel=1e-4)  # its file says the same


def test_another_clock_of_the_same_board_is_scaled_and_said() -> None:
    found = chosen(Target(**{**vars(PI4), "clock_hz": 1_800_000_000}), FP32)
    assert found.calibration.clock_hz == 1_800_000_000
    assert any("scaled to 1800 MHz" in note for note in found.notes)


def test_another_build_is_flagged() -> None:
    found = chosen(PI4, changed(FP32, runtime_version="2.11.0"))
    assert found.half_width == pytest.approx(math.hypot(found.calibration.interval, OTHER_BUILD))
    assert any("not with the build that ran" in note for note in found.notes)


def test_counts_of_several_threads_widen_the_interval() -> None:
    ruy = changed(FP32, library="ruy", threads=4, runtime="ai-edge-litert", runtime_version="2.3.0")
    assert chosen(PI4, ruy).half_width == chosen(PI4, ruy).calibration.interval
    found = chosen(PI4, changed(ruy, work_alone=False))
    assert found.half_width == pytest.approx(math.hypot(found.calibration.interval, SEVERAL_THREADS))
    assert any("small models come out too slow" in note for note in found.notes)


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (changed(FP32, threads=3), "no calibration is for xnnpack, fp32, 3 threads, arm64"),
        (changed(FP32, library="mlas", threads=2), "no calibration is for mlas"),
        (
            changed(FP32, library=None, dtype=None, threads=2),
            "no calibration is for kernels of several",
        ),
        (changed(FP32, architecture="amd64"), "no calibration is for xnnpack, fp32, 1 thread, amd64"),
    ],
)
def test_what_nothing_fits_is_refused(work: Workload, reason: str) -> None:
    found = choose(SHIPPED, PI4, work)
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_an_unknown_core_is_named() -> None:
    found = choose(SHIPPED, Target(**{**vars(PI4), "core": "cortex-a7", "soc": "other"}), FP32)
    assert isinstance(found, str)
    assert "a cortex-a7 or a core like it" in found


@pytest.mark.parametrize("changes", [{"library": "gemmlowp", "dtype": "int8"}, {"library": None, "dtype": None}])
def test_kernels_that_nothing_was_measured_of_are_a_transfer_with_a_known_error(changes: dict[str, Any]) -> None:
    found = chosen(PI4, changed(FP32, **changes))
    assert found.calibration.id == "rpi4b/any-kernels-1t"
    assert found.calibration.unseen is not None
    assert found.half_width >= math.log1p(found.calibration.unseen.worst)
    assert any("transfer between kernel libraries" in note for note in found.notes)


def test_kernels_that_were_measured_are_never_a_transfer_between_libraries() -> None:
    nothing_near = tuple(each for each in SHIPPED if each.device == "aws-graviton1" or each.library == "any")
    assert chosen(PI4, FP32, nothing_near).calibration.library == "xnnpack"
