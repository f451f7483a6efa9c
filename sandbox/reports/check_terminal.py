"""The report of a static check for people, in the style of the profile's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from rich.text import Text

from sandbox.check_result import CheckResult
from sandbox.metrics import Metric
from sandbox.result import OperatorMemory
from sandbox.units import format_size

from . import microcontroller_terminal
from .build_terminal import build_lines
from .layout import clean, heading, in_bytes, printed, row, verdict_lines

_LARGEST = 3


def render(result: CheckResult, *, colour: bool = False) -> str:
    """The report as text."""
    return printed(_lines(result), colour=colour)


def _lines(result: CheckResult) -> Iterator[Text]:
    yield Text(f"{clean(PurePath(result.model.path).name)} on {clean(result.device.name)}", style="bold")
    build = f"{result.runtime.name} {result.runtime.version}, {result.image.id}, by the file alone: nothing was run"
    yield Text(clean(build), style="dim")
    if result.microcontroller is not None:
        yield from microcontroller_terminal.lines(result.microcontroller, result.latency)
    else:
        yield from _memory(result)
    if result.compatibility is not None:
        yield from build_lines(result.compatibility, result.checks)
    yield from verdict_lines(result.verdict)


def _memory(result: CheckResult) -> Iterator[Text]:
    memory = result.memory
    yield heading("MEMORY")
    yield row("peak", in_bytes(memory.peak))
    for part in memory.parts:
        if isinstance(part.size, Metric) and part.size.value:
            yield row("", f"{format_size(part.size.value):>8}  {part.name}: {part.size.source}", style="dim")
    yield row("available", in_bytes(memory.available))
    yield row("headroom", in_bytes(memory.headroom))
    yield row("inputs", f"{in_bytes(memory.inputs)}; outputs {in_bytes(memory.outputs)}")
    yield row("weights", f"{in_bytes(memory.weights)} in the model file")
    yield row("tensors", in_bytes(memory.activations))
    if memory.peak_operator is not None:
        more = memory.peak_margin
        margin = f", {format_size(more.value)} more than the next" if isinstance(more, Metric) else ""
        yield row("set by", _operator(memory.peak_operator) + margin)
    others = sorted(memory.operators, key=lambda op: -_total(op))[1:_LARGEST]
    for op in others:
        yield row("", _operator(op), style="dim")


def _operator(op: OperatorMemory) -> str:
    temporaries = op.workspace.value if isinstance(op.workspace, Metric) else 0
    besides = f", {format_size(temporaries)} of it temporaries" if temporaries else ""
    return f"{clean(op.type)} {clean(op.name)} (operator {op.index}): {format_size(_total(op))}{besides}"


def _total(op: OperatorMemory) -> float:
    return sum(size.value for size in (op.live, op.workspace) if isinstance(size, Metric))
