"""Text to SI numbers and back: the only place that knows about ``MB``, ``ms`` and their like."""

from __future__ import annotations

import math
import re

from .errors import UsageError

_BYTE_FACTORS = {
    "": 1,
    "B": 1,
    "K": 1024,
    "KB": 1000,
    "KIB": 1024,
    "M": 1024**2,
    "MB": 1000**2,
    "MIB": 1024**2,
    "G": 1024**3,
    "GB": 1000**3,
    "GIB": 1024**3,
}
_SECOND_FACTORS = {"NS": 1e-9, "US": 1e-6, "MS": 1e-3, "S": 1.0, "MIN": 60.0}
_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµμ]*)\s*", re.ASCII)
_MICRO = str.maketrans("µμ", "uu")  # the micro sign and the Greek letter, neither of which upper() keeps


def parse_size(text: str) -> int:
    """Bytes in ``text``: ``512M`` and ``512MiB`` are binary, ``512MB`` decimal. Raises `UsageError`."""
    return round(_parse(text, _BYTE_FACTORS, "a size", "512M, 1.5GiB or 800MB", smallest=1))


def parse_duration(text: str) -> float:
    """Seconds in ``text``, which must carry a unit (``50ms``). Raises `UsageError`."""
    return _parse(text, _SECOND_FACTORS, "a time", "50ms, 1.5s or 2min", smallest=1e-12)


def parse_share(text: str) -> float:
    """The share in ``text``, which must be in percent (``5%``). Raises `UsageError`."""
    match = re.fullmatch(r"\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%\s*", text, re.ASCII)
    if match is None:
        raise UsageError(f"{text!r} is not a percentage", hint="write it like 5% or 2.5%")
    return float(match[1]) / 100


def format_size(size_bytes: float) -> str:
    """A size for people, in decimal units as Linux tools and board makers print memory: ``41.9 MB``."""
    return _format(size_bytes, [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)], "B")


def format_duration(seconds: float) -> str:
    """A time for people: ``412 ms``."""
    return _format(seconds, [("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)], "ns", small_factor=1e-9)


def format_count(count: float) -> str:
    """A number of things for people: ``10.6 M``."""
    return _format(count, [("G", 1e9), ("M", 1e6), ("k", 1e3)], "").rstrip()


def _parse(
    text: str, factors: dict[str, float] | dict[str, int], what: str, examples: str, *, smallest: float
) -> float:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    factor = factors.get(match[2].translate(_MICRO).upper()) if match else None
    value = float(match[1]) * factor if match and factor else math.nan
    if not smallest <= value < math.inf:
        raise UsageError(f"{text!r} is not {what}", hint=f"write it like {examples}")
    return value


def _format(value: float, scale: list[tuple[str, float]], small_unit: str, *, small_factor: float = 1.0) -> str:
    for unit, factor in scale:
        if abs(value) >= factor * 0.9995:
            return f"{_three_digits(value / factor)} {unit}"
    return f"{value / small_factor:.0f} {small_unit}"


def _three_digits(value: float) -> str:
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"
