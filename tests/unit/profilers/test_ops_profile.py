"""Operator rows that the guest wrote, and rows of a model that did not run."""

from __future__ import annotations

import pytest

from sandbox.measurements import Op
from sandbox.metrics import Metric, Unavailable
from sandbox.profilers.ops import executed_rows, static_rows
from sandbox.record import OperatorRecord

NO_TIME = Unavailable(unavailable="the runtime's profiler gave no time for it")
CONV = {"type": "CONV_2D", "name": "conv", "dtype": "int8", "delegate": None, "time_ns": 1_500_000}


def row(*, emulated: bool = True, **changes: object) -> Op:
    (only,) = executed_rows({"operators": [{**CONV, **changes}]}, emulated=emulated, source="QEMU")
    return only


def test_a_row() -> None:
    found = row()
    assert (found.index, found.type, found.name, found.dtype) == (0, "CONV_2D", "conv", "int8")
    assert (found.delegate, found.status, found.detail) == (None, "native", None)
    assert found.time == Metric(value=0.0015, unit="second", mode="emulated", source="QEMU")
    assert found.instructions == Unavailable(unavailable="this run counted no instructions")
    assert row(emulated=False).time == Metric(value=0.0015, unit="second", mode="measured", source="QEMU")


@pytest.mark.parametrize(
    ("delegate", "name", "status"),
    [
        (None, None, "native"),
        ("", None, "native"),
        ("CPUExecutionProvider", "CPUExecutionProvider", "native"),
        ("XNNPACK", "XNNPACK", "delegated"),
        ("XnnpackExecutionProvider", "XnnpackExecutionProvider", "delegated"),
        (["XNNPACK"], "['XNNPACK']", "delegated"),
    ],
)
def test_whose_kernel_ran(delegate: object, name: str | None, status: str) -> None:
    found = row(delegate=delegate)
    assert (found.delegate, found.status) == (name, status)


@pytest.mark.parametrize("time", [None, "5", True, -1, 1e15, 10**400, float("nan"), float("inf"), [1]])
def test_no_time_is_made_of_nonsense(time: object) -> None:
    assert row(time_ns=time).time == NO_TIME


@pytest.mark.parametrize(
    ("resolution", "reason"),
    [
        (1000, "shorter than the profiler's resolution of 1 µs"),
        (1_000_000, "shorter than the profiler's resolution of 1000 µs"),
        *(
            (nonsense, "shorter than the profiler's resolution")
            for nonsense in (None, "1", 0, -5, 10**400, float("nan"))
        ),
    ],
)
def test_a_time_of_nothing_is_no_zero(resolution: object, reason: str) -> None:
    assert row(time_ns=0, resolution_ns=resolution).time == Unavailable(unavailable=reason)


def test_names_that_are_missing_or_no_names() -> None:
    (found,) = executed_rows({"operators": [{}]}, emulated=True, source="QEMU")
    assert (found.type, found.name, found.dtype, found.delegate, found.time) == ("?", "", None, None, NO_TIME)
    found = row(type=["x"], name=7, dtype={})
    assert (found.type, found.name, found.dtype) == ("['x']", "7", None)


def test_rows_are_numbered_in_order_and_nonsense_is_left_out() -> None:
    rows = executed_rows({"operators": [CONV, "text", None, {**CONV, "name": "b"}]}, emulated=True, source="QEMU")
    assert [(found.index, found.name) for found in rows] == [(0, "conv"), (3, "b")]


@pytest.mark.parametrize("report", [None, {}, {"operators": None}, {"operators": {}}, {"operators": "rows"}])
def test_no_rows(report: dict[str, object] | None) -> None:
    assert executed_rows(report, emulated=True, source="QEMU") == ()


def operator(index: int, kind: str) -> OperatorRecord:
    return OperatorRecord(index=index, type=kind, version=1, domain="", custom=False, dtype="float32")


def test_rows_of_a_model_that_did_not_run() -> None:
    rows = static_rows([operator(0, "Conv"), operator(1, "FFT"), operator(2, "FFT")], {"FFT": "no FFT here"}, "it died")
    assert [(found.index, found.type, found.status, found.detail) for found in rows] == [
        (0, "Conv", "not_run", None),
        (1, "FFT", "missing", "no FFT here"),
        (2, "FFT", "missing", "no FFT here"),
    ]
    for found in rows:
        assert found.time == found.instructions == Unavailable(unavailable="it died")
        assert (found.name, found.dtype, found.delegate) == ("", "float32", None)
