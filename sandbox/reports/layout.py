"""What the reports for people share: at most 80 columns, colours only when asked for, untrusted names made harmless."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console, RenderableType
from rich.text import Text

from sandbox.metrics import Quantity, Unavailable
from sandbox.result import Verdict
from sandbox.units import format_size

WIDTH = 80
LABEL = 11
STYLES: Mapping[str, str] = {
    "ready": "bold green",
    "marginal": "bold yellow",
    "not_ready": "bold red",
    "unknown": "bold yellow",
    "pass": "green",
    "warn": "yellow",
    "fail": "red",
}
"""Colours of verdicts and checks."""


def printed(lines: Iterable[RenderableType], *, colour: bool) -> str:
    """The lines as text."""
    console = Console(
        file=io.StringIO(), width=WIDTH, force_terminal=colour, no_color=not colour, highlight=False, markup=False
    )
    for line in lines:
        console.print(line, soft_wrap=False)
    written = console.file
    return written.getvalue() if isinstance(written, io.StringIO) else ""


def heading(text: str) -> Text:
    """The heading of a block."""
    return Text(f"\n{text}", style="bold")


def row(label: str, text: str, style: str = "") -> Text:
    """A labelled line; what does not fit is broken at words and goes on below the text."""
    row = Text(f"  {label:<{LABEL}}")
    words, room, column = text.split(" "), WIDTH - LABEL - 3, 0
    for place, word in enumerate(words):
        if column and column + 1 + len(word) > room:
            row.append("\n" + " " * (LABEL + 2))
            column = 0
        elif place:
            row.append(" ")
            column += 1
        row.append(word, style=style)
        column += len(word)
    return row


def verdict_lines(verdict: Verdict) -> Iterator[Text]:
    """The answer with its reasons and the first thing to do."""
    yield heading("VERDICT")
    line = Text("  ")
    line.append(verdict.status.replace("_", " ").upper(), style=STYLES[verdict.status])
    yield line
    for reason in verdict.reasons:
        yield row("because", clean(reason))
    if verdict.fix:
        yield row("first", clean(verdict.fix))


def in_bytes(quantity: Quantity, *, interval: bool = False) -> str:
    """A size and how it was got, with its upper end if asked for; or why there is none."""
    if isinstance(quantity, Unavailable):
        return f"unavailable, because {clean(quantity.unavailable)}"
    high = quantity.high if interval and quantity.high and quantity.high > quantity.value * 1.005 else None
    most = f" (at most {format_size(high)})" if high else ""
    return f"{format_size(quantity.value)} {quantity.mode}{most}"


def clean(text: str) -> str:
    """Untrusted text without control characters, so that no name can move the cursor or change colours."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
