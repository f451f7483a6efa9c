"""Calibrations by the ratio of two boards: scaled as they compare, wide, and marked as a transfer."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sandbox.calibration import amounts, load_calibrations
from sandbox.errors import DataFileError
from sandbox.fit import load_tables
from sandbox.measured import read_measured
from sandbox.model_counts import read_counts
from sandbox.relate import OTHER_LIBRARY, RelatePlan, board_ratios

FOLDER = Path(__file__).parents[2] / "calibration"
PLANS = load_tables(FOLDER / "fits.toml", "relate", RelatePlan)
ROWS = read_measured(FOLDER / "measured/ncnn_benchmark.csv")
SHIPPED = {each.id: each for each in load_calibrations(FOLDER)}


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.id)
def test_the_device_is_slower_as_the_boards_are(plan: RelatePlan) -> None:
    ratios = board_ratios(plan, ROWS)
    ratio = ratios[len(ratios) // 2]
    mine, source = SHIPPED[plan.id], SHIPPED[plan.source]
    there = source.model_copy(update={"clock_hz": plan.source_clock_hz})
    own, theirs = (read_counts(FOLDER / f"counts/{name}.json") for name in (plan.counts, plan.source_counts))
    for row in own.models:
        other = theirs.find(row.model, row.dtype)
        assert other is not None
        here = mine.seconds(row.classes, amounts(row.weights_bytes, row.operators, row.traffic))
        source_seconds = there.seconds(other.classes, amounts(other.weights_bytes, other.operators, other.traffic))
        assert here == pytest.approx(ratio * source_seconds, rel=math.expm1(mine.interval))
    assert mine.interval > OTHER_LIBRARY
    assert mine.transfer is not None
    assert (mine.evidence, mine.transfer.source) == (None, plan.source)


def test_boards_with_nothing_in_common_are_refused() -> None:
    plan = PLANS[0].model_copy(update={"boards": ("Raspberry Pi 3 Model B+", "nobody's")})
    with pytest.raises(DataFileError, match="0 models measured on both boards"):
        board_ratios(plan, ROWS)
