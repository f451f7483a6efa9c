"""Operator rows that the guest wrote, and rows of a model that did not run."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.measurements import Code, Op
from sandbox.metrics import Metric, Unavailable
from sandbox.profilers.counts import parse_marks
from sandbox.profilers.ops import OperatorCounts, executed_rows, static_rows
from sandbox.record import OperatorRecord
from tests.unit.profilers.count_files import INFERENCE, block, delta

UNCOUNTED = "nothing was counted"
NO_TIME = Unavailable(unavailable="the runtime's profiler gave no time for it")
CONV: dict[str, Any] = {"type": "CONV_2D", "name": "conv", "dtype": "int8", "delegate": None, "time_ns": 1_500_000}


def row(*, emulated: bool = True, **changes: object) -> Op:
    (only,) = executed_rows({"operators": [{**CONV, **changes}]}, UNCOUNTED, emulated=emulated, source="QEMU")
    return only


def test_a_row() -> None:
    found = row()
    assert (found.index, found.type, found.name, found.dtype) == (0, "CONV_2D", "conv", "int8")
    assert (found.delegate, found.status, found.detail) == (None, "native", None)
    assert found.time == Metric(value=0.0015, unit="second", mode="emulated", source="QEMU")
    assert found.instructions == Unavailable(unavailable=UNCOUNTED)
    assert found.lines_from_l2 == found.lines_from_dram == Unavailable(unavailable=UNCOUNTED)
    assert (found.classes, found.kernels, found.shape) == ({}, (), None)
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
    (found,) = executed_rows({"operators": [{}]}, UNCOUNTED, emulated=True, source="QEMU")
    assert (found.type, found.name, found.dtype, found.delegate, found.time) == ("?", "", None, None, NO_TIME)
    found = row(type=["x"], name=7, dtype={})
    assert (found.type, found.name, found.dtype) == ("['x']", "7", None)


def test_rows_are_numbered_in_order_and_nonsense_is_left_out() -> None:
    told = [CONV, "text", None, {**CONV, "name": "b"}]
    rows = executed_rows({"operators": told}, UNCOUNTED, emulated=True, source="QEMU")
    assert [(found.index, found.name) for found in rows] == [(0, "conv"), (1, "b")]


@pytest.mark.parametrize("report", [None, {}, {"operators": None}, {"operators": {}}, {"operators": "rows"}])
def test_no_rows(report: dict[str, object] | None) -> None:
    assert executed_rows(report, UNCOUNTED, emulated=True, source="QEMU") == ()


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
        died = Unavailable(unavailable="it died")
        assert found.time == found.instructions == found.lines_from_l2 == found.lines_from_dram == died
        assert (found.shape, found.classes, found.kernels) == (None, {}, ())
        assert (found.name, found.dtype, found.delegate) == ("", "float32", None)


@pytest.mark.parametrize(
    ("told", "shape"),
    [
        ([1, 8, 8, 3], (1, 8, 8, 3)),
        ([0], (0,)),
        *((nonsense, None) for nonsense in (None, [], "18", 8, [1, "8"], [1, 8.0], [True], {"0": 1})),
    ],
)
def test_shapes(told: object, shape: tuple[int, ...] | None) -> None:
    assert row(shape=told).shape == shape


# With counts

CONV_CODE, POOL_CODE, PYTHON_CODE, STRAY_CODE = 0x1000, 0x2000, 0x3000, 0x9000
CODE = {
    CONV_CODE: Code(function="xnn_igemm", library="XNNPACK", place="lib.so+1000"),
    POOL_CODE: Code(function=None, library="lib.so", place="lib.so+2000"),
    PYTHON_CODE: Code(function="_PyEval_EvalFrameDefault", library="Python", place="python3.11+3000"),
}
BLOCKS = (
    block(0, CONV_CODE, vector_fma=8, vector_load=2)
    + block(1, POOL_CODE, vector_integer=5)
    + block(2, PYTHON_CODE, integer=1)
    + block(3, STRAY_CODE, integer=1)
)
INFERENCES = b"".join(
    [
        BLOCKS,
        delta((0, 0, 7), token=0, time=70),
        delta(token=INFERENCE, since=70, time=71),
        delta((2, 0, 10), token=2, since=100, time=110),
        delta((0, 0, 100), (0, 1, 90), (1, 0, 1), token=3, since=110, time=1200, l2=40, dram=6),
        delta((2, 0, 20), token=4, since=1200, time=1220),
        delta((1, 0, 40), (3, 0, 100), token=5, since=1220, time=1520),
        delta((2, 0, 5), token=INFERENCE, since=1520, time=1525),
    ]
)
ROWS: list[dict[str, Any]] = [
    {**CONV, "marks": [[2, 3]], "shape": [1, 8]},
    {"type": "POOL", "name": "pool", "marks": [[4, 5]]},
]


def counted(rows: list[dict[str, Any]] = ROWS, data: bytes = INFERENCES, **changes: Any) -> tuple[Op, ...]:
    arguments = {"marks": parse_marks(data), "code": CODE, "unprofiled": {}, "tick_ns": (2, 3), "source": "QEMU 8"}
    counts = OperatorCounts(**{**arguments, "caches": False, **changes})
    return executed_rows({"operators": rows}, counts, emulated=True, source="QEMU, wall time")


def value(quantity: object) -> float:
    assert isinstance(quantity, Metric)
    return quantity.value


def test_counted_operators() -> None:
    conv, pool, outside = counted()
    assert conv.instructions == Metric(value=1905, unit="instruction", mode="emulated", source="QEMU 8")
    assert conv.classes == {"vector_fma": 1520, "vector_load": 380, "vector_integer": 5}
    assert (conv.index, conv.type, conv.status, conv.shape) == (0, "CONV_2D", "native", (1, 8))
    assert (value(pool.instructions), pool.classes) == (300, {"vector_integer": 200, "integer": 100})
    assert (outside.index, outside.type, outside.status) == (2, "(outside operators)", "outside")
    assert (value(outside.instructions), outside.classes) == (35, {"integer": 35})


def test_operators_and_the_rest_are_the_whole_inference() -> None:
    assert sum(value(op.instructions) for op in counted()) == 1905 + 300 + 35
    assert sum(value(op.time) for op in counted()) == pytest.approx((1525 - 100) * 2 / 3 * 1e-9)


def test_the_time_of_a_counted_operator_is_the_critical_path_s() -> None:
    conv, *_others = counted()
    assert isinstance(conv.time, Metric)
    assert conv.time.value == pytest.approx(1090 * 2 / 3 * 1e-9)
    assert (conv.time.mode, conv.time.unit) == ("emulated", "second")
    assert "not calibrated" in str(conv.time.source)


def test_the_functions_that_ran_most() -> None:
    conv, pool, outside = counted()
    assert [(k.function, k.library, value(k.instructions)) for k in conv.kernels] == [("xnn_igemm", "XNNPACK", 1900)]
    assert [(k.function, k.library, value(k.instructions)) for k in pool.kernels] == [
        (None, "lib.so", 200),
        (None, "unknown", 100),
    ]
    assert [kernel.library for kernel in outside.kernels] == ["Python"]


def test_no_more_than_four_functions() -> None:
    blocks = b"".join(block(n, 0x1000 * n, integer=1) for n in range(9))
    ran = blocks + delta(token=0) + delta(*((n, 0, 10 + n) for n in range(9)), token=1) + delta(token=INFERENCE)
    code = {0x1000 * n: Code(function=f"f{n}", library="lib", place=f"{n}") for n in range(9)}
    first, _outside = counted([{"marks": [[0, 1]]}], ran, code=code)
    assert [kernel.function for kernel in first.kernels] == ["f8", "f7", "f6", "f5"]


def test_blocks_of_one_function_are_added_up() -> None:
    code = {**CODE, POOL_CODE: CODE[CONV_CODE]}
    conv, *_others = counted(code=code)
    assert [(kernel.function, value(kernel.instructions)) for kernel in conv.kernels] == [("xnn_igemm", 1905)]


def test_cache_lines_where_caches_were_modelled() -> None:
    conv, pool, _outside = counted(caches=True)
    assert conv.lines_from_l2 == Metric(
        value=40, unit="cache line", mode="emulated", source="model of the device's data caches without prefetching"
    )
    assert (value(conv.lines_from_dram), value(pool.lines_from_l2)) == (6, 0)
    without = counted()[0]
    assert without.lines_from_l2 == Unavailable(unavailable="caches were not modelled: --caches does it")


def test_an_operator_whose_marks_are_not_there_has_no_counts() -> None:
    conv, lost, outside = counted([ROWS[0], {**ROWS[1], "marks": [[8, 9]]}])
    assert isinstance(lost.instructions, Unavailable)
    assert lost.instructions.unavailable.startswith("its marks are not in the counts")
    assert (lost.time, lost.kernels, lost.classes) == (NO_TIME, (), {})
    assert value(conv.instructions) == 1905
    assert value(outside.instructions) == 335, "what it ran is nobody's"


def test_counts_without_a_whole_inference() -> None:
    conv, _pool, outside = counted(data=BLOCKS + delta((0, 0, 1), token=2) + delta((0, 0, 1), token=3))
    assert isinstance(conv.instructions, Unavailable)
    assert value(outside.instructions) == 0


def test_without_rows_there_is_no_outside() -> None:
    assert counted([]) == ()
    assert executed_rows(None, UNCOUNTED, emulated=True, source="") == ()


def test_what_the_profiler_itself_ran_is_taken_off_in_proportion() -> None:
    """The inference without a profiler ran 7 of the 35 in Python, all of the convolution, and more of the pool."""
    unprofiled = {"python3.11+3000": 7, "lib.so+1000": 1900, "lib.so+2000": 10_000, f"{STRAY_CODE:x}": 100}
    conv, pool, outside = counted(unprofiled=unprofiled)
    assert [value(op.instructions) for op in (conv, pool, outside)] == [1905, 300, 7]
    assert outside.classes == {"integer": 7}
    assert value(outside.time) == pytest.approx(35 * 0.2 * 2 / 3 * 1e-9)
    assert value(conv.time) == pytest.approx(1090 * 2 / 3 * 1e-9)


def test_code_that_the_inference_without_a_profiler_never_ran() -> None:
    unprofiled = {"lib.so+1000": 1900, "lib.so+2000": 205, f"{STRAY_CODE:x}": 100}
    _conv, _pool, outside = counted(unprofiled=unprofiled)
    assert (value(outside.instructions), value(outside.time), outside.kernels) == (0, 0, ())
