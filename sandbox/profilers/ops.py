"""The runner's operator rows → operators of the result. The guest is not trusted: every field is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.measurements import Op
from sandbox.metrics import Metric, Mode, Quantity, Unavailable
from sandbox.record import OperatorRecord

_OWN_KERNELS = {None, "CPUExecutionProvider"}
_NO_COUNTS = Unavailable(unavailable="this run counted no instructions")


def executed_rows(report: Mapping[str, Any] | None, *, emulated: bool, source: str) -> tuple[Op, ...]:
    """Rows of the operator run, in execution order; rows that do not make sense are left out."""
    rows = report.get("operators") if report else None
    mode: Mode = "emulated" if emulated else "measured"
    if not isinstance(rows, list):
        return ()
    return tuple(_row(index, row, mode, source) for index, row in enumerate(rows) if isinstance(row, dict))


def static_rows(operators: Sequence[OperatorRecord], missing: Mapping[str, str], reason: str) -> tuple[Op, ...]:
    """Rows of the model file, for a run that gave none. ``missing``: operator type → what the runtime said of it."""
    return tuple(
        Op(
            index=operator.index,
            type=operator.type,
            name="",
            dtype=operator.dtype,
            delegate=None,
            instructions=Unavailable(unavailable=reason),
            time=Unavailable(unavailable=reason),
            status="missing" if operator.type in missing else "not_run",
            detail=missing.get(operator.type),
        )
        for operator in operators
    )


def _row(index: int, row: Mapping[str, Any], mode: Mode, source: str) -> Op:
    delegate = row.get("delegate")
    delegate = str(delegate) if delegate else None
    dtype = row.get("dtype")
    return Op(
        index=index,
        type=str(row.get("type") or "?"),
        name=str(row.get("name") or ""),
        dtype=str(dtype) if dtype else None,
        delegate=delegate,
        instructions=_NO_COUNTS,
        time=_time(row, mode, source),
        status="native" if delegate in _OWN_KERNELS else "delegated",
    )


def _time(row: Mapping[str, Any], mode: Mode, source: str) -> Quantity:
    time_ns, resolution_ns = row.get("time_ns"), row.get("resolution_ns")
    if not isinstance(time_ns, (int, float)) or isinstance(time_ns, bool) or not 0 <= time_ns < 1e15:
        return Unavailable(unavailable="the runtime's profiler gave no time for it")
    if time_ns == 0:
        step = ""
        if isinstance(resolution_ns, (int, float)) and 0 < resolution_ns < 1e15:
            step = f" of {resolution_ns / 1000:.0f} µs"
        return Unavailable(unavailable=f"shorter than the profiler's resolution{step}")
    return Metric(value=time_ns / 1e9, unit="second", mode=mode, source=source)
