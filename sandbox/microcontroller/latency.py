"""Time of an inference on a microcontroller: published times over multiply-accumulates → cycles each → an estimate.

One number a calibration: cycles of a multiply-accumulate, the geometric mean of what the measured models took. It is
held against models left out, and its interval is of the spread between models. Another build of TFLM, another chip
with the same core and other memory widen it by factors that mcu boards were seen to differ by.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.errors import DataFileError
from sandbox.measured import MeasuredRow, read_measured
from sandbox.measurements import Counts
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.result import CalibrationUse, Latency

from .board import Core, Microcontroller
from .outcome import Kernels

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE, MEASURED = "microcontrollers.toml", Path("measured") / "tflm_cortex_m.csv"
_OTHER_TFLM = math.log(1.5)
"""A build of TFLM other than the measured one: instructions for the same model differed by up to so much."""
_OTHER_CHIP = math.log(1.3)
"""Another chip with the same core: flash wait states, caches and accelerators of flash are its own."""
_T_90 = {2: 6.31, 3: 2.92, 4: 2.35, 5: 2.13, 6: 2.02, 7: 1.94, 8: 1.89, 9: 1.86, 10: 1.83}
"""Student's t for a 90 % interval, by the number of models."""
_NOT_COUNTED = "TFLM on this host counts no instructions of the board's core"
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FitPlan(_Frozen):
    """Which rows make one calibration, and what they were measured with."""

    id: str
    core: Core
    soc: str
    clock_hz: Annotated[int, Field(ge=10**6, le=2 * 10**9)]
    kernels: Kernels
    tflm: str
    where: Mapping[str, tuple[str, ...]]
    """Column of the measured rows → values of those that count."""
    notes: tuple[str, ...] = ()


class FitFile(_Frozen):
    """The whole of ``calibration/microcontrollers.toml``."""

    macs: Mapping[str, _Positive]
    macs_sources: Mapping[str, str]
    fit: tuple[FitPlan, ...]


@dataclass(frozen=True, kw_only=True)
class MicrocontrollerCalibration:
    """Cycles of a multiply-accumulate with one core, build and kernel set, and how well they tell times."""

    plan: FitPlan
    cycles_per_mac: float
    rows: tuple[tuple[str, float], ...]
    """(model, cycles of a multiply-accumulate) of each measured row."""
    left_out: tuple[float, ...]
    """For each row the relative error of the estimate made from the others."""
    interval: float
    """Half the width of the 90 % interval for a model that was not measured, as a natural logarithm."""
    sources: tuple[str, ...]

    @property
    def error(self) -> float:
        """Mean relative error of models left out."""
        return statistics.fmean(self.left_out)


def load_fits(directory: Path) -> tuple[MicrocontrollerCalibration, ...]:
    """All calibrations of microcontrollers in a calibration folder, none where it has no such file.

    Raises `DataFileError`.
    """
    path = directory / FILE
    if not path.is_file():
        return ()
    try:
        plans = FitFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataFileError(f"{path}: {where}: {first['msg']}", hint="docs/microcontrollers.md has the form") from error
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path}: {error}", hint="correct the file at that place") from error
    rows = read_measured(directory / MEASURED)
    return tuple(fit(plan, rows, plans.macs) for plan in plans.fit)


