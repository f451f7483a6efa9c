"""A calibration for a core that no row of its runtime was measured on: another board's times, by how the two boards
compare under some other library.

Predicted times of the measured board, times the median ratio of the boards, are fitted to the counts of the other core.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from .calibration import TERMS, Calibration, DType, Provenance, Transfer, amounts
from .choice import Target, Workload, choose, transferred
from .device import DeviceSpec
from .errors import DataFileError
from .fit import point
from .left_out import rounded
from .lines import solve
from .measured import MeasuredRow
from .model_counts import CountSet

OTHER_LIBRARY = 0.3
"""Half-width for boards that compare otherwise under one library than under another. A judgement: a Cortex-A53 takes
1.4 times the cycles of a Cortex-A72 under ncnn, 2.2 times under Tengine; XNNPACK, like ncnn, has kernels of its own for
both."""


class RelatePlan(BaseModel):
    """One such calibration (``[[relate]]`` in ``calibration/fits.toml``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$")]
    source: str
    """Id of the calibration whose times are taken."""
    counts: str
    """Of models on this device's core."""
    source_counts: str
    """Of the same models on the source's core."""
    measured: str
    boards: tuple[str, str]
    """This device and the source, as the measured file names them."""
    source_clock_hz: int
    """At which the source ran there."""
    dtype: DType
    threads: int


class DerivePlan(BaseModel):
    """A calibration of a board on which nothing was measured, by another with its core or a near relative
    (``[[derive]]``): what `sandbox.choice` would take for it, written down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$")]
    source: str


def derive(plan: DerivePlan, device: DeviceSpec, source: Calibration) -> Calibration:
    """The calibration, scaled by clock and bandwidth, with a wider interval. Raises `DataFileError`."""
    chosen = choose([source], Target.of(device), Workload.of(source))
    if isinstance(chosen, str):
        raise DataFileError(f"{plan.id}: {source.id} does not serve it: {chosen}", hint="name one of a like core")
    before = f"{source.transfer.reason}; " if source.transfer else ""
    return chosen.calibration.model_copy(
        update={
            "id": plan.id,
            "device": device.id,
            "soc": device.soc,
            "core": device.cpu.core,
            "bandwidth_bytes_per_second": device.memory.bandwidth_bytes_per_second if device.memory else None,
            "interval": rounded(chosen.half_width),
            "evidence": None,
            "transfer": Transfer(
                source=source.id,
                reason=f"{before}{transferred(source)}; nothing was measured on the board",
            ),
            "notes": tuple(note for note in source.notes if "clock" not in note and "MHz" not in note),
        }
    )


def board_ratios(plan: RelatePlan, rows: Sequence[MeasuredRow]) -> tuple[float, ...]:
    """This device's time over the source's, model by model, sorted. Raises `DataFileError` when there are too few."""
    times: dict[str, dict[tuple[str, str], float]] = {board: {} for board in plan.boards}
    for row in rows:
        seconds = row.seconds(("mean_ms",))
        if row.device in times and (row.dtype, row.threads) == (plan.dtype, plan.threads) and seconds:
            times[row.device][row.model, row.input_shape] = seconds
    mine, source = (times[board] for board in plan.boards)
    ratios = tuple(sorted(mine[key] / source[key] for key in mine.keys() & source.keys()))
    if len(ratios) < 5:
        raise DataFileError(f"{plan.id}: {len(ratios)} models measured on both boards", hint="name other boards")
    return ratios


def relate(
    plan: RelatePlan,
    device: DeviceSpec,
    source: Calibration,
    counts: tuple[CountSet, CountSet],
    *,
    rows: Sequence[MeasuredRow],
    digests: tuple[str, str],
) -> Calibration:
    """The calibration. ``counts``: on this core, on the source's. Raises `DataFileError`."""
    ratios = board_ratios(plan, rows)
    ratio = ratios[len(ratios) // 2]
    spread = sorted(abs(math.log(each / ratio)) for each in ratios)[math.ceil(0.9 * len(ratios)) - 1]
    there = source.model_copy(update={"clock_hz": plan.source_clock_hz})
    own, theirs = counts
    found = []
    for mine in own.models:
        other = theirs.find(mine.model, plan.dtype)
        if other is not None and mine.dtype == plan.dtype:
            moved = amounts(other.weights_bytes, other.operators, other.traffic)
            found.append(point(mine, ratio * there.seconds(other.classes, moved), source.slots))
    line = solve(found, plan.id, tuple(source.costs))
    misfit = max(abs(math.log(line.predict(each) / each.seconds)) for each in found)
    mixes = [each.slots / each.instructions for each in found]
    boards = " to ".join(plan.boards)
    return source.model_copy(
        update={
            "id": plan.id,
            "device": device.id,
            "soc": device.soc,
            "core": device.cpu.core,
            "clock_hz": device.cpu.clock_hz,
            "bandwidth_bytes_per_second": device.memory.bandwidth_bytes_per_second if device.memory else None,
            "runtime": own.runtime,
            "runtime_version": own.runtime_version,
            "dtypes": (plan.dtype,),
            "cycles_per_slot": rounded(line.slot * device.cpu.clock_hz),
            **{f"seconds_per_{term}": rounded(line.costs.get(term, 0.0)) for term in TERMS},
            "interval": rounded(math.hypot(source.interval, spread, misfit, OTHER_LIBRARY)),
            "slots_per_instruction": (rounded(min(mixes)), rounded(max(mixes))),
            "evidence": None,
            "transfer": Transfer(
                source=source.id,
                reason=f"times {ratio:.3g}, as {boards} under ncnn, {len(ratios)} models; no row of its own",
            ),
            "provenance": Provenance(
                counts=own.id,
                counts_sha256=digests[0],
                measured=plan.measured,
                measured_sha256=digests[1],
                sources=tuple(sorted({row.source_title for row in rows if row.device in plan.boards})),
            ),
            "notes": (),
        }
    )
