"""Calibration files: what they compute, and that damage is one clear error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.calibration import TERMS, Slots, amounts, load_calibrations, read_calibration, within
from sandbox.errors import DataFileError
from sandbox.record import Traffic

FOLDER = Path(__file__).parents[2] / "calibration"
SHIPPED = load_calibrations(FOLDER)
MOVED = Traffic(activation_bytes=11, im2col_bytes=13, large_weight_bytes=17)


def test_slots_weigh_by_class() -> None:
    slots = Slots(multiply=1, vector=2, memory=3, other=4)
    assert slots.of({"vector_fma": 10, "dot_product": 1, "permute": 1, "load": 1, "branch": 1, "unknown": 1}) == 24


def test_seconds_are_the_sum_of_the_parts() -> None:
    costs = {"weight_byte": 1e-9, "operator": 1e-6, "activation_byte": 2e-9, "im2col_byte": 3e-9}
    none = {f"seconds_per_{term}": 0.0 for term in TERMS}
    each = SHIPPED[0].model_copy(update=none | {f"seconds_per_{term}": cost for term, cost in costs.items()})
    assert each.costs == costs
    slots = each.slots.of({"vector_fma": 1_000_000})
    expected = slots * each.cycles_per_slot / each.clock_hz + 5e-9 + 7e-6 + 2e-9 * 11 + 3e-9 * 13
    assert each.seconds({"vector_fma": 1_000_000}, amounts(5, 7, MOVED)) == pytest.approx(expected)


def test_half_the_clock_takes_twice_the_time() -> None:
    each = SHIPPED[0].model_copy(update={f"seconds_per_{term}": 0.0 for term in TERMS})
    slow = each.model_copy(update={"clock_hz": each.clock_hz // 2})
    assert slow.seconds({"load": 100}, {}) == pytest.approx(2 * each.seconds({"load": 100}, {}))


@given(st.floats(1e-6, 1e3), st.floats(0.001, 2))
def test_the_interval_holds_the_estimate(seconds: float, width: float) -> None:
    low, high = within(seconds, width)
    assert 0 < low < seconds < high


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cycles_per_slot", -1.0),
        ("cycles_per_slot", 0.0),
        ("interval", -0.1),
        ("seconds_per_weight_byte", -1e-9),
        ("threads", 0),
        ("schema_version", 2),
        ("speed", 1),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(tmp_path: Path, key: str, value: float) -> None:
    path = tmp_path / f"{SHIPPED[0].id}.json"
    path.parent.mkdir()
    path.write_text(json.dumps(json.loads(SHIPPED[0].model_dump_json()) | {key: value}))
    with pytest.raises(DataFileError, match=key):
        read_calibration(path)


def test_infinity_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{SHIPPED[0].id}.json"
    path.parent.mkdir()
    document = json.loads(SHIPPED[0].model_dump_json()) | {"cycles_per_slot": float("inf")}
    path.write_text(json.dumps(document))
    with pytest.raises(DataFileError):
        read_calibration(path)


def test_a_file_in_another_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.json"
    path.write_text(SHIPPED[0].model_dump_json())
    with pytest.raises(DataFileError, match="id: is"):
        read_calibration(path)
