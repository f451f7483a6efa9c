"""The rows of `compare` as CSV: SI units, a header, an empty field for what is not known."""

from __future__ import annotations

import csv
import io

from sandbox.comparison import Comparison, rows

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(document: Comparison) -> str:
    """One line of each cell. A name from a model file that a spreadsheet would run as a formula gets a quote mark."""
    table = rows(document)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in line.items()} for line in table)
    return text.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
