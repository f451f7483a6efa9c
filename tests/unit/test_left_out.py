"""Errors of what a fit has not seen: the weights' choice does not see it either, and intervals cover what they say."""

from __future__ import annotations

import math
import random

import pytest

from sandbox.calibration import Term
from sandbox.errors import DataFileError
from sandbox.left_out import Rows, best, by_family, by_model, coverage, half_width, left_out, nested_coverage
from sandbox.lines import Point

FAMILIES = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3", "efficientnet_lite")


def point(family: str, size: int, *, seconds: float, slots: float) -> Point:
    amounts: dict[Term, float] = {"weight_byte": 7.0 * (size % 5 + 1), "operator": 30.0}
    return Point(
        model=f"{family}_{size}", dtype="fp32", seconds=seconds, slots=slots, amounts=amounts, instructions=size
    )


def rows(*, noise: float = 0.0, families: tuple[str, ...] = FAMILIES, wrong: str = "") -> Rows:
    """Two sets of weights: by the second the times follow exactly, by the first in the family ``wrong`` only."""
    chance = random.Random(1)
    exact, other = [], []
    for family in families:
        for size in range(1, 16):
            seconds = 1e-3 * size * math.exp(chance.gauss(0, noise))
            exact.append(point(family, size, seconds=seconds, slots=1e6 * size))
            skew = 1.0 if family == wrong else 1 + 0.3 * (size % 3)
            other.append(point(family, size, seconds=seconds, slots=1e6 * size * skew))
    return Rows("x", ("weight_byte",), (tuple(other), tuple(exact)))


def test_weights_that_predict_left_out_families_are_taken() -> None:
    assert best([rows()]) == 1
    assert best([Rows("x", (), (rows().tried[1],))]) == 0


def test_the_choice_does_not_see_the_left_out_family() -> None:
    """In v2 only the first weights are right; with v2 in view they would be taken nowhere, and must not be for v2."""
    made = rows()
    skewed = tuple(
        Point(**{**vars(p), "seconds": p.seconds * (1 + 0.3 * (i % 15 % 3))}) if p.family == "mobilenet_v2" else p
        for i, p in enumerate(made.tried[1])
    )
    mixed = Rows("x", (), (tuple(Point(**{**vars(o), "seconds": p.seconds})
                                 for o, p in zip(made.tried[0], skewed, strict=True)), skewed))  # fmt: skip
    ratios = left_out(mixed, [mixed])
    of_v2 = [ratio for ratio, p in zip(ratios, skewed, strict=True) if p.family == "mobilenet_v2"]
    assert max(abs(ratio) for ratio in of_v2) > 0.2


def test_each_point_is_predicted_without_its_key() -> None:
    wrong = tuple(
        Point(**{**vars(p), "seconds": p.seconds * 2}) if p.family == "mobilenet_v3" else p for p in rows().tried[1]
    )
    made = Rows("x", (), (wrong,))
    ratios = left_out(made, [made], by_family)
    assert [r for r, p in zip(ratios, wrong, strict=True) if p.family == "mobilenet_v3"] == pytest.approx(
        [-math.log(2)] * 15
    )
    seen = left_out(made, [made], by_model)
    assert all(abs(r) < math.log(2) for r in seen)


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.1])
def test_the_interval_covers_nine_of_ten(noise: float) -> None:
    made = rows(noise=noise)
    covered = coverage(made, [made])
    assert covered is not None
    assert 0.88 <= covered <= 0.97
    assert noise < half_width(made, [made]) < 4 * noise


def crowded(noise: dict[str, float]) -> Rows:
    """The first family with 60 rows, the others with 15, each with its own noise."""
    chance = random.Random(2)
    found = [
        point(family, size, seconds=1e-3 * size * math.exp(chance.gauss(0, noise[family])), slots=1e6 * size)
        for family in FAMILIES
        for size in range(1, 61 if family == FAMILIES[0] else 16)
    ]
    return Rows("x", (), (tuple(found),))


def test_a_large_family_does_not_speak_for_the_others() -> None:
    """Of 105 rows 60 are of a quiet family: nine of ten rows are below what nine of ten rows of the others reach."""
    made = crowded({family: 0.05 if family != FAMILIES[0] else 0.005 for family in FAMILIES})
    sizes = [abs(ratio) for ratio in left_out(made, [made])]
    over_rows = sorted(sizes)[math.ceil(0.9 * (len(sizes) + 1)) - 1]
    width = half_width(made, [made])
    assert width > over_rows
    others = [size for size, p in zip(sizes, made.tried[0], strict=True) if p.family != FAMILIES[0]]
    assert sum(size <= width for size in others) / len(others) > sum(size <= over_rows for size in others) / len(others)


def test_a_large_noisy_family_is_held_too() -> None:
    """Families alike would pass over it; rows alike do not."""
    made = crowded({family: 0.005 if family != FAMILIES[0] else 0.05 for family in FAMILIES})
    sizes = [abs(ratio) for ratio in left_out(made, [made])]
    assert sum(size <= half_width(made, [made]) for size in sizes) >= 0.9 * len(sizes)


def test_nested_coverage_takes_the_width_from_the_others() -> None:
    """A family that is noisier than all others is held by its own errors' width, and not by theirs."""
    quiet = rows(noise=0.02)
    nested = nested_coverage(quiet, [quiet])
    assert nested is not None
    assert 0.8 <= nested <= 1
    loud = crowded({family: 0.002 if family != FAMILIES[0] else 0.1 for family in FAMILIES})
    covered, nested = coverage(loud, [loud]), nested_coverage(loud, [loud])
    assert covered is not None
    assert nested is not None
    assert covered >= 0.9
    assert nested < 0.6


def test_nested_coverage_is_unknown_where_the_others_cannot_be_fitted() -> None:
    few = rows(families=FAMILIES[:2])
    kept = tuple(p for p in few.tried[1] if p.family == FAMILIES[0]) + few.tried[1][15:17]
    lopsided = Rows("x", ("weight_byte",), (kept,))
    assert nested_coverage(lopsided, [lopsided]) is None


def test_an_interval_holds_the_families_that_could_be_left_out() -> None:
    """Without the first the two models that are left are too few; the second is predicted badly, and that is known."""
    few = rows(noise=0.02, families=FAMILIES[:2]).tried[1]
    slow = tuple(Point(**{**vars(p), "seconds": p.seconds * 1.3}) for p in few[15:17])
    lopsided = Rows("x", ("weight_byte",), ((*few[:15], *slow),))
    ratios = left_out(lopsided, [lopsided])
    assert math.isnan(ratios[0])
    assert half_width(lopsided, [lopsided]) >= max(abs(ratio) for ratio in ratios[15:]) > 0.2
    assert coverage(lopsided, [lopsided]) is None


def test_one_family_has_no_coverage_and_a_wider_interval() -> None:
    one = rows(noise=0.02, families=FAMILIES[:1])
    assert coverage(one, [one]) is None
    assert nested_coverage(one, [one]) is None
    sizes = sorted(abs(ratio) for ratio in left_out(one, [one], by_model))
    assert half_width(one, [one]) > sizes[-2]


def test_a_board_without_rows_has_no_say() -> None:
    only = rows(families=FAMILIES[:1])
    assert best([rows().without(by_family, FAMILIES[0]), only.without(by_family, FAMILIES[0])]) == 1


def test_nothing_to_leave_out_is_refused() -> None:
    few = Rows("x", ("weight_byte",), (rows().tried[1][:2],))
    with pytest.raises(DataFileError, match="nothing could be left out"):
        half_width(few, [few])
