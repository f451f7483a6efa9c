"""The comparison of outputs for people: one line for each pair of sides, and the first operator that departs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.text import Text

from sandbox.metrics import Metric, Quantity
from sandbox.parity import Comparison, Difference, Parity, SideName, worst

from .layout import clean, heading, row

_SHORT: Mapping[SideName, str] = {
    "device": "device",
    "device_plain": "device without delegates",
    "host": "host",
    "reference": "reference",
    "given": "given outputs",
}


def lines(parity: Parity) -> Iterator[Text]:
    """The block PARITY."""
    yield heading("PARITY")
    for side in parity.sides:
        why = f": unavailable, because {clean(side.unavailable)}" if side.unavailable else ""
        yield row(_SHORT[side.side].split()[0] if side.side != "device_plain" else "plain", clean(side.what) + why)
    for comparison in parity.comparisons:
        if comparison.unavailable is None:
            yield row("differ", _compared(comparison), style="yellow" if comparison.departs else "")
    first = parity.first_departure
    if first is not None:
        found = f"operator {first.index}, {first.type} {first.name}, is the first that departs from {first.against}"
        yield row("first", clean(f"{found}: {_numbers(first.difference)}"))
    elif parity.first_departure_unavailable:
        yield row("first", f"unavailable, because {clean(parity.first_departure_unavailable)}")


def _compared(comparison: Comparison) -> str:
    pair = f"{_SHORT[comparison.side]} and {_SHORT[comparison.against]}"
    return clean(f"{pair}: {worst(comparison)}")


def _numbers(found: Difference) -> str:
    texts = (("largest", found.largest_absolute), ("relative", found.largest_relative), ("cosine", found.cosine))
    named = ", ".join(f"{name} {_text(quantity)}" for name, quantity in texts if isinstance(quantity, Metric))
    return named or "other shape or type"


def _text(quantity: Quantity) -> str:
    return f"{quantity.value:.4g}" if isinstance(quantity, Metric) else quantity.unavailable
