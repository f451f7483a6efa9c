"""What ``calibration measure`` leaves: times of a fixed suite on a real board, clocks and temperatures around each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .calibration import DType
from .json_file import read_document
from .measured import MeasuredRow

_Seconds = Annotated[float, Field(gt=0, lt=1e4, allow_inf_nan=False)]
_HINT = "measure again: edge-sandbox calibration measure"
SUITE: tuple[str, ...] = (
    "mobilenet_v1_0.25_128",
    "mobilenet_v1_0.5_160",
    "mobilenet_v1_1.0_128",
    "mobilenet_v2_0.35_96",
    "mobilenet_v2_0.5_160",
    "mobilenet_v2_1.0_128",
    "mobilenet_v3_small_1.0_224",
    "op_conv1x1_128_28",
    "op_conv3x3_64_28",
    "op_depthwise3x3_256_28",
    "op_dense_512_1",
)
"""Small enough for a board with 512 MB, of three families, and operators that each stress one thing."""

BUSY_LOAD = 0.5
"""Load average per core, before the suite, above which other programs disturb it."""
THROTTLED = 0.95
"""Share of the highest clock seen below which a clock counts as throttled."""
UNSTEADY = 0.25
"""Spread of the middle half of the samples over their median above which times say little."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(_Frozen):
    """What the board says of itself; None is what it does not say."""

    clock_hz: int | None
    temperature_celsius: float | None
    load: float
    """Load average of the last minute over the number of cores."""
    throttled: bool | None
    """The firmware's own word (Raspberry Pi: ``get_throttled``)."""
    was_throttled: bool | None = None
    """The same of any time since boot, or since it was last asked; None also in older files."""


class Timing(_Frozen):
    """One model: the first inference, and those that follow."""

    model: str
    dtype: DType
    cold_seconds: _Seconds
    samples: Annotated[tuple[_Seconds, ...], Field(min_length=1)]
    before: Condition
    after: Condition

    @property
    def median(self) -> float:
        """Seconds of the middle sample."""
        return sorted(self.samples)[len(self.samples) // 2]

    @property
    def unsteady(self) -> bool:
        """Whether the middle half of the samples is spread too far."""
        ordered = sorted(self.samples)
        quarter = len(ordered) // 4
        return ordered[-1 - quarter] - ordered[quarter] > UNSTEADY * self.median


class Measurement(_Frozen):
    """The whole file."""

    schema_version: Literal[1] = 1
    tool_version: str
    started: str
    device: str
    core: str
    soc: str
    os: str
    runtime: str
    runtime_version: str
    delegates: bool
    threads: Annotated[int, Field(ge=1)]
    host: dict[str, Any]
    timings: tuple[Timing, ...]

    def rows(self) -> tuple[MeasuredRow, ...]:
        """As rows to fit."""
        return tuple(
            MeasuredRow(
                device=self.device,
                core=self.core,
                model=timing.model,
                dtype=timing.dtype,
                runtime=self.runtime,
                runtime_version=self.runtime_version,
                threads=self.threads,
                source_title=f"calibration measure on {self.device}",
                source_locator=self.started,
                p50_ms=timing.median * 1e3,
                p95_ms=sorted(timing.samples)[math.ceil(0.95 * len(timing.samples)) - 1] * 1e3,
            )
            for timing in self.timings
        )


def read_measurement(path: Path) -> Measurement:
    """Read such a file. Raises `DataFileError`."""
    return read_document(path, Measurement, _HINT)


def doubts(measurement: Measurement) -> tuple[str, ...]:
    """Why the times may not be the board's own, a sentence each: throttled, busy, unsteady."""
    found = []
    conditions = [each for timing in measurement.timings for each in (timing.before, timing.after)]
    meanwhile = any(t.after.was_throttled and not t.before.was_throttled for t in measurement.timings)
    if meanwhile or any(each.throttled for each in conditions):
        found.append("the firmware throttled the clock or the supply was too low")
    clocks = [each.clock_hz for timing in measurement.timings if (each := timing.after).clock_hz]
    if clocks and min(clocks) < THROTTLED * max(clocks):
        found.append(f"the clock fell from {max(clocks) / 1e6:.0f} to {min(clocks) / 1e6:.0f} MHz under load")
    if measurement.timings and (load := measurement.timings[0].before.load) > BUSY_LOAD:
        found.append(f"other programs kept the cores {load:.0%} busy before it began")
    unsteady = [timing.model for timing in measurement.timings if timing.unsteady]
    if unsteady:
        found.append(f"times of {_some(unsteady)} vary by more than {UNSTEADY:.0%}")
    return tuple(found)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
