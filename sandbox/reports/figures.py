"""Numbers of a document as people read them: the value, its interval, how it was got, and from what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox.metrics import Metric, Quantity
from sandbox.result import OperatorMemory
from sandbox.units import format_count, format_duration, format_size

_FORMATS: Mapping[str, Callable[[float], str]] = {
    "1": lambda value: f"{value:.4g}",
    "byte": format_size,
    "second": format_duration,
    "instruction": format_count,
    "cycle": format_count,
    "cache line": format_count,
    "multiply-accumulate": format_count,
    "joule": lambda value: f"{value:.2g} J",
    "inference/second": lambda value: f"{value:.3g}/s",
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number in words."""

    label: str
    text: str
    """The value with its unit; empty where it is unavailable."""
    interval: str
    """Its low and high end; empty where it has none, or both read like the value."""
    mode: str
    """How it was got; ``unavailable`` where there is none."""
    source: str
    """What produced it, or why there is none."""


def figure(label: str, quantity: Quantity) -> Figure:
    """The quantity in words."""
    if not isinstance(quantity, Metric):
        return Figure(label=label, text="", interval="", mode="unavailable", source=quantity.unavailable)
    return Figure(
        label=label,
        text=value_text(quantity),
        interval=interval_text(quantity),
        mode=quantity.mode,
        source=quantity.source or "",
    )


def value_text(metric: Metric) -> str:
    """The value with its unit."""
    known = _FORMATS.get(metric.unit)
    return known(metric.value) if known else f"{metric.value:g} {metric.unit}"


def interval_text(metric: Metric) -> str:
    """``low to high``; empty where there is no interval to see."""
    low, high = (value_text(metric.model_copy(update={"value": end})) for end in _ends(metric))
    return "" if low == high else f"{low} to {high}"


def brief(quantity: Quantity | None) -> str:
    """A cell of a table: the value; nothing where there is none."""
    return value_text(quantity) if isinstance(quantity, Metric) else ""


def number(quantity: Quantity | None) -> float | None:
    """The bare value, to sort and to draw by."""
    return quantity.value if isinstance(quantity, Metric) else None


def together(need: OperatorMemory) -> Quantity:
    """Tensors and temporaries of one operator."""
    if not (isinstance(need.live, Metric) and isinstance(need.workspace, Metric)):
        return need.workspace if isinstance(need.live, Metric) else need.live
    source = "tensors alive in its step, and its temporaries"
    return need.live.model_copy(update={"value": need.live.value + need.workspace.value, "source": source})


def _ends(metric: Metric) -> tuple[float, float]:
    return (
        metric.value if metric.low is None else metric.low,
        metric.value if metric.high is None else metric.high,
    )
