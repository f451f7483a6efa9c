"""The shipped calibrations are what their rows and counts give, and a changed one is noticed."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from sandbox.calibration import Calibration, load_calibrations
from sandbox.fit import FitPlan, load_fit_plans, rows_of
from sandbox.fit_files import PLANS, differences, fit_all, gather, write_all
from sandbox.left_out import best, half_width
from sandbox.lines import Point

PROJECT = Path(__file__).parents[2]
SHIPPED, DEVICES = PROJECT / "calibration", PROJECT / "device_specs"


def test_shipped_calibrations_follow_from_their_files() -> None:
    assert differences(SHIPPED, fit_all(SHIPPED, DEVICES)) == ()


@pytest.mark.parametrize(
    ("build", "mean"),
    [("xnnpack-fp32-1t", 0.03), ("xnnpack-uint8-1t", 0.04), ("ruy-fp32-4t", 0.05), ("ruy-uint8-4t", 0.05)],
)
def test_left_out_families_are_predicted_as_well_as_was_aimed_at(build: str, mean: float) -> None:
    found = [each for each in load_calibrations(SHIPPED) if build in each.id and each.evidence]
    assert found
    for each in found:
        assert each.evidence is not None
        assert each.evidence.leave_one_family_out is not None
        assert each.evidence.leave_one_family_out.mean <= mean, each.id
        assert each.evidence.leave_one_family_out.worst <= 0.15, each.id


FITS = load_fit_plans(SHIPPED / PLANS)


@pytest.mark.parametrize("plan", [plan for plan in FITS if plan.dtypes != ("int8",)], ids=lambda p: p.id)
def test_left_out_thirds_of_the_models_are_predicted_as_well(plan: FitPlan) -> None:
    """Of all families at once, weights and interval chosen without them: terms that only fit the rows at hand fail."""
    group = gather(SHIPPED, DEVICES, [other for other in FITS if other.group == plan.group])
    sets = {given.plan.id: rows_of(given) for given in group}
    models = sorted({point.model for point in sets[plan.id].tried[0]})
    random.Random(5).shuffle(models)
    third = {model: str(place % 3) for place, model in enumerate(models)}

    def by_third(point: Point) -> str:
        return third.get(point.model, "")

    errors, held = [], 0
    for part in "012":
        rest = {name: rows.without(by_third, part) for name, rows in sets.items()}
        choice = best(list(rest.values()))
        line = rest[plan.id].solve(choice)
        width = half_width(rest[plan.id], list(rest.values()))
        for point in sets[plan.id].tried[choice]:
            if third[point.model] == part:
                ratio = line.predict(point) / point.seconds
                errors.append(abs(ratio - 1))
                held += abs(math.log(ratio)) <= width
    aim, near = (0.05, 0.15) if plan.library == "ruy" else (0.03, 0.10)
    assert sum(errors) / len(errors) <= aim
    assert sum(error <= near for error in errors) >= 0.95 * len(errors)
    assert held >= 0.8 * len(errors), "of 32 rows one split's share scatters by 5 %; 15 splits hold 88 % or more"


@pytest.mark.parametrize("each", load_calibrations(SHIPPED), ids=lambda each: each.id)
def test_intervals_cover_nine_of_ten_set_by_set(each: Calibration) -> None:
    if each.evidence is not None and each.evidence.interval_coverage is not None:
        assert 0.85 <= each.evidence.interval_coverage <= 0.97
        assert each.evidence.nested_coverage is not None
        assert each.evidence.nested_coverage >= 0.85, "the width, too, without the family"


@pytest.mark.parametrize("device", ["rpi4b", "rpi3b", "rpi3b-plus", "rpi-zero-2w", "rpi5"])
def test_every_raspberry_pi_has_one(device: str) -> None:
    assert any(each.device == device and "fp32" in each.dtypes for each in load_calibrations(SHIPPED))


def test_what_was_measured_on_no_such_board_says_so_and_is_wider() -> None:
    shipped = {each.id: each for each in load_calibrations(SHIPPED)}
    for each in shipped.values():
        if each.device == "rpi5":
            assert each.transfer is not None
            assert "nothing was measured on the board" in each.transfer.reason
            assert each.interval > shipped[each.transfer.source].interval
            assert each.unseen is None


def test_a_changed_and_a_missing_file_are_named(tmp_path: Path) -> None:
    made = load_calibrations(SHIPPED)
    write_all(tmp_path, [made[0].model_copy(update={"cycles_per_slot": 9.0}), made[1]])
    found = differences(tmp_path, made[:3])
    assert found[0].startswith(f"{made[2].id}: no file")
    assert found[1] == f"{made[0].id}: differs in cycles_per_slot"


@pytest.mark.parametrize("each", load_calibrations(SHIPPED), ids=lambda each: each.id)
def test_shipped_calibrations_say_how_good_they_are(each: object) -> None:
    assert getattr(each, "evidence", None) or getattr(each, "transfer", None)
