"""The plans of what is counted: every shipped one names models that exist, and wrong files are one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.device import load_device, select_os
from sandbox.errors import DataFileError
from sandbox.model_counts import read_counts
from sandbox.suite import CountPlan, load_plans

PROJECT = Path(__file__).parents[2]
PLANS = load_plans(PROJECT / "calibration/suites.toml")


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.id)
def test_counts_are_what_the_plan_says(plan: CountPlan) -> None:
    counts = read_counts(PROJECT / f"calibration/counts/{plan.id}.json")
    planned = {(model, dtype) for dtype, models in plan.models.items() for model in models}
    assert {(row.model, row.dtype) for row in counts.models} == planned
    assert (counts.device, counts.os, counts.threads, counts.delegates) == (
        *(plan.device, plan.os),
        *(plan.threads, plan.delegates),
    )
    assert f"{counts.runtime}@{counts.runtime_version}" == plan.runtime
    device = load_device(plan.device, PROJECT / "device_specs")
    assert counts.emulated_cpu == select_os(device, plan.os).emulated_cpu


@pytest.mark.parametrize(
    "text",
    [
        "[[counts]]\nid = 3\n",
        "[[counts",
        '[[counts]]\nid = "a"\nspeed = 1\n',
        "counts = 3",
        "lists = 3",
        "[lists]\na = 3\n",
    ],
)
def test_a_wrong_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "suites.toml"
    path.write_text(text)
    with pytest.raises(DataFileError, match=r"suites\.toml"):
        load_plans(path)
