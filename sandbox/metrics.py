"""How a number is carried: its value, its unit, how it was got; or the reason why there is none."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Unit = Literal[
    "byte",
    "second",
    "instruction",
    "cycle",
    "joule",
    "inference/second",
    "cache line",
    "multiply-accumulate",
    "call",
    "1",
    "step",
]
Mode = Literal["measured", "emulated", "calibrated", "predicted"]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class Metric(BaseModel):
    """A number with its unit, how it was got, and where known its interval and source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: _Finite
    unit: Unit
    mode: Mode
    low: _Finite | None = None
    high: _Finite | None = None
    source: str | None = None
    """What produced the number: an emulator and its version, a profiler, a calibration id, a document."""


class Unavailable(BaseModel):
    """A number that cannot be had, and why. Never a zero, never a missing key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unavailable: Annotated[str, Field(min_length=1)]


Quantity = Metric | Unavailable
