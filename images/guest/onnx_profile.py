"""Operator times from the trace that an ONNX Runtime session writes with ``enable_profiling``.

The trace is Chrome's trace format: one complete event ("X") per executed node, with ``ts`` and ``dur`` in microseconds,
and one ``model_run`` event around each inference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend import OperatorProfile, Row, numbered, operator_row

MICROSECOND = 1000
KERNEL_SUFFIX = "_kernel_time"
#: Operators that run a subgraph: their time includes that of the nodes inside.
CONTROL_FLOW = ("If", "Loop", "Scan")
#: ONNX Runtime's names of types where numpy's differ.
DTYPES = {"float": "float32", "double": "float64"}


@dataclass
class _Node:
    event: Mapping[str, Any]
    depth: int
    calls: int = 0
    self_us: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)


def read_profile(path: Path, repeat: int) -> OperatorProfile:
    """Rows of the last ``repeat`` inferences in the trace at ``path``, whatever ran before them being warm-up."""
    with path.open(encoding="utf-8") as file:
        events = json.load(file)
    runs = sorted((event["ts"], event["dur"]) for event in events if event.get("name") == "model_run")
    if len(runs) < repeat:
        return OperatorProfile(unavailable=f"the trace holds {len(runs)} inferences, not the {repeat} that were timed")
    first = runs[-repeat][0]
    return numbered([_row(node, repeat) for node in _nodes([event for event in events if _timed(event, first)])])


def _timed(event: Mapping[str, Any], first: int) -> bool:
    kernel = event.get("cat") == "Node" and str(event.get("name", "")).endswith(KERNEL_SUFFIX)
    return kernel and event["ts"] >= first


def _nodes(events: Sequence[Mapping[str, Any]]) -> list[_Node]:
    """One entry per node, in the order in which they first started, with the time of nodes inside taken off."""
    nodes: dict[Any, _Node] = {}
    open_flows: list[tuple[_Node, int]] = []
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        end = event["ts"] + event["dur"]
        while open_flows and open_flows[-1][1] < end:
            open_flows.pop()
        operator = event["args"].get("op_name", "")
        parent = open_flows[-1][0] if open_flows else None
        key = (event["name"], event["args"].get("node_index"), operator, id(parent))
        node = nodes.setdefault(key, _Node(event, len(open_flows)))
        node.calls += 1
        node.self_us += event["dur"]
        node.spans.append((event["ts"], event["dur"]))
        if parent is not None:
            parent.self_us -= event["dur"]
        if operator in CONTROL_FLOW:
            open_flows.append((node, end))
    return list(nodes.values())


def _row(node: _Node, repeat: int) -> Row:
    arguments = node.event["args"]
    operator = str(arguments.get("op_name", ""))
    return operator_row(
        type=operator,
        name=str(node.event["name"])[: -len(KERNEL_SUFFIX)] or operator,
        dtype=_dtype(arguments.get("input_type_shape")) or _dtype(arguments.get("output_type_shape")),
        delegate=arguments.get("provider"),
        calls=node.calls,
        time_ns=round(max(0, node.self_us) * MICROSECOND / repeat),
        resolution_ns=MICROSECOND,
        subgraph=node.depth,
        shape=_shape(arguments.get("output_type_shape")),
        spans_us=node.spans,
    )


def _shape(types_and_shapes: Any) -> list[int] | None:
    """The shape of the first tensor in such a list."""
    if not isinstance(types_and_shapes, list) or not types_and_shapes:
        return None
    sizes = next(iter(types_and_shapes[0].values()), None)
    return [int(size) for size in sizes] if isinstance(sizes, list) else None


def _dtype(types_and_shapes: Any) -> str | None:
    """The type of the first tensor in a list like ``[{"float": [1, 3, 96, 96]}, …]``."""
    if not isinstance(types_and_shapes, list) or not types_and_shapes:
        return None
    name = next(iter(types_and_shapes[0]), None)
    return DTYPES.get(str(name), str(name)) if name else None
