"""From the interpreter's events to operator rows."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox import process
from sandbox.image.emulator import host_architecture
from sandbox.resources import data_directory
from tests.unit.guest.guest_modules import GUEST, load

profile = load("tflite_profile")
names = load("xnnpack_names")


Event = tuple[Any, ...]


def begin(tag: str, node: int, time: int, subgraph: int = 0, mark: int = 0) -> Event:
    return ("begin", tag.encode(), node, subgraph, time, mark)


def end(time: int, mark: int = 0) -> Event:
    return ("end", time, mark)


def inner(tag: str, index: int, elapsed: int, mark: int = 0) -> Event:
    return ("add", tag.encode(), index, 0, elapsed, mark)


def times(*inferences: list[Event]) -> list[tuple[str, int, int]]:
    return [(node.tag, node.calls, node.self_ns) for node in profile.summed(inferences)]


def test_nodes_are_summed_over_inferences() -> None:
    once = [begin("CONV_2D", 0, 10), end(30), begin("SOFTMAX", 1, 30), end(35)]
    assert times(once, once) == [("CONV_2D", 2, 40), ("SOFTMAX", 2, 10)]


def test_a_delegate_node_keeps_only_the_time_outside_its_operators() -> None:
    recorded = [begin("TfLiteXNNPackDelegate", 2, 0), inner("Conv", 0, 60), inner("Add", 1, 30), end(100)]
    assert times(recorded) == [("TfLiteXNNPackDelegate", 1, 10), ("Conv", 1, 60), ("Add", 1, 30)]


def test_a_loop_keeps_only_the_time_outside_its_body() -> None:
    recorded = [begin("WHILE", 0, 0), begin("ADD", 0, 10, 1), end(40), begin("ADD", 0, 50, 1), end(70), end(100)]
    assert times(recorded) == [("WHILE", 1, 50), ("ADD", 2, 50)]


def test_two_parts_of_one_delegate_stay_apart() -> None:
    part = [inner("Copy", 0, 5), inner("FC", 1, 7)]
    once = [*part, begin("CUSTOM", 3, 0), end(9), *part]
    assert times(once, once) == [("Copy", 2, 10), ("FC", 2, 14), ("CUSTOM", 2, 18), ("Copy", 2, 10), ("FC", 2, 14)]


def test_two_adjoining_parts_stay_apart() -> None:
    once = [inner("Copy", 0, 5), inner("Copy", 0, 6)]
    assert times(once, once) == [("Copy", 2, 10), ("Copy", 2, 12)]


def test_an_end_without_a_beginning_is_nobody_s() -> None:
    assert times([end(5), begin("ADD", 0, 10), end(12), end(90)]) == [("ADD", 1, 2)]


def marks(*inferences: list[Event]) -> list[tuple[str, list[tuple[int, int]]]]:
    return [(node.tag, node.marks) for node in profile.summed(inferences)]


def test_a_node_lies_between_its_two_marks_in_each_call() -> None:
    body = [begin("ADD", 0, 10, 1, mark=1), end(40, mark=2), begin("ADD", 0, 50, 1, mark=3), end(70, mark=4)]
    recorded = [begin("WHILE", 0, 0, mark=0), *body, end(100, mark=5)]
    assert marks(recorded) == [("WHILE", [(0, 5)]), ("ADD", [(1, 2), (3, 4)])]


def test_operators_inside_a_delegate_are_told_by_their_place_in_its_report() -> None:
    """All of a report is told by the mark of its first event, for what it reports has run by then."""
    report = [inner("Conv", 0, 60, mark=1), inner("Add", 1, 30, mark=2), inner("FC", 2, 5, mark=3)]
    recorded = [begin("Delegate", 2, 0, mark=0), *report, end(100, mark=4)]
    assert marks(recorded) == [("Delegate", [(0, 4)]), ("Conv", [(1, 0)]), ("Add", [(1, 1)]), ("FC", [(1, 2)])]


def test_each_part_and_each_inference_has_a_report_of_its_own() -> None:
    first = [inner("Copy", 0, 5, mark=0), inner("FC", 1, 7, mark=1), begin("CUSTOM", 3, 0, mark=2), end(9, mark=3)]
    second = [inner("Copy", 0, 6, mark=4)]
    again = [inner("Copy", 0, 5, mark=10), inner("FC", 1, 7, mark=11)]
    assert marks([*first, *second], again) == [
        ("Copy", [(0, 0), (10, 0)]),
        ("FC", [(0, 1), (10, 1)]),
        ("CUSTOM", [(2, 3)]),
        ("Copy", [(4, 0)]),
    ]


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
    assert (names.xnnpack_type(tag), names.xnnpack_dtype(tag)) == (type_, dtype)


class Interpreter:
    """The few private methods of the Python interpreter that the profile reads."""

    def _get_ops_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "op_name": "CONV_2D", "inputs": [0, 1], "outputs": [2]}]

    def get_tensor_details(self) -> list[dict[str, Any]]:
        return [{"index": 2, "name": "features", "dtype": type("int8", (), {}), "shape": [1, 8, 8, 4]}]


class Recorder:
    """In place of the clock library's, which the guest alone can load."""

    address = 0

    def __init__(self, recorded: list[Event]) -> None:
        self._recorded = recorded
        self.seen = 0
        self.on: list[bool] = []

    def record(self, *, on: bool) -> None:
        self.on.append(on)

    def count(self) -> int:
        return self.seen

    def events(self) -> list[Event]:
        return self._recorded


