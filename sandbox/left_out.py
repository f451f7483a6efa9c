"""How well rows are predicted by fits that have not seen them: the errors, the interval they support, what it covers.

Families are left out whole, since models of one architecture resemble each other more than they will a user's. The
weights of instructions are chosen anew without the family, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from .calibration import Errors, Term
from .errors import DataFileError
from .lines import Line, Point, solve

INTERVAL_LEVEL = 0.9
_ONE_FAMILY = 2.0
"""Errors on left-out families, in errors on left-out models: at most 1.8 in the sets that have several families."""
_ROUNDING = 1e-9
_DIGITS = 5
"""Significant digits of fitted numbers: more would differ between machines' linear algebra."""


@dataclass(frozen=True)
class Rows:
    """What one calibration is fitted to, under each of the weights that are tried."""

    name: str
    terms: tuple[Term, ...]
    tried: tuple[tuple[Point, ...], ...]
    """For each set of weights the same points, with slots by it."""

    @cached_property
    def families(self) -> tuple[str, ...]:
        """Sorted."""
        return tuple(sorted({p.family for p in self.tried[0]}))

    def without(self, key: Callable[[Point], str], value: str) -> Rows:
        """The rest."""
        return Rows(self.name, self.terms, tuple(tuple(p for p in each if key(p) != value) for each in self.tried))

    def solve(self, choice: int) -> Line:
        """The fit by one set of weights. Raises `DataFileError`."""
        return solve(self.tried[choice], self.name, self.terms)


def by_family(point: Point) -> str:
    """The key to leave families out by."""
    return point.family


def by_model(point: Point) -> str:
    """The key to leave models out by."""
    return point.model


def best(group: Sequence[Rows]) -> int:
    """Which weights predict left-out families best, on average over the calibrations of a group."""
    choices = len(group[0].tried)
    if choices == 1:
        return 0
    return min(range(choices), key=lambda choice: math.fsum(_mean_error(rows, choice) for rows in group))


def left_out(rows: Rows, group: Sequence[Rows], key: Callable[[Point], str] = by_family) -> list[float]:
    """log(prediction ÷ measured) of each point by a fit without the points of its key; NaN where that cannot be.

    Without a family the weights are chosen without it too; one model more or less does not change that choice.
    """
    choice = best(group)
    found = [math.nan] * len(rows.tried[0])
    for value in sorted({key(p) for p in rows.tried[0]}):
        rest = rows.without(key, value)
        if key is by_family:
            choice = _best_of_rest(group, value)
        try:
            line = rest.solve(choice)
        except DataFileError:
            continue
        for place, point in enumerate(rows.tried[choice]):
            if key(point) == value:
                found[place] = math.log(line.predict(point) / point.seconds)
    return found


def errors(ratios: Iterable[float]) -> Errors | None:
    """Of log(prediction ÷ measured), as relative errors; None when nothing could be predicted."""
    relative = [abs(math.expm1(ratio)) for ratio in ratios if math.isfinite(ratio)]
    if not relative:
        return None
    return Errors(
        mean=rounded(math.fsum(relative) / len(relative)),
        worst=rounded(max(relative)),
        within_10_percent=rounded(sum(error <= 0.1 for error in relative) / len(relative)),
    )


def half_width(rows: Rows, group: Sequence[Rows]) -> float:
    """Half the interval, in logarithms: what 9 of 10 errors on left-out families stay below, whether each row counts
    alike or each family does. Raises `DataFileError` when nothing can be left out.

    Over rows this is conformal prediction (Vovk et al. 2005). Rows of one family resemble each other, so that a large
    family would speak for all; families of equal weight are how it is done for grouped data (Dunn, Wasserman and Ramdas
    2022, doi:10.1080/01621459.2022.2060112). A guarantee for a new family would take nine of them.
    """
    sizes = _sizes(rows, group)
    if not sizes:
        raise DataFileError(f"{rows.name}: nothing could be left out", hint="measure more models")
    members = Counter(family for _size, family in sizes)
    return max(
        _quantile([(size, 1.0) for size, _family in sizes]),
        _quantile([(size, 1 / members[family]) for size, family in sizes]),
    )


def coverage(rows: Rows, group: Sequence[Rows]) -> float | None:
    """Share of rows whose measured time is in the interval around what a fit without their family predicts.

    The width is of all families' errors. None where there is one family, or where those that are left cannot be fitted.
    """
    ratios = left_out(rows, group)
    if not all(math.isfinite(ratio) for ratio in ratios):
        return None
    width = half_width(rows, group)
    return sum(abs(ratio) <= width for ratio in ratios) / len(ratios)


def nested_coverage(rows: Rows, group: Sequence[Rows]) -> float | None:
    """The same where the width, too, is of the other families alone, as for a model of a new one.

    None where there is one family, or where those that are left cannot be fitted.
    """
    ratios = left_out(rows, group)
    if not all(math.isfinite(ratio) for ratio in ratios):
        return None
    held = 0
    for family in rows.families:
        rest = [each.without(by_family, family) for each in group]
        try:
            width = half_width(rows.without(by_family, family), rest)
        except DataFileError:
            return None
        found = [ratio for ratio, p in zip(ratios, rows.tried[0], strict=True) if p.family == family]
        held += sum(abs(ratio) <= width for ratio in found)
    return held / len(ratios)


def rounded(value: float) -> float:
    """To the digits that every machine agrees on."""
    return float(f"{value:.{_DIGITS}g}")


def _best_of_rest(group: Sequence[Rows], value: str) -> int:
    return best([each.without(by_family, value) for each in group]) if len(group[0].tried) > 1 else 0


def _mean_error(rows: Rows, choice: int) -> float:
    """On left-out families, on models where there is one family; infinite where nothing can be predicted."""
    if not rows.tried[choice]:
        return 0.0  # all of it is left out: it has no say
    alone = Rows(rows.name, rows.terms, (rows.tried[choice],))
    key = by_family if len(rows.families) > 1 else by_model
    ratios = [ratio for ratio in left_out(alone, [alone], key) if math.isfinite(ratio)]
    return math.fsum(abs(math.expm1(ratio)) for ratio in ratios) / len(ratios) if ratios else math.inf


def _sizes(rows: Rows, group: Sequence[Rows]) -> list[tuple[float, str]]:
    """Of errors on left-out families, with the family; where there is one, or too little without one, of those on
    models, enlarged."""
    families = [p.family for p in rows.tried[0]]
    sizes = [abs(ratio) for ratio in left_out(rows, group)]
    if not all(math.isfinite(size) for size in sizes):
        enlarged = [abs(ratio) * _ONE_FAMILY for ratio in left_out(rows, group, by_model)]
        sizes = [other if math.isnan(size) else max(size, other) for size, other in zip(sizes, enlarged, strict=True)]
    return [(size, family) for size, family in zip(sizes, families, strict=True) if math.isfinite(size)]


def _quantile(weighted: Sequence[tuple[float, float]]) -> float:
    """Of sizes with weights: the level of the interval, a little more for being so few."""
    needed = INTERVAL_LEVEL * (1 + 1 / len(weighted)) * math.fsum(weight for _size, weight in weighted)
    reached = 0.0
    ordered = sorted(weighted)
    for size, weight in ordered:
        reached += weight
        if reached >= needed - _ROUNDING:
            return size
    return ordered[-1][0]
