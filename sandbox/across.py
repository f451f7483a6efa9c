"""A calibration for kernel libraries that nothing was measured of: what a core takes for kernels that are known.

Good vector kernels of different libraries and precisions keep one core about equally busy, so cycles a slot of one tell
those of another to within some tens of percent. How far is measured: each known set of kernels is predicted by the
others of its board. There are few such sets, so the interval is the widest error of all, not a quantile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from .calibration import Calibration, Provenance, Slots, Transfer
from .errors import DataFileError
from .fit import FitInput, points
from .left_out import errors, rounded

_DTYPES = ("fp32", "int8", "uint8")


class AcrossPlan(BaseModel):
    """One such calibration (``[[across]]`` in ``calibration/fits.toml``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$")]
    sources: Annotated[tuple[str, ...], Field(min_length=2)]
    """Ids of calibrations of one board and one thread, each of other kernels."""
    slots: Slots


Costs = tuple[tuple[float, float], ...]
"""Of each row of a set of kernels: log of cycles a slot, and slots of an instruction."""


def costs(plan: AcrossPlan, inputs: Mapping[str, FitInput]) -> tuple[Costs, ...]:
    """Of each source. Raises `DataFileError` for one that is not there, or of several threads."""
    found = []
    for name in plan.sources:
        given = inputs.get(name)
        if given is None or given.plan.threads != 1:
            raise DataFileError(f"{plan.id}: no calibration {name} of one thread", hint="name one of fits.toml")
        clock = given.device.cpu.clock_hz
        rows = points(given.plan, given.rows, given.counts, plan.slots)
        found.append(tuple((math.log(p.seconds * clock / p.slots), p.slots / p.instructions) for p in rows))
    return tuple(found)


def left_out_ratios(known: Sequence[Costs]) -> list[float]:
    """log(prediction ÷ measured) of each row, by the kernels of the other sets."""
    found = []
    for place, rows in enumerate(known):
        rest = [each for other, each in enumerate(known) if other != place]
        found += [_typical(rest) - cycles for cycles, _mix in rows]
    return found


def across(
    plan: AcrossPlan,
    source: Calibration,
    known: Sequence[Costs],
    pool: Sequence[Sequence[Costs]],
    made_from: Provenance,
) -> Calibration:
    """The calibration; ``source``: of the same board, ``pool``: what all such plans know, this one included."""
    ratios = [ratio for each in pool for ratio in left_out_ratios(each)]
    of_all = errors(ratios)
    if of_all is None:
        raise DataFileError(f"{plan.id}: its sources have no rows", hint="edge-sandbox calibration count")
    mixes = [mix for rows in known for _cycles, mix in rows]
    sets = sum(len(each) for each in pool)
    return source.model_copy(
        update={
            "id": plan.id,
            "library": "any",
            "dtypes": _DTYPES,
            "stand_in": False,
            "slots": plan.slots,
            "cycles_per_slot": rounded(math.exp(_typical(known))),
            "seconds_per_weight_byte": 0.0,
            "interval": rounded(max(abs(ratio) for ratio in ratios)),
            "tail": None,
            "slots_per_instruction": (rounded(min(mixes)), rounded(max(mixes))),
            "evidence": None,
            "transfer": Transfer(
                source=", ".join(plan.sources),
                reason=f"transfer between kernel libraries, tried on {sets} sets of kernels that were measured",
                error=of_all,
            ),
            "provenance": made_from,
            "notes": (),
        }
    )


def _typical(known: Sequence[Costs]) -> float:
    """The mean over sets of kernels of their median: a set with many rows counts no more than another."""
    middles = [sorted(cycles for cycles, _mix in rows)[len(rows) // 2] for rows in known]
    return math.fsum(middles) / len(middles)
