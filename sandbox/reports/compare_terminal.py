"""The report of `compare` for people: one table, then what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sandbox.comparison import AXES, Axis, Cell, Comparison, operator_matrix, title
from sandbox.metrics import Metric
from sandbox.units import format_count, format_duration, format_size

from .layout import STYLES, WIDTH, clean, heading, printed, row

_AXES_ROOM = 34
"""Characters of a line that the numbers leave."""


def render(document: Comparison, *, colour: bool = False) -> str:
    """The report as text."""
    return printed(_parts(document), colour=colour)


def _parts(document: Comparison) -> Iterator[RenderableType]:
    first = document.cells[0]
    same = [axis for axis in AXES if axis not in document.varied]
    if same:
        yield Text(clean(", ".join(axis_text(first, axis, units=True) for axis in same)), style="bold")
    columns = document.varied if _axes_width(document) <= _AXES_ROOM else ()
    if not columns:
        for cell in document.cells:
            yield row(f"{cell.number}", clean(title(document, cell)))
        yield Text()
    yield _table(document, columns)
    yield heading("CHEAPEST THAT FITS")
    yield row(*_cheapest(document))
    if document.pareto:
        yield heading("NONE IS BOTH FASTER AND SMALLER THAN")
        for cell in document.cells:
            if cell.number in document.pareto:
                yield row(f"{cell.number}", clean(title(document, cell)))
    yield from _differing_operators(document)
    yield from _reasons(document)


def _axes_width(document: Comparison) -> int:
    """Characters that the columns of what varies would take."""
    return sum(
        2 + max(len(axis), *(len(clean(axis_text(cell, axis))) for cell in document.cells)) for axis in document.varied
    )


def _table(document: Comparison, columns: Sequence[Axis]) -> Table:
    table = Table(box=SIMPLE_HEAD, width=WIDTH, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    for axis in columns:
        table.add_column(axis, overflow="fold")
    counted = any(cell.latency is None for cell in document.cells)
    for name in ("latency", *(["instr."] if counted else []), "peak", "of"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for cell in document.cells:
        verdict = verdict_text(cell)
        table.add_row(
            str(cell.number),
            *(Text(clean(axis_text(cell, axis))) for axis in columns),
            latency_text(cell),
            *([work_text(cell)] if counted else []),
            format_size(cell.peak.value) if cell.peak else "unknown",
            available_text(cell),
            Text(verdict, style=STYLES[cell.status]),
        )
    return table


def axis_text(cell: Cell, axis: Axis, *, units: bool = False) -> str:
    """What the cell has on that axis, for people."""
    if axis == "model":
        return PurePath(cell.model).name
    if axis == "threads":
        words = f"{cell.threads} thread{'' if cell.threads == 1 else 's'}"
        return words if units else str(cell.threads)
    return str(getattr(cell, axis))


def latency_text(cell: Cell) -> str:
    """Mean time of an inference, with half its interval where it has one."""
    latency = cell.latency
    if latency is None:
        return "unknown"
    if latency.low is None or latency.high is None or latency.mode == "measured":
        return format_duration(latency.value)
    share = max(latency.high - latency.value, latency.value - latency.low) / latency.value
    return f"{format_duration(latency.value)} ±{share:.0%}"


def work_text(cell: Cell) -> str:
    """Instructions of one inference: what is left to compare, on one core, where there is no latency."""
    count = cell.result.latency.counts.instructions if cell.result else None
    return format_count(count.value) if isinstance(count, Metric) else "unknown"


def available_text(cell: Cell) -> str:
    """What the device leaves to the model."""
    return format_size(cell.available.value) if cell.available else "unknown"


def verdict_text(cell: Cell) -> str:
    """The verdict in a word or two."""
    return "NOT RUN" if cell.result is None else cell.status.replace("_", " ").upper()


def _cheapest(document: Comparison) -> tuple[str, str]:
    cheapest = document.cheapest
    if cheapest.number is None:
        return "", cheapest.reason
    cell = document.cells[cheapest.number - 1]
    return f"{cell.number}", f"{clean(title(document, cell))} ({cheapest.reason})"


def _differing_operators(document: Comparison) -> Iterator[Text]:
    """Operators that are missing somewhere, or that not every cell runs in the same way."""
    ran = [cell for cell in document.cells if cell.result]
    matrix = operator_matrix(ran)
    shown = {kind: line for kind, line in matrix.items() if "missing" in line}
    if not shown:
        return
    yield heading("MISSING OPERATORS")
    for kind, line in shown.items():
        cells = ", ".join(str(cell.number) for cell, status in zip(ran, line, strict=True) if status == "missing")
        yield row(clean(kind)[:11], f"in {cells}")


def _reasons(document: Comparison) -> Iterator[Text]:
    unfit = [cell for cell in document.cells if cell.status != "ready"]
    if not unfit:
        return
    yield heading("WHY NOT")
    for cell in unfit:
        yield row(f"{cell.number}", clean(" ".join(cell.reason.split())), style=STYLES.get(cell.status, ""))
        if fix := cell.fix or (cell.result and cell.result.verdict.fix):
            yield row("", clean(" ".join(fix.split())), style="dim")
