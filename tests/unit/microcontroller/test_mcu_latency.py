"""Latency of microcontrollers: the fit, its honesty about models left out, and when there is none."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from sandbox.errors import DataFileError
from sandbox.measured import MeasuredRow
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.microcontroller.board import load_board
from sandbox.microcontroller.latency import FILE, FitPlan, MicrocontrollerCalibration, fit, load_fits, predicted_latency

PROJECT = Path(__file__).parents[3]
CALIBRATION, SPECS = PROJECT / "calibration", PROJECT / "device_specs"
FITS = load_fits(CALIBRATION)
MACS = Metric(value=1_000_000, unit="multiply-accumulate", mode="predicted")


def plan(**changes: object) -> FitPlan:
    given = {
        "id": "b/t",
        "core": "cortex-m4",
        "soc": "X",
        "clock_hz": 100_000_000,
        "kernels": "cmsis-nn",
        "tflm": "1",
        "where": {"device": ["B"]},
    }
    return FitPlan.model_validate({**given, **changes})


def row(model: str, milliseconds: float) -> MeasuredRow:
    return MeasuredRow(
        device="B", core="M4", model=model, dtype="int8", runtime="TFLM", source_title="t", source_locator="l",
        p50_ms=milliseconds,
    )  # fmt: skip


def test_a_constant_cost_is_found_exactly() -> None:
    rows = [row("a", 10), row("b", 20), row("c", 40)]
    made = fit(plan(), rows, {"a": 1e6, "b": 2e6, "c": 4e6})
    assert made.cycles == pytest.approx(1.0)
    assert made.error == pytest.approx(0, abs=1e-9)
    assert made.interval == pytest.approx(0, abs=1e-9)


def test_a_model_is_predicted_from_the_others_only() -> None:
    rows = [row("a", 10), row("b", 10), row("c", 40)]
    made = fit(plan(), rows, dict.fromkeys("abc", 1e6))
    assert made.left_out == pytest.approx((1.0, 1.0, 0.75))  # √(1·4) of 1, of 1, and 1 of 4
    spread = math.log(4) / math.sqrt(3)
    assert made.interval == pytest.approx(2.92 * spread * math.sqrt(4 / 3))


def test_too_few_rows_make_no_calibration() -> None:
    with pytest.raises(DataFileError, match="2 measured rows"):
        fit(plan(), [row("a", 10), row("b", 20), row("unknown", 1)], {"a": 1.0, "b": 1.0})


@pytest.mark.parametrize("each", FITS, ids=lambda each: each.plan.id)
def test_shipped_calibrations_say_what_they_are_worth(each: MicrocontrollerCalibration) -> None:
    assert len(each.rows) >= 4
    assert each.sources
    assert 0.3 < each.cycles < 50
    inside = [abs(math.log(cycles / each.cycles)) <= each.interval for _model, cycles in each.rows]
    assert sum(inside) >= 0.75 * len(inside), "a 90 % interval holds most of the few rows that it was made from"


def test_the_documented_table_is_what_the_fits_say() -> None:
    text = (PROJECT / "docs" / "microcontrollers.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `([^`]+)` \| [^|]+ \| (\d+) \| (\d+) % mean, (\d+) % worst \| ×([\d.]+) \|$", text, re.MULTILINE
    )
    told = {name: tuple(map(float, numbers)) for name, *numbers in rows}
    assert told.keys() == {each.plan.id for each in FITS}
    for each in FITS:
        count, mean_error, worst, factor = told[each.plan.id]
        assert (count, mean_error, worst) == (len(each.rows), round(100 * each.error), round(100 * max(each.left_out)))
        assert factor == pytest.approx(math.exp(each.interval), rel=0.02)


def test_reference_kernels_cost_about_ten_times_cmsis_nn_s() -> None:
    by_id = {each.plan.id: each.cycles for each in FITS}
    ratio = by_id["stm32h743/tflm-713b6ed-reference-int8"] / by_id["stm32h743/tflm-713b6ed-cmsis-nn-int8"]
    assert 8 < ratio < 14


def mean(board: str, macs: Quantity = MACS, dtype: str = "int8", kernels: str = "cmsis-nn") -> Quantity:
    latency = predicted_latency(load_board(board, SPECS), kernels, macs, dtype, CALIBRATION)  # type: ignore[arg-type]
    assert (latency.calibration is None) == isinstance(latency.mean, Unavailable)
    return latency.mean


def test_another_chip_with_the_core_has_a_wider_interval() -> None:
    own, other = mean("ek-ra6m4"), mean("nrf5340-dk")
    assert isinstance(own, Metric)
    assert isinstance(other, Metric)
    assert own.value * 200 == pytest.approx(other.value * 128)
    assert (own.high or 0) / own.value < (other.high or 0) / other.value
    assert own.mode == "predicted"
    assert (own.high or 0) / own.value > 1.5, "another build of TFLM may cost half as much again"


@pytest.mark.parametrize(
    ("board", "dtype", "kernels", "reason"),
    [
        ("corstone-300", "int8", "cmsis-nn", "no published times of TFLM with cmsis-nn kernels on a cortex-m55"),
        ("nucleo-g0b1re", "int8", "reference", "no published times of TFLM with reference kernels on a cortex-m0+"),
        ("nucleo-l4r5zi", "fp32", "cmsis-nn", "no published times of fp32 models"),
    ],
)
def test_without_published_times_the_reason_is_told(board: str, dtype: str, kernels: str, reason: str) -> None:
    found = mean(board, dtype=dtype, kernels=kernels)
    assert isinstance(found, Unavailable)
    assert reason in found.unavailable


def test_unknown_work_is_no_time() -> None:
    assert mean("ek-ra6m4", Unavailable(unavailable="operator 3: secret")) == Unavailable(
        unavailable="operator 3: secret"
    )
    nothing = mean("ek-ra6m4", MACS.model_copy(update={"value": 0}))
    assert isinstance(nothing, Unavailable)


@pytest.mark.parametrize("text", ["[macs]\nx = -1\n", "no toml =", "[[fit]]\nid = 3\n"])
def test_a_wrong_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DataFileError, match=FILE):
        load_fits(tmp_path)


def test_a_folder_without_the_file_has_none(tmp_path: Path) -> None:
    assert load_fits(tmp_path) == ()
