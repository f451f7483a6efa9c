"""Comparing outputs, and saying who departs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.parity import (
    Departure,
    Parity,
    ParityStatus,
    Side,
    SideName,
    compare,
    difference,
    judge,
    tolerance_of,
    worst,
)

Array = np.ndarray[Any, Any]


def value(quantity: Quantity) -> float:
    assert isinstance(quantity, Metric), quantity
    return quantity.value


def found(actual: Array, expected: Array) -> Any:
    return difference("out", actual, expected, mode="emulated")


def test_numbers_of_a_difference() -> None:
    expected = np.array([[10.0, 1.0, 0.001, -5.0]], dtype=np.float32)
    actual = np.array([[10.0, 1.1, 0.002, -5.0]], dtype=np.float32)
    row = found(actual, expected)
    assert value(row.largest_absolute) == pytest.approx(0.1)
    assert value(row.largest_relative) == pytest.approx(0.1), "0.001 is small beside 10"
    assert value(row.tolerance) == pytest.approx(0.01)
    assert value(row.cosine) == pytest.approx(1.0, abs=1e-3)
    assert value(row.top1) == 1.0
    assert isinstance(row.top5, Unavailable)
    assert row.departs
    assert row.largest_absolute.unit == "1"


@pytest.mark.parametrize(
    ("dtype", "apart", "departs"),
    [
        ("int8", 2, False),
        ("int8", 3, True),
        ("uint8", 2, False),
        ("int16", 5, True),
        ("int32", 1, True),
        ("bool", 1, True),
    ],
)
def test_steps_of_whole_numbers(dtype: str, apart: int, departs: bool) -> None:
    row = found(np.array([0, apart]).astype(dtype), np.zeros(2, dtype=dtype))
    assert row.departs == departs
    assert value(row.largest_absolute) == apart
    assert row.largest_absolute.unit == ("step" if dtype in {"int8", "uint8", "int16"} else "1")


def test_the_largest_elements() -> None:
    expected = np.arange(20, dtype=np.float32).reshape(2, 10)
    actual = expected.copy()
    actual[0] = actual[0][::-1]
    row = found(actual, expected)
    assert value(row.top1) == 0.5
    assert value(row.top5) == 0.5
    tied = np.zeros((1, 10), dtype=np.int8)
    assert value(found(tied, tied).top5) == 1.0


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_must_be_so_on_both_sides(odd: float) -> None:
    one, other = np.array([1.0, odd], dtype=np.float32), np.array([1.0, 2.0], dtype=np.float32)
    assert found(one, other).departs
    assert not found(one, one).departs
    assert value(found(one, other).largest_absolute) == 0.0, "of what is finite on both"


@pytest.mark.parametrize(
    "other", [np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float64), np.zeros((3, 2), np.int8)]
)
def test_other_shapes_and_types_depart(other: Array) -> None:
    row = found(np.zeros((3, 2), dtype=np.float32), other)
    assert row.departs
    assert isinstance(row.cosine, Unavailable)


def test_text_and_nothing() -> None:
    words = np.array(["a", "b"])
    assert not found(words, words.copy()).departs
    assert found(words, np.array(["a", "c"])).departs
    assert not found(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)).departs


@given(arrays.arrays(st.sampled_from(["float32", "int8", "uint8", "int64", "bool"]), arrays.array_shapes(max_side=6)))
def test_everything_agrees_with_itself(array: Array) -> None:
    row = found(array, array.copy())
    assert not row.departs
    assert value(row.largest_absolute) == 0.0


def test_tolerances() -> None:
    assert tolerance_of("float32", 10.0) == pytest.approx(0.01)
    assert tolerance_of("int8", 100.0) == 2
    assert tolerance_of("int64", 1e9) == 0


RIGHT = [("out", np.array([[1.0, 2.0]], dtype=np.float32))]
WRONG = [("out", np.array([[1.0, 2.5]], dtype=np.float32))]
OTHER = [("out", np.array([[9.0, 2.5]], dtype=np.float32))]


def parity(outputs: Mapping[SideName, Any], first: Departure | None = None) -> Parity:
    pairs: list[tuple[SideName, SideName]] = [
        ("device", "host"), ("device", "device_plain"), ("device", "given"), ("device_plain", "given"),
        ("host", "given"), ("device", "reference"), ("device_plain", "reference"), ("host", "reference"),
    ]  # fmt: skip
    return Parity(
        inputs="zeros",
        sides=tuple(Side(side=n, what=n, unavailable=a if isinstance(a, str) else None) for n, a in outputs.items()),
        comparisons=tuple(compare(a, b, outputs, mode="emulated") for a, b in pairs if {a, b} <= outputs.keys()),
        first_departure=first,
    )


@pytest.mark.parametrize(
    ("outputs", "status", "says"),
    [
        ({"device": RIGHT, "host": RIGHT, "reference": RIGHT}, "pass", "agrees with the reference kernels"),
        ({"device": RIGHT, "host": WRONG, "reference": RIGHT}, "pass", "departs from it: out by at most 0.5"),
        ({"device": WRONG, "host": RIGHT, "reference": RIGHT}, "fail", "; the host's build agrees with it"),
        ({"device": WRONG, "host": WRONG, "reference": RIGHT}, "warn", "the reference kernels that differ"),
        ({"device": WRONG, "host": OTHER, "reference": RIGHT}, "unknown", "right by two to one"),
        ({"device": WRONG, "host": "no namespaces", "reference": RIGHT}, "unknown", "was not asked"),
        ({"device": WRONG, "host": RIGHT, "reference": "no kernel"}, "unknown", "departs is open: no kernel"),
        ({"device": RIGHT, "host": RIGHT, "reference": "no kernel"}, "pass", "agrees with the host's build"),
        ({"device": RIGHT, "host": "broken", "reference": "broken too"}, "unknown", "to compare with: broken"),
        ({"device": WRONG, "host": RIGHT, "given": RIGHT, "reference": WRONG}, "fail", "from the given outputs"),
        ({"device": WRONG, "host": WRONG, "given": RIGHT}, "fail", "; so does the host's build"),
        ({"device": RIGHT, "host": WRONG, "given": RIGHT, "reference": WRONG}, "pass", "agrees with the given"),
    ],
)  # fmt: skip
def test_who_departs(outputs: Mapping[SideName, Any], status: ParityStatus, says: str) -> None:
    judged = judge(parity(outputs))
    assert judged[0] == status
    assert says in judged[1]


def test_the_way_out() -> None:
    sides: dict[SideName, Any] = {"device": WRONG, "host": RIGHT, "reference": RIGHT}
    assert judge(parity(sides))[2] == "find the first operator that departs: --parity-operators"
    assert "--no-delegates" in str(judge(parity({**sides, "device_plain": RIGHT}))[2])
    row = found(WRONG[0][1], RIGHT[0][1])
    first = Departure(index=3, type="CONV_2D", name="conv", against="reference", difference=row)
    assert "operator 3, CONV_2D conv" in str(judge(parity({**sides, "device_plain": WRONG}, first))[2])


def test_sides_with_other_numbers_of_outputs() -> None:
    compared = compare("device", "host", {"device": RIGHT, "host": [*RIGHT, *RIGHT]}, mode="emulated")
    assert compared.unavailable == "the device's build has 1 outputs, the host's build 2"
    assert not compared.departs


def test_the_worst_output() -> None:
    both = {"device": [*RIGHT, *WRONG], "host": [*RIGHT, *RIGHT]}
    text = worst(compare("device", "host", both, mode="emulated"))  # type: ignore[arg-type]
    assert text == "out by at most 0.5 (0.002 allowed)"
    assert worst(compare("device", "host", {"device": RIGHT, "host": RIGHT}, mode="emulated")) == "out is the same"
