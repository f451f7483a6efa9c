"""`compare` as Markdown, for a pull request or a wiki."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.comparison import Cell, Comparison, operator_matrix, title
from sandbox.units import format_size

from .compare_terminal import available_text, axis_text, latency_text, verdict_text
from .layout import clean

_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#~&!"})


def render(document: Comparison) -> str:
    """The report as text."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Comparison) -> Iterator[str]:
    heads = ("", *document.varied, "latency", "peak", "of", "verdict", "why")
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for cell in document.cells:
        yield f"| {' | '.join(_columns(document, cell))} |"
    cheapest = document.cheapest
    yield ""
    if cheapest.number is None:
        yield "No way to run it fits."
    else:
        yield f"Cheapest that fits: **{_safe(title(document, document.cells[cheapest.number - 1]))}**"
        yield f"({cheapest.reason})."
    yield from _matrix(document)


def _columns(document: Comparison, cell: Cell) -> Iterator[str]:
    yield str(cell.number)
    for axis in document.varied:
        yield _safe(axis_text(cell, axis))
    yield latency_text(cell)
    yield format_size(cell.peak.value) if cell.peak else "unknown"
    yield available_text(cell)
    yield f"**{verdict_text(cell)}**" if cell.status == "not_ready" else verdict_text(cell)
    yield "" if cell.status == "ready" else _safe(" ".join(cell.reason.split()))


def _matrix(document: Comparison) -> Iterator[str]:
    ran = [cell for cell in document.cells if cell.result]
    missing = {kind: line for kind, line in operator_matrix(ran).items() if "missing" in line}
    if not missing:
        return
    yield ""
    yield f"| operator | {' | '.join(str(cell.number) for cell in ran)} |"
    yield f"|{' --- |' * (len(ran) + 1)}"
    for kind, line in missing.items():
        yield f"| {_safe(kind)} | {' | '.join((status or '').replace('_', ' ') for status in line)} |"


def _safe(text: str) -> str:
    """Untrusted text that stays text: no links, images, tags or table cells of its own."""
    return clean(text).translate(_SPECIAL)