def session_of(monkeypatch: pytest.MonkeyPatch, *inferences: list[Event]) -> Any:
    """A profile of these inferences."""
    recorder = Recorder([event for events in inferences for event in events])
    monkeypatch.setattr(profile, "set_profiler", lambda *_: None)
    monkeypatch.setattr(profile, "EventRecorder", lambda _path: recorder)
    session = profile.TfliteProfile(Interpreter(), None, "/edge/clock.so")
    session.start()
    for recorded in inferences:
        session.mark_run()
        recorder.seen += len(recorded)
    return session


@pytest.mark.parametrize("library", ["", "/no/such/clock.so"])
def test_without_a_recorder_there_are_rows_without_times_and_a_reason(library: str) -> None:
    module = SimpleNamespace(_interpreter_wrapper=SimpleNamespace(__file__="/no/such/wrapper.so"))
    session = profile.TfliteProfile(Interpreter(), module, library)
    session.start()
    session.mark_run()
    result = session.result(1)
    assert "no profiler could be set" in result.unavailable
    (row,) = result.rows
    assert (row["type"], row["name"], row["dtype"], row["time_ns"]) == ("CONV_2D", "features", "int8", None)
    assert (row["shape"], row["marks"]) == ([1, 8, 8, 4], ())


def test_an_interpreter_that_cannot_be_hooked_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise profile.HookError("not this build")

    monkeypatch.setattr(profile, "EventRecorder", lambda _path: Recorder([]))
    monkeypatch.setattr(profile, "set_profiler", fail)
    result = profile.TfliteProfile(Interpreter(), None, "/edge/clock.so").result(1)
    assert result.unavailable == "no profiler could be set: not this build"
    assert [row["time_ns"] for row in result.rows] == [None]


