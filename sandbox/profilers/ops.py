"""The runner's operator rows → operators of the result. The guest is not trusted: every field is checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.measurements import Code, InstructionClass, Kernel, Op
from sandbox.metrics import Metric, Mode, Quantity, Unavailable
from sandbox.record import OperatorRecord

from .attribution import owners
from .counts import Marks, Segment, Work, work
from .inference import in_order, instructions, seconds

if TYPE_CHECKING:
    import numpy as np

_NO_TIME = Unavailable(unavailable="the runtime's profiler gave no time for it")
_UNSEEN = "its marks are not in the counts: the runtime reports its operators in a way that this version does not know"
_CACHE_SOURCE = "model of the device's data caches without prefetching"
TICK_SOURCE = "instructions on the critical path, one for each cycle of the core's clock; not calibrated"
_OWN_KERNELS = {None, "CPUExecutionProvider"}
_KERNELS = 4
"""Functions named for an operator, and the least part of its instructions that one must have."""
_LEAST_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class OperatorCounts:
    """What the counted operator run left."""

    marks: Marks
    code: Mapping[int, Code]
    """By address."""
    unprofiled: Mapping[str, int]
    """Instructions of an inference without a profiler, by `Code.place`; empty where that was not counted."""
    tick_ns: tuple[int, int]
    source: str
    caches: bool
    """Whether caches were modelled."""


def executed_rows(
    report: Mapping[str, Any] | None, counts: OperatorCounts | str, *, emulated: bool, source: str
) -> tuple[Op, ...]:
    """Rows of the operator run, in execution order; rows that do not make sense are left out.

    ``counts``: what was counted, or why nothing was. With counts the last row is what no operator did.
    """
    listed = report.get("operators") if report else None
    mode: Mode = "emulated" if emulated else "measured"
    if not isinstance(listed, list):
        return ()
    rows = [row for row in listed if isinstance(row, dict)]
    if not rows:
        return ()
    if isinstance(counts, str):
        none = _Figures(counts)
        return tuple(_row(index, row, none, _time(row, mode, source)) for index, row in enumerate(rows))
    segments = in_order(counts.marks)
    owner = owners(segments, rows)
    kept = _kept(counts, segments)
    executed = []
    for index, row in enumerate(rows):
        mine = work(counts.marks, (s for s, o in zip(segments, owner, strict=True) if o == index), kept)
        figures = _Figures.of(mine, counts) if mine.instructions else _Figures(_UNSEEN)
        executed.append(_row(index, row, figures, figures.time))
    outside = work(counts.marks, (s for s, o in zip(segments, owner, strict=True) if o is None), kept)
    return (*executed, _outside(len(rows), _Figures.of(outside, counts)))


def _kept(counts: OperatorCounts, segments: Sequence[Segment]) -> np.ndarray[Any, Any] | None:
    """The share of each block's executions that is the inference's and not the profiler's.

    A runtime's profiler works between the marks too: it writes strings and allocates. What a block executes more often
    in the profiled inference than in one without a profiler is taken off wherever the block ran, in proportion.
    """
    import numpy as np  # noqa: PLC0415

    if not counts.unprofiled:
        return None
    places = [counts.code[a].place if a in counts.code else f"{a:x}" for a in counts.marks.addresses.tolist()]
    profiled: Counter[str] = Counter()
    for address, count in work(counts.marks, segments).addresses.items():
        profiled[counts.code[address].place if address in counts.code else f"{address:x}"] += count
    return np.array([min(1.0, counts.unprofiled.get(p, 0) / profiled[p]) if profiled[p] > 0 else 1.0 for p in places])


def static_rows(operators: Sequence[OperatorRecord], missing: Mapping[str, str], reason: str) -> tuple[Op, ...]:
    """Rows of the model file, for a run that gave none. ``missing``: operator type → what the runtime said of it."""
    return tuple(
        Op(
            index=operator.index,
            type=operator.type,
            name="",
            dtype=operator.dtype,
            shape=None,
            delegate=None,
            **_counted(_Figures(reason)),
            time=Unavailable(unavailable=reason),
            status="missing" if operator.type in missing else "not_run",
            detail=missing.get(operator.type),
        )
        for operator in operators
    )


@dataclass(frozen=True)
class _Figures:
    """The counted figures of a row; without counts ``reason`` stands in each of them."""

    reason: str
    instructions: Quantity | None = None
    classes: Mapping[InstructionClass, int] = field(default_factory=dict)
    kernels: tuple[Kernel, ...] = ()
    l2: Quantity | None = None
    dram: Quantity | None = None
    time: Quantity = _NO_TIME

    @classmethod
    def of(cls, done: Work, counts: OperatorCounts) -> _Figures:
        """From the work of an operator."""
        lines = (done.l2_lines, done.dram_lines) if counts.caches else (None, None)
        l2, dram = (
            None if n is None else Metric(value=n, unit="cache line", mode="emulated", source=_CACHE_SOURCE)
            for n in lines
        )
        return cls(
            reason="caches were not modelled: --caches does it",
            instructions=instructions(done.instructions, counts.source),
            classes=done.classes,
            kernels=_kernels(done, counts),
            l2=l2,
            dram=dram,
            time=Metric(
                value=seconds(done.critical_path, counts.tick_ns), unit="second", mode="emulated", source=TICK_SOURCE
            ),
        )


def _kernels(done: Work, counts: OperatorCounts) -> tuple[Kernel, ...]:
    by_function: dict[tuple[str | None, str], int] = {}
    for address, count in done.addresses.items():
        code = counts.code.get(address)
        function = (code.function, code.library) if code else (None, "unknown")
        by_function[function] = by_function.get(function, 0) + count
    ranked = sorted(by_function.items(), key=lambda item: -item[1])[:_KERNELS]
    return tuple(
        Kernel(function=name, library=library, instructions=instructions(count, counts.source))
        for (name, library), count in ranked
        if count > 0 and count >= done.instructions * _LEAST_SHARE
    )


def _row(index: int, row: Mapping[str, Any], figures: _Figures, time: Quantity) -> Op:
    delegate = row.get("delegate")
    delegate = str(delegate) if delegate else None
    dtype = row.get("dtype")
    return Op(
        index=index,
        type=str(row.get("type") or "?"),
        name=str(row.get("name") or ""),
        dtype=str(dtype) if dtype else None,
        shape=_shape(row.get("shape")),
        delegate=delegate,
        status="native" if delegate in _OWN_KERNELS else "delegated",
        time=time,
        **_counted(figures),
    )


def _outside(index: int, figures: _Figures) -> Op:
    return Op(
        index=index,
        type="(outside operators)",
        name="the runtime's own work and its binding",
        dtype=None,
        shape=None,
        delegate=None,
        status="outside",
        time=figures.time,
        **_counted(figures),
    )


def _counted(figures: _Figures) -> dict[str, Any]:
    nothing = Unavailable(unavailable=figures.reason)
    return {
        "instructions": figures.instructions or nothing,
        "classes": figures.classes,
        "kernels": figures.kernels,
        "lines_from_l2": figures.l2 or nothing,
        "lines_from_dram": figures.dram or nothing,
    }


def _shape(value: Any) -> tuple[int, ...] | None:
    sizes = value if isinstance(value, list) else []
    return tuple(sizes) if sizes and all(type(size) is int for size in sizes) else None


def _time(row: Mapping[str, Any], mode: Mode, source: str) -> Quantity:
    time_ns, resolution_ns = row.get("time_ns"), row.get("resolution_ns")
    if not isinstance(time_ns, (int, float)) or isinstance(time_ns, bool) or not 0 <= time_ns < 1e15:
        return _NO_TIME
    if time_ns == 0:
        step = ""
        if isinstance(resolution_ns, (int, float)) and 0 < resolution_ns < 1e15:
            step = f" of {resolution_ns / 1000:.0f} µs"
        return Unavailable(unavailable=f"shorter than the profiler's resolution{step}")
    return Metric(value=time_ns / 1e9, unit="second", mode=mode, source=source)
