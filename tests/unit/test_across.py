"""Kernels that nothing was measured of: predicted by the others of a core, as wide as the worst of such predictions."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sandbox.across import AcrossPlan, Costs, across, costs, left_out_ratios
from sandbox.calibration import load_calibrations
from sandbox.errors import DataFileError
from sandbox.fit import load_fit_plans, load_tables
from sandbox.fit_files import PLANS, gather

PROJECT = Path(__file__).parents[2]
FOLDER, DEVICES = PROJECT / "calibration", PROJECT / "device_specs"
TABLES = load_tables(FOLDER / PLANS, "across", AcrossPlan)
SHIPPED = {each.id: each for each in load_calibrations(FOLDER)}
KNOWN: tuple[Costs, ...] = (
    tuple((math.log(cycles), 1.2) for cycles in (0.9, 1.0, 1.1)),
    tuple((math.log(cycles), 1.4) for cycles in (0.8, 0.8, 0.8)),
)


def test_each_set_of_kernels_is_predicted_by_the_others() -> None:
    assert left_out_ratios(KNOWN) == pytest.approx(
        [math.log(0.8 / 0.9), math.log(0.8), math.log(0.8 / 1.1), *[math.log(1 / 0.8)] * 3]
    )


def test_the_widest_error_makes_the_interval() -> None:
    plan = TABLES[0]
    source = SHIPPED[plan.sources[0]]
    assert source.provenance is not None
    made = across(plan, source, KNOWN, [KNOWN, KNOWN], source.provenance)
    assert made.cycles_per_slot == pytest.approx(math.sqrt(0.8), rel=1e-4)
    assert made.interval == pytest.approx(math.log(1.1 / 0.8), rel=1e-4)
    assert (made.library, made.slots_per_instruction, made.tail, made.evidence) == ("any", (1.2, 1.4), None, None)
    assert made.unseen is not None
    assert made.unseen.worst == pytest.approx(0.2727, abs=1e-3)


@pytest.mark.parametrize("plan", TABLES, ids=lambda plan: plan.id)
def test_shipped_ones_cover_every_row_that_they_are_made_from(plan: AcrossPlan) -> None:
    inputs = {given.plan.id: given for given in gather(FOLDER, DEVICES, load_fit_plans(FOLDER / PLANS))}
    assert max(map(abs, left_out_ratios(costs(plan, inputs)))) <= SHIPPED[plan.id].interval * 1.0001


def test_rows_of_several_threads_are_refused() -> None:
    inputs = {given.plan.id: given for given in gather(FOLDER, DEVICES, load_fit_plans(FOLDER / PLANS))}
    ruy = next(name for name in inputs if "ruy" in name)
    plan = TABLES[0].model_copy(update={"sources": (TABLES[0].sources[0], ruy)})
    with pytest.raises(DataFileError, match="of one thread"):
        costs(plan, inputs)
