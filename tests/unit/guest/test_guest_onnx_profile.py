"""From ONNX Runtime's trace to operator rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.guest.guest_modules import load

onnx_profile = load("onnx_profile")


def node(name: str, op: str, ts: int, dur: int, *, index: str = "0", types: Any = None) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "op_name": op,
        "provider": "CPUExecutionProvider",
        "node_index": index,
        "input_type_shape": types or [],
    }
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": arguments}


def run(ts: int, dur: int) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": ts, "dur": dur, "args": {}}


def read(tmp_path: Path, events: list[dict[str, Any]], repeat: int) -> Any:
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(events), encoding="utf-8")
    return onnx_profile.read_profile(path, repeat)


def test_warm_up_is_left_out_and_the_rest_averaged(tmp_path: Path) -> None:
    types = [{"int8": [1, 3]}, {"float": []}]
    events: list[dict[str, Any]] = []
    for start, duration in ((0, 900), (1000, 30), (2000, 50)):
        events += [
            node("dq", "DequantizeLinear", start + 1, duration - 10, index="3", types=types),
            run(start, duration),
        ]
    (row,) = read(tmp_path, events, 2).rows
    assert row == {
        "index": 0,
        "type": "DequantizeLinear",
        "name": "dq",
        "dtype": "int8",
        "delegate": "CPUExecutionProvider",
        "subgraph": 0,
        "calls": 2,
        "time_ns": 30_000,
        "resolution_ns": 1000,
        "shape": None,
        "marks": (),
        "reported": (),
        "spans_us": [(1001, 20), (2001, 40)],
    }


def test_a_branch_keeps_only_the_time_outside_its_nodes(tmp_path: Path) -> None:
    events = [
        node("in", "Add", 15, 20),
        node("if", "If", 10, 50, index="1"),
        node("after", "Mul", 60, 5, index="2"),
        run(0, 100),
    ]
    rows = read(tmp_path, events, 1).rows
    assert [(row["name"], row["time_ns"], row["subgraph"]) for row in rows] == [
        ("if", 30_000, 0),
        ("in", 20_000, 1),
        ("after", 5_000, 0),
    ]


def test_a_trace_with_too_few_inferences_is_a_reason(tmp_path: Path) -> None:
    assert "1 inferences, not the 3" in read(tmp_path, [run(0, 10)], 3).unavailable


def test_a_trace_without_nodes_is_a_reason(tmp_path: Path) -> None:
    assert "no operator" in read(tmp_path, [run(0, 10)], 1).unavailable


def test_float_is_named_as_numpy_does(tmp_path: Path) -> None:
    (row,) = read(tmp_path, [node("a", "Add", 1, 2, types=[{"float": [1]}]), run(0, 9)], 1).rows
    assert row["dtype"] == "float32"


def test_times_of_nodes_inside_others_are_kept_whole(tmp_path: Path) -> None:
    """Whose counts are whose is told by nesting: a span, other than a time, is not less what is inside it."""
    rows = read(tmp_path, [node("if", "If", 10, 50), node("in", "Add", 15, 20, index="1"), run(0, 100)], 1).rows
    assert [row["spans_us"] for row in rows] == [[(10, 50)], [(15, 20)]]


def test_the_shape_is_the_first_output_s(tmp_path: Path) -> None:
    events = [node("a", "Split", 1, 2), run(0, 9)]
    told: list[tuple[Any, list[int] | None]] = [([{"float": [1, 3]}, {"float": [7]}], [1, 3]), ([{"float": []}], [])]
    told += [([], None), (None, None), ("x", None), ([{}], None), ([{"float": 3}], None)]
    for shapes, expected in told:
        events[0]["args"]["output_type_shape"] = shapes
        (row,) = read(tmp_path, events, 1).rows
        assert row["shape"] == expected