def fit(plan: FitPlan, rows: Sequence[MeasuredRow], macs: Mapping[str, float]) -> MicrocontrollerCalibration:
    """The calibration that a plan describes. Raises `DataFileError` for fewer than three rows to fit."""
    chosen = [row for row in rows if all(getattr(row, key, None) in values for key, values in plan.where.items())]
    cycles = [
        (row, seconds * plan.clock_hz / macs[row.model])
        for row in chosen
        if row.model in macs and (seconds := row.seconds(("p50_ms", "mean_ms"))) is not None
    ]
    if len(cycles) < 3:
        raise DataFileError(
            f"{FILE}: {plan.id}: {len(cycles)} measured rows with known work are too few for a calibration",
            hint="correct its `where`, or add rows and multiply-accumulates",
        )
    logs = [math.log(value) for _row, value in cycles]
    spread = statistics.stdev(logs)
    left_out = [
        abs(math.exp(statistics.fmean(logs[:place] + logs[place + 1 :]) - each) - 1) for place, each in enumerate(logs)
    ]
    return MicrocontrollerCalibration(
        plan=plan,
        cycles_per_mac=math.exp(statistics.fmean(logs)),
        rows=tuple((row.model, value) for row, value in cycles),
        left_out=tuple(left_out),
        interval=_T_90[min(len(logs), max(_T_90))] * spread * math.sqrt(1 + 1 / len(logs)),
        sources=tuple(dict.fromkeys(f"{row.source_title} ({row.source_locator})" for row, _value in cycles)),
    )


def predicted_latency(board: Microcontroller, kernels: Kernels, macs: Quantity, dtype: str, directory: Path) -> Latency:
    """Latency by the work that the model file tells; with the reason, where no published times allow one."""
    found = _choice(board, kernels, macs, dtype, load_fits(directory))
    if isinstance(found, str) or isinstance(macs, Unavailable):
        reason = found if isinstance(found, str) else "the work is not known"
        return _latency(Unavailable(unavailable=reason), None)
    notes = [f"counts multiply-accumulates only, with {kernels} kernels of TFLM {found.plan.tflm}", *found.plan.notes]
    half_width = math.hypot(found.interval, _OTHER_TFLM)
    if found.plan.soc not in board.soc:
        half_width = math.hypot(half_width, _OTHER_CHIP)
        notes.append(f"measured on {found.plan.soc}, another chip with this core: flash and caches are its own")
    seconds = macs.value * found.cycles_per_mac / board.cpu.clock_hz
    mean = Metric(
        value=seconds,
        unit="second",
        mode="predicted",
        low=seconds * math.exp(-half_width),
        high=seconds * math.exp(half_width),
        source=f"multiply-accumulates × {found.cycles_per_mac:.3g} cycles, {found.plan.id}",
    )
    return _latency(mean, CalibrationUse(id=found.plan.id, error=found.error, notes=tuple(notes)))


def _choice(
    board: Microcontroller,
    kernels: Kernels,
    macs: Quantity,
    dtype: str,
    fits: Sequence[MicrocontrollerCalibration],
) -> MicrocontrollerCalibration | str:
    """The calibration of that core and kernel set, the board's own chip first; or why there is none."""
    if isinstance(macs, Unavailable):
        return macs.unavailable
    if macs.value == 0:
        return "the model multiplies nothing: no published times tell what its operators take"
    if dtype != "int8":
        return f"no published times of {dtype} models with TFLM on a {board.cpu.core}"
    of_core = [each for each in fits if each.plan.core == board.cpu.core and each.plan.kernels == kernels]
    if not of_core:
        return f"no published times of TFLM with {kernels} kernels on a {board.cpu.core}"
    return min(of_core, key=lambda each: each.plan.soc not in board.soc)


def _latency(mean: Quantity, used: CalibrationUse | None) -> Latency:
    reason = mean.unavailable if isinstance(mean, Unavailable) else "only the mean follows from published times"
    nothing = Unavailable(unavailable=reason)
    throughput: Quantity = nothing
    if isinstance(mean, Metric):
        throughput = Metric(
            value=1 / mean.value,
            unit="inference/second",
            mode="predicted",
            low=1 / (mean.high or mean.value),
            high=1 / (mean.low or mean.value),
            source=mean.source,
        )
    uncounted = Unavailable(unavailable=_NOT_COUNTED)
    return Latency(
        counts=Counts(instructions=uncounted, critical_path=uncounted, classes={}, threads=()),
        mean=mean,
        p95=nothing,
        throughput=throughput,
        sustained=nothing,
        energy=nothing,
        calibration=used,
        samples=(),
    )
