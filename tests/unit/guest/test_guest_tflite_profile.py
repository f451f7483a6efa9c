"""From the interpreter's events to operator rows."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.guest.guest_modules import load

events = load("tflite_events")
profile = load("tflite_profile")


def begin(tag: str, node: int, time: int, subgraph: int = 0) -> tuple[Any, ...]:
    return ("begin", tag.encode(), node, subgraph, time)


def end(time: int) -> tuple[Any, ...]:
    return ("end", time)


def inner(tag: str, index: int, elapsed: int) -> tuple[Any, ...]:
    return ("add", tag.encode(), index, 0, elapsed)


RUN = ("run",)


def times(*recorded: tuple[Any, ...]) -> list[tuple[str, int, int]]:
    return [(node.tag, node.calls, node.self_ns) for node in profile.summed(recorded)]


def test_nodes_are_summed_over_inferences() -> None:
    once = [RUN, begin("CONV_2D", 0, 10), end(30), begin("SOFTMAX", 1, 30), end(35)]
    assert times(*once, *once) == [("CONV_2D", 2, 40), ("SOFTMAX", 2, 10)]


def test_a_delegate_node_keeps_only_the_time_outside_its_operators() -> None:
    recorded = [RUN, begin("TfLiteXNNPackDelegate", 2, 0), inner("Conv", 0, 60), inner("Add", 1, 30), end(100)]
    assert times(*recorded) == [("TfLiteXNNPackDelegate", 1, 10), ("Conv", 1, 60), ("Add", 1, 30)]


def test_a_loop_keeps_only_the_time_outside_its_body() -> None:
    recorded = [RUN, begin("WHILE", 0, 0), begin("ADD", 0, 10, 1), end(40), begin("ADD", 0, 50, 1), end(70), end(100)]
    assert times(*recorded) == [("WHILE", 1, 50), ("ADD", 2, 50)]


def test_two_parts_of_one_delegate_stay_apart() -> None:
    part = [inner("Copy", 0, 5), inner("FC", 1, 7)]
    once = [RUN, *part, begin("CUSTOM", 3, 0), end(9), *part]
    assert times(*once, *once) == [("Copy", 2, 10), ("FC", 2, 14), ("CUSTOM", 2, 18), ("Copy", 2, 10), ("FC", 2, 14)]


def test_two_adjoining_parts_stay_apart() -> None:
    once = [RUN, inner("Copy", 0, 5), inner("Copy", 0, 6)]
    assert times(*once, *once) == [("Copy", 2, 10), ("Copy", 2, 12)]


@pytest.mark.parametrize(
    ("tag", "type_", "dtype"),
    [
        ("Convolution (NHWC, F32) IGEMM", "CONV_2D", "float32"),
        ("Convolution (NHWC, QC8) DWConv", "DEPTHWISE_CONV_2D", "int8"),
        ("Fully Connected (NC, QS8, QC8W) GEMM", "FULLY_CONNECTED", "int8"),
        ("Average Pooling (NHWC, QU8) Average Pooling", "AVERAGE_POOL_2D", "uint8"),
        ("Copy (NC, X32)", "Copy", None),
        ("Something new", "Something new", None),
    ],
)
def test_xnnpack_names(tag: str, type_: str, dtype: str | None) -> None:
    assert (profile.xnnpack_type(tag), profile.xnnpack_dtype(tag)) == (type_, dtype)


class Interpreter:
    """The few private methods of the Python interpreter that the profile reads."""

    def _get_ops_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "op_name": "CONV_2D", "inputs": [0, 1], "outputs": [2]}]

    def get_tensor_details(self) -> list[dict[str, Any]]:
        return [{"index": 2, "name": "features", "dtype": type("int8", (), {})}]


def test_without_a_hook_there_are_rows_without_times_and_a_reason() -> None:
    module = SimpleNamespace(_interpreter_wrapper=SimpleNamespace(__file__="/no/such/wrapper.so"))
    result = profile.TfliteProfile(Interpreter(), module).result(1)
    assert "no profiler could be set" in result.unavailable
    (row,) = result.rows
    assert (row["type"], row["name"], row["dtype"], row["time_ns"]) == ("CONV_2D", "features", "int8", None)


def test_rows_of_a_recorded_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "set_profiler", lambda *_: None)
    session = profile.TfliteProfile(Interpreter(), None)
    session._recorder.events = [RUN, begin("CONV_2D", 0, 0), end(80), inner("Softmax (NC, F32)", 0, 1000)]
    result = session.result(2)
    assert [
        (row["index"], row["name"], row["delegate"], row["time_ns"], row["resolution_ns"]) for row in result.rows
    ] == [
        (0, "features", None, 40, 1),
        (1, "Softmax (NC, F32)", "XNNPACK", 500, 1000),
    ]
    assert result.unavailable is None
    assert result.overhead_ns >= 0


def test_a_clock_that_stands_still_is_no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "set_profiler", lambda *_: None)
    session = profile.TfliteProfile(Interpreter(), None)
    session._recorder.events = [RUN, begin("CONV_2D", 0, 7), end(7)]
    result = session.result(1)
    assert "0 ticks" in result.unavailable
    assert result.rows[0]["time_ns"] is None


def test_the_recorder_answers_calls_through_its_virtual_table() -> None:
    """As C++ does: the object's first word is the table, each method takes the object first."""
    recorder = events.EventRecorder()
    table = ctypes.c_void_p.from_address(recorder.address).value
    assert table is not None
    method = [ctypes.c_void_p.from_address(table + n * ctypes.sizeof(ctypes.c_void_p)).value for n in range(7)]
    begin_event, end_event, add_event = events._BEGIN(method[2]), events._END(method[4]), events._ADD(method[5])

    assert begin_event(recorder.address, b"CONV_2D", 2, 4, 0) == 0, "nothing is recorded before the warm-up is over"
    recorder.recording = True
    recorder.mark_run()
    assert begin_event(recorder.address, b"Invoke", 16, 0, 0) == 0, "not an operator"
    end_event(recorder.address, 0)
    handle = begin_event(recorder.address, b"CONV_2D", 2, 2**40, 1)
    add_event(recorder.address, b"Add", 8, 3, 5, 0)
    end_event(recorder.address, handle)

    run, started, added, ended = recorder.events
    assert run == ("run",)
    assert started[:4] == ["begin", b"CONV_2D", 2**40, 1]
    assert added == ("add", b"Add", 5, 0, 3000)
    assert ended[0] == "end"
    assert ended[1] >= started[4]
