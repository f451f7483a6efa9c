"""Comparisons of recorded runs, for the tests of what is made from one."""

from __future__ import annotations

from typing import Any

from sandbox.comparison import Cell, Comparison, Hardware, comparison
from sandbox.device import Price
from sandbox.result import Tool
from tests.unit import recorded

HOSTILE = '<img src=x onerror="alert(1)">|`[x](javascript:1)`\x1b[31m.tflite'


def hardware(ram_bytes: int = 2**32, *, clock_hz: int = 10**9, price: float | None = None, **fields: str) -> Hardware:
    found = Price(amount=price, currency=fields.get("currency", "USD"), date="2024-01") if price else None
    return Hardware(ram_bytes=ram_bytes, cores=4, clock_hz=clock_hz, price=found, price_source=None)


def cell(number: int, name: str | None = "ready", **changes: Any) -> Cell:
    """A cell of the recorded run of that name; of no run, with an error."""
    result = recorded.result(name) if name else None
    fields: dict[str, Any] = {
        "number": number,
        "model": result.model.path if result else "model.tflite",
        "device": "rpi4b",
        "image": "bookworm-arm64",
        "runtime": f"{result.runtime.name}@{result.runtime.version}" if result else "tflite-runtime@9.9.9",
        "threads": 1,
        "hardware": hardware(),
        "cached": False,
        "result": result,
        "error": None if result else "tflite-runtime 9.9.9 has no wheel",
        "fix": None if result else "take another version",
    }
    return Cell(**{**fields, **changes})


def every_kind() -> Comparison:
    """All recorded runs, and a cell that could not be run, with names that would like to be more than text."""
    cells = [cell(place, name) for place, name in enumerate(recorded.NAMES, start=1)]
    cells.append(cell(len(cells) + 1, None, device="rpi5", model=HOSTILE, error=f"no wheel for {HOSTILE}"))
    return comparison(Tool(version="1"), cells)
