"""The rows of `compare` as CSV: SI units, a header, an empty field for what is not known."""

from __future__ import annotations

import csv
import io

from sandbox.comparison import Comparison, rows

from .layout import clean

_FORMULA = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "\N{FULLWIDTH COMMERCIAL AT}")
"""What spreadsheets take for the start of one."""


def render(document: Comparison) -> str:
    """One line of each cell. A name that a spreadsheet would run as a formula gets a quote mark; control characters are
    shown."""
    table = rows(document)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in line.items()} for line in table)
    return text.getvalue()


def _harmless(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
