"""`compare` as one HTML page: the table, latency against memory, the matrix, and a section of each cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sandbox.comparison import AXES, Cell, Comparison, build_matrix, operator_matrix, title
from sandbox.units import format_count, format_duration, format_size

from .charts import Series, points_chart
from .compare_terminal import available_text, axis_text, latency_text, verdict_text, work_text
from .figures import Figure, figure, number
from .html_charts import Drawing
from .page import render_page

_CLASSES = {
    "native": "pass",
    "delegated": "pass",
    "pass": "pass",
    "outside": "pass",
    "warn": "warn",
    "unknown": "unknown",
    "not_run": "unknown",
    "missing": "fail",
    "fail": "fail",
}
"""Colour of a word in the matrix; others have none."""

_GROUPS = {"none is faster and smaller": "front", "fits": "row", "does not fit": "misfit"}
"""Groups of dots, and their colours in the stylesheet."""


def render(document: Comparison) -> str:
    """The page."""
    cells, cheapest = document.cells, document.cheapest
    ran = [cell for cell in cells if cell.result]
    matrix = {**build_matrix(ran), **operator_matrix(ran)}
    same = [axis for axis in AXES if axis not in document.varied]
    return render_page(
        "compare.html.j2",
        document=document,
        heading=", ".join(axis_text(cells[0], axis, units=True) for axis in same) or "comparison",
        rows=[_row(document, cell) for cell in cells],
        cheapest=cells[cheapest.number - 1] if cheapest.number else None,
        pareto=[(cell, title(document, cell)) for cell in cells if cell.number in document.pareto],
        chart=_chart(document),
        ran=ran,
        matrix=matrix,
        classes=_CLASSES,
        titles={cell.number: title(document, cell) for cell in cells},
        figures_of={cell.number: _figures(cell) for cell in cells},
        verdict_of={cell.number: verdict_text(cell) for cell in cells},
    )


def _row(document: Comparison, cell: Cell) -> dict[str, object]:
    result, price = cell.result, cell.hardware.price
    work = result.latency.counts.instructions if result else None
    return {
        "cell": cell,
        "axes": [axis_text(cell, axis) for axis in document.varied],
        "latency": (cell.latency.value if cell.latency else None, latency_text(cell), ""),
        "work": (number(work), work_text(cell), ""),
        "peak": (cell.peak.value if cell.peak else None, format_size(cell.peak.value) if cell.peak else "unknown", ""),
        "available": (cell.available.value if cell.available else None, available_text(cell), ""),
        "price": (
            price.amount if price else None,
            f"{price.amount:g} {price.currency}, {price.date}" if price else "unknown",
            cell.hardware.price_source or "",
        ),
        "verdict": verdict_text(cell),
    }


def _figures(cell: Cell) -> list[Figure]:
    result = cell.result
    if result is None:
        return []
    board = (
        [figure("arena", arena.minimum) for arena in result.microcontroller.arenas] if result.microcontroller else []
    )
    return [
        *board,
        figure("latency", result.latency.mean),
        figure("instructions of an inference", result.latency.counts.instructions),
        figure("peak memory", result.memory.peak_rss),
        figure("available", result.memory.available),
        figure("headroom", result.memory.headroom),
        figure("energy, whole board", result.latency.energy),
    ]


def _chart(document: Comparison) -> Drawing | None:
    """Memory over latency; over instructions where no cell has a latency."""
    timed = any(cell.latency for cell in document.cells)
    points = [(cell, x, cell.peak.value) for cell in document.cells if (x := _across(cell, timed=timed)) and cell.peak]
    if len(points) < 2:
        return None
    form: Callable[[float], str] = format_duration if timed else format_count
    series = [
        _series(document, name, role, [point for point in points if _group(document, point[0]) == name])
        for name, role in _GROUPS.items()
    ]
    shown = [each for each in series if each.points]
    what = "Latency" if timed else "Instructions of one inference"
    chart = points_chart(
        shown,
        label=f"{what} against peak memory of {len(points)} cells; the table above has the numbers",
        x_format=form,
        y_format=format_size,
        x_range=(0, max(x for _cell, x, _y in points) * 1.05),
        y_range=(0, max(y for _cell, _x, y in points) * 1.05),
        x_title=what.lower(),
        y_title="peak memory",
    )
    caption = f"{what} against peak memory: left and low is better."
    if not timed:
        caption += " No cell has a latency, for no calibration fits; compare instructions on the same core only."
    return Drawing(chart=chart, caption=caption, legend=tuple((each.role, each.name) for each in shown))


def _group(document: Comparison, cell: Cell) -> str:
    if not cell.fits:
        return "does not fit"
    return "none is faster and smaller" if cell.number in document.pareto else "fits"


def _series(document: Comparison, name: str, role: str, points: Sequence[tuple[Cell, float, float]]) -> Series:
    return Series(
        name=name,
        role=role,
        points=[(x, y) for _cell, x, y in points],
        line=False,
        dots=True,
        labels=[f"{cell.number}: {title(document, cell)}" for cell, _x, _y in points],
    )


def _across(cell: Cell, *, timed: bool) -> float | None:
    if timed:
        return cell.latency.value if cell.latency else None
    return number(cell.result.latency.counts.instructions) if cell.result else None
