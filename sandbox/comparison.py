"""The document that `compare` ends in: one cell for each way to run, and what follows from all of them together.

Pure: which cell is the cheapest that fits, which ones no other beats, and a flat row of each for tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from .device import Price
from .measurements import OpStatus
from .metrics import Metric, Quantity
from .result import CheckId, CheckStatus, Result, Tool, VerdictStatus

Axis = Literal["model", "device", "image", "runtime", "threads"]
AXES: tuple[Axis, ...] = ("model", "device", "image", "runtime", "threads")
FITTING: tuple[VerdictStatus, ...] = ("ready", "marginal")

_WORST_FIRST: tuple[OpStatus, ...] = ("missing", "not_run", "outside", "native", "delegated")

if TYPE_CHECKING:
    import pandas as pd


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hardware(_Frozen):
    """What there is of a device, to rank it by."""

    ram_bytes: int
    cores: int
    clock_hz: int
    price: Price | None
    price_source: str | None


class Cell(_Frozen):
    """One way to run a model: its result, or why there is none."""

    number: int
    """From 1, in the order asked for."""
    model: str
    device: str
    image: str
    runtime: str
    """``name@version``, or what was asked for where nothing ran."""
    threads: int
    hardware: Hardware
    cached: bool
    """Whether the run is an earlier one's."""
    result: Result | None = None
    error: str | None = None
    """Why there is no result."""
    fix: str | None = None

    @property
    def status(self) -> VerdictStatus:
        """The verdict; unknown where nothing ran."""
        return self.result.verdict.status if self.result else "unknown"

    @property
    def reason(self) -> str:
        """Why, in a sentence."""
        if self.result is None:
            return self.error or "it was not run"
        return "; ".join(self.result.verdict.reasons)

    @property
    def fits(self) -> bool:
        """Whether the model can be used so."""
        return self.status in FITTING

    @property
    def latency(self) -> Metric | None:
        """Mean time of an inference on the device. A time that no calibration stands behind compares with nothing."""
        mean = self.result.latency.mean if self.result else None
        return mean if isinstance(mean, Metric) and mean.mode != "emulated" else None

    @property
    def peak(self) -> Metric | None:
        """Peak memory; of a microcontroller the arena."""
        if self.result is None:
            return None
        board = self.result.microcontroller
        return _known(board.arenas[0].minimum if board and board.arenas else self.result.memory.peak_rss)

    @property
    def available(self) -> Metric | None:
        """What the device leaves to the model, as the memory check took it."""
        limits = [check.limit for check in self.result.checks if check.id == "memory"] if self.result else []
        return _known(limits[0]) if limits and limits[0] else None


class Cheapest(_Frozen):
    """Which cell needs least, of those that fit."""

    number: int | None
    """None where none fits."""
    by: Literal["price", "hardware"]
    reason: str


class Comparison(_Frozen):
    """The whole document."""

    schema_version: Literal[1] = 1
    tool: Tool
    varied: tuple[Axis, ...]
    """In what the cells differ."""
    cells: tuple[Cell, ...]
    cheapest: Cheapest
    pareto: tuple[int, ...]
    """Numbers of the fitting cells of which no other is both faster and smaller."""

    def frame(self) -> pd.DataFrame:
        """The cells as a pandas table: the columns of ``--format csv``."""
        import pandas as pd  # noqa: PLC0415  # half a second that only its users pay

        frame: pd.DataFrame = pd.DataFrame(rows(self)).set_index("number")
        return frame


def comparison(tool: Tool, cells: Sequence[Cell]) -> Comparison:
    """What follows from the cells."""
    varied = tuple(axis for axis in AXES if len({getattr(cell, axis) for cell in cells}) > 1)
    return Comparison(
        tool=tool, varied=varied or ("device",), cells=tuple(cells), cheapest=cheapest(cells), pareto=pareto(cells)
    )


def cheapest(cells: Sequence[Cell]) -> Cheapest:
    """The cheapest that fits: by price where every fitting device's is known in one currency, else by RAM, then by
    cores times clock."""
    fitting = [cell for cell in cells if cell.fits]
    if not fitting:
        return Cheapest(number=None, by="hardware", reason="none fits")
    prices = [cell.hardware.price for cell in fitting]
    known = [price for price in prices if price is not None]
    if len(known) == len(fitting) and len({price.currency for price in known}) == 1:
        least = min(
            fitting, key=lambda cell: (cell.hardware.price.amount if cell.hardware.price else 0.0, _least(cell))
        )
        price = least.hardware.price or known[0]
        dates = sorted({price.date for price in known})
        when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        reason = f"{price.amount:g} {price.currency}; list prices of {when}"
        return Cheapest(number=least.number, by="price", reason=reason)
    least = min(fitting, key=_least)
    absent = "prices are in several currencies" if len(known) == len(fitting) else "not every device's price is known"
    return Cheapest(number=least.number, by="hardware", reason=f"least RAM, then least cores × clock: {absent}")


