"""Time of an inference on a microcontroller: published times over work → cycles each → an estimate.

Work is what the model file tells, multiply-accumulates, or where an emulated core counted them, instructions. One
number a calibration: cycles of one of these, the geometric mean of what the measured models took. It is held against
models left out, and its interval is of the spread between models. Another build of TFLM, another chip with the same
core and other memory widen it by factors that mcu boards were seen to differ by.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.errors import DataFileError
from sandbox.measured import MeasuredRow, read_measured
from sandbox.measurements import Counts
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.result import CalibrationUse, Latency

from .board import Core, Microcontroller
from .instruction_counts import Builds, read_builds
from .outcome import Kernels

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE, MEASURED = "microcontrollers.toml", Path("measured") / "tflm_cortex_m.csv"
_OTHER_TFLM = math.log(1.5)
"""A build of TFLM other than the measured one: instructions for the same model differed by up to so much."""
_OTHER_MIX = math.log(1.25)
"""The same where that build's own instructions were counted, so that only cycles an instruction are left to differ. A
judgement: no board was measured with two builds of one kernel set."""
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
    counts: str | None = None
    """The build whose instructions the times are laid over; None: multiply-accumulates of the model file."""
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
    """Cycles of a unit of work with one core, build and kernel set, and how well they tell times."""

    plan: FitPlan
    cycles: float
    """Of one `unit`."""
    rows: tuple[tuple[str, float], ...]
    """(model, cycles of a unit) of each measured row."""
    left_out: tuple[float, ...]
    """For each row the relative error of the estimate made from the others."""
    interval: float
    """Half the width of the 90 % interval for a model that was not measured, as a natural logarithm."""
    sources: tuple[str, ...]

    @property
    def unit(self) -> Literal["multiply-accumulate", "instruction"]:
        """What the work is counted in."""
        return "instruction" if self.plan.counts else "multiply-accumulate"

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
    builds = read_builds(directory)
    return tuple(fit(plan, rows, _work(plan, plans.macs, builds)) for plan in plans.fit)


def _work(plan: FitPlan, macs: Mapping[str, float], builds: Builds) -> Mapping[str, float]:
    """Model → work of one inference. Raises `DataFileError` for a build that was not counted, or of another core."""
    if plan.counts is None:
        return macs
    build = next((each for each in builds.builds if each.id == plan.counts), None)
    if build is None or (build.core, build.kernels) != (plan.core, plan.kernels):
        raise DataFileError(
            f"{FILE}: {plan.id}: no counts {plan.counts} of a {plan.core} with {plan.kernels} kernels",
            hint="name a build that the file of counts has, or count it with python -m tests.record_tflm_counts",
        )
    return {model: float(counted.instructions) for model, counted in build.models.items()}


def fit(plan: FitPlan, rows: Sequence[MeasuredRow], work: Mapping[str, float]) -> MicrocontrollerCalibration:
    """The calibration that a plan describes. Raises `DataFileError` for fewer than three rows to fit."""
    chosen = [row for row in rows if all(getattr(row, key, None) in values for key, values in plan.where.items())]
    cycles = [
        (row, seconds * plan.clock_hz / work[row.model])
        for row in chosen
        if row.model in work and (seconds := row.seconds(("p50_ms", "mean_ms"))) is not None
    ]
    if len(cycles) < 3:
        raise DataFileError(
            f"{FILE}: {plan.id}: {len(cycles)} measured rows with known work are too few for a calibration",
            hint="correct its `where`, or add rows and work",
        )
    logs = [math.log(value) for _row, value in cycles]
    spread = statistics.stdev(logs)
    left_out = [
        abs(math.exp(statistics.fmean(logs[:place] + logs[place + 1 :]) - each) - 1) for place, each in enumerate(logs)
    ]
    return MicrocontrollerCalibration(
        plan=plan,
        cycles=math.exp(statistics.fmean(logs)),
        rows=tuple((row.model, value) for row, value in cycles),
        left_out=tuple(left_out),
        interval=_T_90[min(len(logs), max(_T_90))] * spread * math.sqrt(1 + 1 / len(logs)),
        sources=tuple(dict.fromkeys(f"{row.source_title} ({row.source_locator})" for row, _value in cycles)),
    )


def predicted_latency(board: Microcontroller, kernels: Kernels, macs: Quantity, dtype: str, directory: Path) -> Latency:
    """Latency by the work that the model file tells; with the reason, where no published times allow one."""
    fits = [each for each in load_fits(directory) if each.unit == "multiply-accumulate"]
    found = _choice(board, kernels, macs, dtype, fits)
    if isinstance(found, str) or isinstance(macs, Unavailable):
        reason = found if isinstance(found, str) else "the work is not known"
        return _latency(Unavailable(unavailable=reason), None)
    note = f"counts multiply-accumulates only, with {kernels} kernels of TFLM {found.plan.tflm}"
    return _estimate(board, found, macs.value, (note,), _OTHER_TFLM)


def counted_latency(
    board: Microcontroller, kernels: Kernels, instructions: Quantity, dtype: str, directory: Path
) -> Latency:
    """Latency by instructions that an emulated core counted; with the reason, where no published times were laid over
    instructions of that core and kernel set."""
    fits = [each for each in load_fits(directory) if each.unit == "instruction"]
    found = _choice(board, kernels, instructions, dtype, fits, over=" over instructions")
    if isinstance(instructions, Unavailable):
        latency = _latency(instructions, None)
    elif isinstance(found, str):
        latency = _latency(Unavailable(unavailable=found), None)
    else:
        note = f"measured with {kernels} kernels of TFLM {found.plan.tflm}, counted with this library"
        latency = _estimate(board, found, instructions.value, (note,), _OTHER_MIX)
    return with_count(latency, instructions)


def with_count(latency: Latency, instructions: Quantity) -> Latency:
    """The same with what the emulated core counted."""
    return latency.model_copy(update={"counts": latency.counts.model_copy(update={"instructions": instructions})})


def _estimate(
    board: Microcontroller, found: MicrocontrollerCalibration, work: float, notes: tuple[str, ...], other_build: float
) -> Latency:
    """From work in units of the calibration. ``other_build``: what a build that was not measured adds to the interval,
    as a natural logarithm."""
    notes += found.plan.notes
    half_width = math.hypot(found.interval, other_build)
    if found.plan.soc not in board.soc:
        half_width = math.hypot(half_width, _OTHER_CHIP)
        notes += (
            f"measured on {found.plan.soc}, another chip with this core: flash{_waits(board)} and caches are its own",
        )
    seconds = work * found.cycles / board.cpu.clock_hz
    mean = Metric(
        value=seconds,
        unit="second",
        mode="predicted" if found.unit == "multiply-accumulate" else "calibrated",
        low=seconds * math.exp(-half_width),
        high=seconds * math.exp(half_width),
        source=f"{found.unit}s × {found.cycles:.3g} cycles, {found.plan.id}",
    )
    return _latency(mean, CalibrationUse(id=found.plan.id, error=found.error, notes=notes))


def _waits(board: Microcontroller) -> str:
    """Of the board's flash, for people: too few chips were measured for a number of cycles to follow from it."""
    waits = [flash.wait_states for flash in board.flash if flash.wait_states is not None]
    return f" (here {waits[0]} wait state{'' if waits[0] == 1 else 's'})" if waits else ""


