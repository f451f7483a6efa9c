"""Operator times of a TFLite interpreter: from its profiler's events to rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend import OperatorProfile, Row, numbered, operator_row
from tflite_events import EventRecorder
from tflite_hook import HookError, set_profiler
from xnnpack_names import xnnpack_dtype, xnnpack_type

#: XNNPACK times its operators with a microsecond clock.
MICROSECOND = 1000
#: The one delegate that these wheels apply by themselves and that reports operators.
XNNPACK = "XNNPACK"


@dataclass
class Node:
    """One executed node, summed over the recorded inferences; ``self_ns`` leaves out nodes inside it."""

    tag: str
    index: int
    subgraph: int
    #: Whether it is an operator inside a delegate; ``index`` then counts within one part of the graph that it took.
    inner: bool = False
    calls: int = 0
    self_ns: int = 0
    #: Marks around each call; of an operator inside a delegate, the mark at which the delegate began to report what it
    #: had run, and this operator's place in that.
    marks: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class _Frame:
    """A node that is running, or the inference as a whole; ``last`` is what ran in it most recently."""

    key: Any
    node: Node | None = None
    start: int = 0
    mark: int = 0
    inside: int = 0
    last: Any = None
    #: The delegate's operator that ran most recently, if nothing else ran since.
    operator: int | None = None
    part: Any = None
    #: The mark at which the delegate began to report, and how many operators it has reported since.
    reported: tuple[int, int] = (0, 0)


class TfliteProfile:
    """The profile of one interpreter. Made between its construction and ``allocate_tensors``."""

    def __init__(self, interpreter: Any, module: Any, library: str) -> None:
        self._interpreter = interpreter
        self._recorder = None
        self._reason: str | None = None
        #: How many events there were when each inference started.
        self._starts: list[int] = []
        try:
            self._recorder = EventRecorder(library)
            set_profiler(interpreter, module, self._recorder.address)
        except (HookError, LookupError, OSError, AttributeError, ValueError) as error:
            self._reason = f"no profiler could be set: {error}"

    def start(self) -> None:
        """Record from the next inference on."""
        if self._recorder is not None:
            self._recorder.record(on=True)

    def stop(self) -> None:
        """Record no more."""
        if self._recorder is not None:
            self._recorder.record(on=False)

    def mark_run(self) -> None:
        """An inference is about to start."""
        if self._recorder is not None:
            self._starts.append(self._recorder.count())

    def result(self, repeat: int) -> OperatorProfile:
        """Rows of the ``repeat`` inferences since ``start``; without a profiler, the static list of operators."""
        details = _OpDetails(self._interpreter)
        if self._recorder is None or self._reason is not None:
            return OperatorProfile(details.static_rows(), self._reason)
        events = self._recorder.events()
        ends = [*self._starts[1:], len(events)]
        nodes = summed(events[start:end] for start, end in zip(self._starts, ends))  # noqa: B905 - not in Python 3.9
        rows = [_row(node, details, repeat) for node in nodes]
        executed = {node.index for node in nodes if not node.inner and node.subgraph == 0}
        return numbered(with_shapes(rows, details.delegated(executed)))


def summed(inferences: Iterable[Iterable[Sequence[Any]]]) -> list[Node]:
    """Events of each inference as executed nodes, in the order in which they first started.

    A delegate reports its operators once it has run, numbered from 0 in each part of the graph that it took over and
    with no word on which part that is. Parts are told apart by what ran before them.
    """
    nodes: dict[Any, Node] = {}
    for events in inferences:
        _add_inference(nodes, events)
    return list(nodes.values())


def _add_inference(nodes: dict[Any, Node], events: Iterable[Sequence[Any]]) -> None:
    stack = [_Frame(key=None)]
    for event in events:
        frame = stack[-1]
        if event[0] == "begin":
            _, tag, index, subgraph, start, mark = event
            key = (subgraph, index, tag)
            node = nodes.setdefault(key, Node(_text(tag), index, subgraph))
            stack.append(_Frame(key, node, start, mark))
        elif event[0] == "end" and frame.node is not None:
            stack.pop()
            elapsed = event[1] - frame.start
            frame.node.calls += 1
            frame.node.self_ns += max(0, elapsed - frame.inside)
            frame.node.marks.append((frame.mark, event[2]))
            stack[-1].inside += elapsed
            stack[-1].last, stack[-1].operator = frame.key, None
        elif event[0] == "add":
            _, tag, index, subgraph, elapsed, mark = event
            if frame.operator is None or index <= frame.operator:
                frame.part = (frame.key, frame.last)
                frame.reported = (mark, 0)
            key = (frame.part, index, tag)
            frame.last, frame.operator = key, index
            node = nodes.setdefault(key, Node(_text(tag), index, subgraph, inner=True))
            node.calls += 1
            node.self_ns += elapsed
            node.marks.append(frame.reported)
            frame.reported = (frame.reported[0], frame.reported[1] + 1)
            frame.inside += elapsed


def _text(tag: bytes | None) -> str:
    return (tag or b"").decode("utf-8", "replace")


def _row(node: Node, details: _OpDetails, repeat: int) -> Row:
    time_ns = round(node.self_ns / repeat)
    if node.inner:
        return operator_row(
            type=xnnpack_type(node.tag),
            name=node.tag,
            dtype=xnnpack_dtype(node.tag),
            delegate=XNNPACK,
            calls=node.calls,
            time_ns=time_ns,
            resolution_ns=MICROSECOND,
            subgraph=node.subgraph,
            reported=node.marks,
        )
    delegated = "delegate" in node.tag.lower()
    name, dtype, shape = (None, None, None) if delegated else details.output(node.index, node.subgraph)
    return operator_row(
        type="DELEGATE" if delegated else node.tag,
        name=name or node.tag,
        dtype=dtype,
        delegate=XNNPACK if delegated else None,
        calls=node.calls,
        time_ns=time_ns,
        resolution_ns=1,
        subgraph=node.subgraph,
        shape=shape,
        marks=node.marks,
    )


def with_shapes(rows: Sequence[Row], delegated: Sequence[tuple[str, list[int] | None]]) -> list[Row]:
    """Operators inside a delegate with the shapes of the model's nodes that they are, where that is beyond doubt.

    XNNPACK keeps the order of nodes but not their number: it fuses some and adds copies. So nodes are told by their
    place among those of their kind, and only if there are as many of these as the delegate ran.
    """
    shapes = {}
    for kind in {_kind(row["type"]) for row in rows if row["delegate"]}:
        ran = [place for place, row in enumerate(rows) if row["delegate"] and _kind(row["type"]) == kind]
        nodes = [shape for type_, shape in delegated if _kind(type_) == kind]
        if len(ran) == len(nodes):
            shapes.update(zip(ran, nodes))  # noqa: B905 - not in Python 3.9
    return [dict(row, shape=shapes.get(place, row["shape"])) for place, row in enumerate(rows)]


def _kind(type_: str) -> str:
    """XNNPACK runs 1x1 convolutions as fully connected."""
    return "CONV_2D" if type_ == "FULLY_CONNECTED" else type_


class _OpDetails:
    """What the interpreter tells of its nodes and tensors (main subgraph only)."""

    def __init__(self, interpreter: Any) -> None:
        self._ops = {int(op["index"]): op for op in interpreter._get_ops_details()}  # noqa: SLF001 - no public way
        self._tensors = {int(tensor["index"]): tensor for tensor in interpreter.get_tensor_details()}

    def output(self, index: int, subgraph: int) -> tuple[str | None, str | None, list[int] | None]:
        """Name, type and shape of the first output of a node, where known."""
        op = self._ops.get(index) if subgraph == 0 else None
        tensor = self._tensors.get(int(op["outputs"][0])) if op is not None and len(op["outputs"]) else None
        if tensor is None:
            return None, None, None
        dtype = tensor["dtype"]
        shape = [int(size) for size in tensor["shape"]]
        return str(tensor["name"]), getattr(dtype, "__name__", None), shape

    def delegated(self, executed: set[int]) -> list[tuple[str, list[int] | None]]:
        """Type and output shape of the main subgraph's nodes that a delegate took."""
        return [
            (str(op["op_name"]), self.output(index, 0)[2])
            for index, op in self._ops.items()
            if index not in executed and op["op_name"] != "DELEGATE"
        ]

    def static_rows(self) -> list[Row]:
        """All nodes of the model in file order, without times."""
        rows = []
        for index, op in self._ops.items():
            name, dtype, shape = self.output(index, 0)
            row = operator_row(
                type=str(op["op_name"]),
                name=name or "",
                dtype=dtype,
                delegate=None,
                calls=None,
                time_ns=None,
                resolution_ns=1,
                shape=shape,
            )
            rows.append(dict(row, index=index))
        return rows
