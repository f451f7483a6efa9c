"""Measured times as a sum of costs: points, the line of least relative error through them, and no sense refused.

Solved by least squares of the relative error, so that a model of 1 ms counts as much as one of 1 s. A cost that would
come out negative is not seen, and left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .calibration import Amounts, Calibration, DType, Term
from .errors import DataFileError


@dataclass(frozen=True, kw_only=True)
class Point:
    """A measured row with the counts of its model."""

    model: str
    dtype: DType
    seconds: float
    slots: float
    amounts: Amounts
    instructions: int

    @property
    def family(self) -> str:
        """Models that are one architecture in several sizes."""
        return family(self.model)


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is fitted: seconds a slot, and seconds of each term."""

    slot: float
    costs: Amounts

    @classmethod
    def of(cls, calibration: Calibration) -> Line:
        """What a calibration would predict with."""
        return cls(slot=calibration.cycles_per_slot / calibration.clock_hz, costs=calibration.costs)

    def predict(self, point: Point) -> float:
        """Seconds of the model."""
        return self.slot * point.slots + math.fsum(cost * point.amounts[term] for term, cost in self.costs.items())


def family(model: str) -> str:
    """``mobilenet_v2_1.0_224`` → ``mobilenet_v2``, ``efficientnet_lite3`` → ``efficientnet_lite``."""
    found = re.match(r"(?:mobilenet_v\d|[a-z]+net_lite|[a-z]+net|inception_v\d)", model)
    return found[0] if found else model


def solve(found: Sequence[Point], name: str, terms: Sequence[Term]) -> Line:
    """The line of least squared relative error. Raises `DataFileError` where there is none that makes sense."""
    import numpy as np  # noqa: PLC0415  # the command line starts without it

    models = len({p.model for p in found})
    if models <= 1 + len(terms):
        raise DataFileError(
            f"{name}: {models} models for {1 + len(terms)} numbers to fit",
            hint="measure more models: better 10 of several families",
        )
    rows = [[p.slots, *(p.amounts[term] for term in terms)] for p in found]
    with np.errstate(all="ignore"):  # what comes of a time of zero is refused below, in words
        table = np.array(rows) / np.array([[p.seconds] for p in found])
    if not np.isfinite(table).all():
        raise DataFileError(
            f"{name}: a count over its time is no finite number", hint="look for a time of zero or a damaged count"
        )
    highest = np.abs(table).max(axis=0)
    scale = np.where(highest > 0, highest, 1.0)
    kept = list(range(1 + len(terms)))
    while True:
        solution = np.linalg.lstsq(table[:, kept] / scale[kept], np.ones(len(found)), rcond=None)[0]
        least = min(range(1, len(kept)), key=lambda place: float(solution[place]), default=0)
        if least == 0 or solution[least] >= 0:
            break
        del kept[least]
    costs = {column: float(value) for column, value in zip(kept, solution / scale[kept], strict=True)}
    slot = costs.pop(0)
    if not (math.isfinite(slot) and slot > 0):
        raise DataFileError(
            f"{name}: the fit gives {slot:g} seconds a slot: these times do not follow from these counts",
            hint="look for rows of another build, board or number of threads",
        )
    return Line(slot=slot, costs={terms[column - 1]: cost for column, cost in costs.items() if cost > 0})