def test_rows_of_recorded_inferences(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [begin("CONV_2D", 0, 0, mark=0), end(80, mark=1), inner("Softmax (NC, F32)", 0, 1000, mark=2)]
    second = [begin("CONV_2D", 0, 100, mark=3), end(140, mark=4), inner("Softmax (NC, F32)", 0, 3000, mark=5)]
    session = session_of(monkeypatch, first, second)
    session.stop()
    result = session.result(2)
    assert result.unavailable is None
    conv, softmax = result.rows
    assert (conv["name"], conv["delegate"], conv["time_ns"], conv["resolution_ns"]) == ("features", None, 60, 1)
    assert (conv["shape"], conv["marks"], conv["reported"]) == ([1, 8, 8, 4], [(0, 1), (3, 4)], ())
    assert (softmax["type"], softmax["delegate"], softmax["time_ns"]) == ("SOFTMAX", "XNNPACK", 2000)
    assert (softmax["marks"], softmax["reported"]) == ((), [(2, 0), (5, 0)])
    assert [row["index"] for row in result.rows] == [0, 1]
    assert session._recorder.on == [True, False]


def test_a_delegate_s_own_row_is_no_node_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    session = session_of(monkeypatch, [begin("TfLiteXNNPackDelegate", 0, 0), inner("Copy", 0, 60), end(100)])
    delegate, _copy = session.result(1).rows
    assert (delegate["type"], delegate["name"], delegate["delegate"]) == (
        "DELEGATE",
        "TfLiteXNNPackDelegate",
        "XNNPACK",
    )
    assert (delegate["dtype"], delegate["shape"], delegate["time_ns"]) == (None, None, 40)


def test_a_clock_that_stands_still_is_no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    result = session_of(monkeypatch, [begin("CONV_2D", 0, 7), end(7)]).result(1)
    assert "0 ticks" in result.unavailable
    assert result.rows[0]["time_ns"] is None


def delegated(*types: str) -> list[dict[str, Any]]:
    return [{"type": type_, "delegate": "XNNPACK", "shape": None} for type_ in types]


@pytest.mark.parametrize(
    ("ran", "nodes", "shapes"),
    [
        (["CONV_2D", "SOFTMAX"], [("SOFTMAX", [1, 9]), ("CONV_2D", [1, 8])], [[1, 8], [1, 9]]),
        (["CONV_2D", "CONV_2D"], [("CONV_2D", [1]), ("CONV_2D", [2])], [[1], [2]]),
        (["CONV_2D", "FULLY_CONNECTED"], [("CONV_2D", [1]), ("CONV_2D", [2])], [[1], [2]]),
        (["CONV_2D"], [("CONV_2D", [1]), ("CONV_2D", [2])], [None]),
        (["CONV_2D", "Copy"], [("CONV_2D", [1])], [[1], None]),
        (["CONV_2D"], [("CONV_2D", None)], [None]),
    ],
)
def test_shapes_inside_a_delegate_are_given_where_there_is_no_doubt(
    ran: list[str], nodes: list[tuple[str, list[int] | None]], shapes: list[list[int] | None]
) -> None:
    """XNNPACK fuses nodes and adds copies: only a kind of which all are there can be told apart by order."""
    own = {"type": "CONV_2D", "delegate": None, "shape": [7]}
    rows = profile.with_shapes([own, *delegated(*ran)], nodes)
    assert [row["shape"] for row in rows] == [[7], *shapes]


LIBRARY = data_directory("native") / f"clock-{host_architecture()}.so"
CALLS = """
import ctypes, json, sys
sys.path.insert(0, sys.argv[1])
from tflite_events import EventRecorder
recorder = EventRecorder(sys.argv[2])
table = ctypes.c_void_p.from_address(recorder.address).value
word = ctypes.sizeof(ctypes.c_void_p)
method = [ctypes.c_void_p.from_address(table + n * word).value for n in range(7)]
this, text, kind, long = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int64
begin = ctypes.CFUNCTYPE(ctypes.c_uint32, this, text, kind, long, long)(method[2])
end_with_metadata = ctypes.CFUNCTYPE(None, this, ctypes.c_uint32, long, long)(method[3])
end = ctypes.CFUNCTYPE(None, this, ctypes.c_uint32)(method[4])
add = ctypes.CFUNCTYPE(None, this, text, kind, ctypes.c_uint64, long, long)(method[5])
add_with_data = ctypes.CFUNCTYPE(None, this, text, kind, this)(method[6])
at = recorder.address
handles = [begin(at, b"CONV_2D", 2, 4, 0)]
recorder.record(on=True)
handles.append(begin(at, b"Invoke", 16, 0, 0))
end(at, handles[-1])
handles.append(begin(at, b"CONV_2D", 2, 2**40, 1))
add(at, b"Add", 8, 3, 5, 0)
add(at, b"Sub", 4, 2, 6, 0)
add(at, b"telemetry", 1, 9, 9, 9)
add_with_data(at, b"more", 8, None)
end_with_metadata(at, handles[-1], 1, 2)
handles.append(begin(at, b"x" * 5000, 2, 0, 0))
end(at, handles[-1])
recorder.record(on=False)
handles.append(begin(at, b"late", 2, 0, 0))
events = [[e.decode() if isinstance(e, bytes) else e for e in event] for event in recorder.events()]
print(json.dumps([handles, recorder.count(), events]))
"""


@pytest.mark.subprocess
def test_the_recorder_answers_calls_through_its_virtual_table() -> None:
    """As C++ does: the object's first word is the table, each method takes the object first."""
    done = process.run((sys.executable, "-c", CALLS, str(GUEST), str(LIBRARY)), timeout=60)
    assert done.returncode == 0, done.stderr
    handles, count, events = json.loads(done.stdout)
    recorded = [bool(handle & 1) for handle in handles]
    assert recorded == [False, False, True, True, False], "only operators, only while on"
    assert [bool(handle & 2) for handle in handles] == [True, False, True, True, True], "all operators are told"
    assert count == len(events)
    (_, *started, time, first), add, sub, (_, ended, last), *others = events
    assert [event[0] for event in events] == ["begin", "add", "add", "end", "begin", "end"]
    assert (started, first, last) == (["CONV_2D", 2**40, 1], 0, 3)
    assert (add, sub) == (["add", "Add", 5, 0, 3000, 1], ["add", "Sub", 6, 0, 2000, 2])
    assert 0 < time <= ended
    assert others[0][1] == "x" * 5000
    assert [event[-1] for event in events] == list(range(6)), "each mark is its event's place"
