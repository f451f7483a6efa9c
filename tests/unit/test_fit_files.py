"""The shipped calibrations are what their rows and counts give, and a changed one is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.calibration import load_calibrations
from sandbox.fit_files import differences, fit_all, write_all

PROJECT = Path(__file__).parents[2]
SHIPPED, DEVICES = PROJECT / "calibration", PROJECT / "device_specs"


def test_shipped_calibrations_follow_from_their_files() -> None:
    assert differences(SHIPPED, fit_all(SHIPPED, DEVICES)) == ()


def test_a_changed_and_a_missing_file_are_named(tmp_path: Path) -> None:
    made = load_calibrations(SHIPPED)
    write_all(tmp_path, [made[0].model_copy(update={"cycles_per_slot": 9.0}), made[1]])
    found = differences(tmp_path, made[:3])
    assert found[0].startswith(f"{made[2].id}: no file")
    assert found[1] == f"{made[0].id}: differs in cycles_per_slot"


@pytest.mark.parametrize("each", load_calibrations(SHIPPED), ids=lambda each: each.id)
def test_shipped_calibrations_say_how_good_they_are(each: object) -> None:
    assert getattr(each, "evidence", None) or getattr(each, "transfer", None)