def _least(cell: Cell) -> tuple[int, int, int, int]:
    hardware = cell.hardware
    return hardware.ram_bytes, hardware.cores * hardware.clock_hz, cell.threads, cell.number


def pareto(cells: Sequence[Cell]) -> tuple[int, ...]:
    """Of the fitting cells with latency and peak, those that no other beats in one and equals in the other."""
    points = {
        cell.number: (cell.latency.value, cell.peak.value)
        for cell in cells
        if cell.fits and cell.latency is not None and cell.peak is not None
    }
    return tuple(
        number
        for number, (latency, peak) in points.items()
        if not any(a <= latency and b <= peak and (a, b) != (latency, peak) for a, b in points.values())
    )


def operator_matrix(cells: Sequence[Cell]) -> dict[str, tuple[OpStatus | None, ...]]:
    """Operator type → its worst status in each cell; None where that cell has none of it or did not run."""
    ops = (op for cell in cells if cell.result for op in cell.result.ops)
    types = dict.fromkeys(op.type for op in ops if op.status != "outside")
    return {kind: tuple(_worst(cell, kind) for cell in cells) for kind in types}


def _worst(cell: Cell, kind: str) -> OpStatus | None:
    found = {op.status for op in cell.result.ops if op.type == kind} if cell.result else set()
    return next((status for status in _WORST_FIRST if status in found), None)


def build_matrix(cells: Sequence[Cell]) -> dict[str, tuple[CheckStatus | None, ...]]:
    """What the wheel, its binary interface and the core's instructions come to in each cell, by file and by run.

    None where that cell did not run or knows no such question; a line that no cell can fill is left out.
    """
    found = [cell.result.compatibility if cell.result else None for cell in cells]
    lines: dict[str, tuple[CheckStatus | None, ...]] = {
        "wheel of the runtime": tuple(each.install.status if each else None for each in found),
        "binary interface (ABI)": tuple(_status(cell, "abi") for cell in cells),
        "CPU instructions": tuple(_status(cell, "cpu") for cell in cells),
    }
    return {name: line for name, line in lines.items() if any(line)}


def _status(cell: Cell, name: CheckId) -> CheckStatus | None:
    checks = cell.result.checks if cell.result else ()
    return next((check.status for check in checks if check.id == name), None)


def title(document: Comparison, cell: Cell) -> str:
    """What tells the cell from the others: ``rpi4b, 4 threads``."""
    words = {
        "model": PurePath(cell.model).name,
        "device": cell.device,
        "image": cell.image,
        "runtime": cell.runtime,
        "threads": f"{cell.threads} thread{'' if cell.threads == 1 else 's'}",
    }
    return ", ".join(words[axis] for axis in document.varied)


def rows(document: Comparison) -> list[dict[str, Any]]:
    """A flat row of each cell: plain numbers in SI units, None for what is not known."""
    return [_row(document, cell) for cell in document.cells]


def _row(document: Comparison, cell: Cell) -> dict[str, Any]:
    result, latency, peak, price = cell.result, cell.latency, cell.peak, cell.hardware.price
    statuses = [op.status for op in result.ops] if result else []
    return {
        "number": cell.number,
        "model": cell.model,
        "device": cell.device,
        "image": cell.image,
        "runtime": cell.runtime,
        "threads": cell.threads,
        "verdict": cell.status,
        "reason": cell.reason,
        "latency_seconds": latency.value if latency else None,
        "latency_low_seconds": latency.low if latency else None,
        "latency_high_seconds": latency.high if latency else None,
        "latency_mode": latency.mode if latency else None,
        "instructions": _value(result.latency.counts.instructions) if result else None,
        "peak_bytes": peak.value if peak else None,
        "peak_mode": peak.mode if peak else None,
        "available_bytes": cell.available.value if cell.available else None,
        "headroom_bytes": _value(result.memory.headroom) if result else None,
        "energy_joule": _value(result.latency.energy) if result else None,
        "operators": len(statuses) if result else None,
        "operators_missing": statuses.count("missing") if result else None,
        "ram_bytes": cell.hardware.ram_bytes,
        "price": price.amount if price else None,
        "currency": price.currency if price else None,
        "cheapest": cell.number == document.cheapest.number,
        "pareto": cell.number in document.pareto,
        "cached": cell.cached,
        "started": result.started if result else None,
    }


def _known(quantity: Quantity) -> Metric | None:
    return quantity if isinstance(quantity, Metric) else None


def _value(quantity: Quantity) -> float | None:
    return quantity.value if isinstance(quantity, Metric) else None


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Comparison.model_json_schema()}