def _choice(
    board: Microcontroller,
    kernels: Kernels,
    work: Quantity,
    dtype: str,
    fits: Sequence[MicrocontrollerCalibration],
    *,
    over: str = "",
) -> MicrocontrollerCalibration | str:
    """The calibration of that core and kernel set, the board's own chip first; or why there is none. ``over``: what
    the times of ``fits`` are laid over, where that needs to be said."""
    if isinstance(work, Unavailable):
        return work.unavailable
    if work.value == 0:
        return "the model multiplies nothing: no published times tell what its operators take"
    if dtype != "int8":
        return f"no published times{over} of {dtype} models with TFLM on a {board.cpu.core}"
    of_core = [each for each in fits if each.plan.core == board.cpu.core and each.plan.kernels == kernels]
    if not of_core:
        return f"no published times{over} of TFLM with {kernels} kernels on a {board.cpu.core}"
    return min(of_core, key=lambda each: each.plan.soc not in board.soc)


def _latency(mean: Quantity, used: CalibrationUse | None) -> Latency:
    reason = mean.unavailable if isinstance(mean, Unavailable) else "only the mean follows from published times"
    nothing = Unavailable(unavailable=reason)
    throughput: Quantity = nothing
    if isinstance(mean, Metric):
        throughput = Metric(
            value=1 / mean.value,
            unit="inference/second",
            mode=mean.mode,
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
