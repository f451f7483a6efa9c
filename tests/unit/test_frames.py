"""Results as pandas tables."""

from __future__ import annotations

import pandas as pd
import pytest

from sandbox.metrics import Metric
from tests.unit.recorded import NAMES, result


def test_operators() -> None:
    ready = result("ready")
    frame = ready.ops_frame()
    assert len(frame) == len(ready.ops)
    assert frame.index.name == "index"
    first = ready.ops[0]
    assert isinstance(first.instructions, Metric)
    assert frame["instructions"].iloc[0] == first.instructions.value
    assert set(frame["mode"].dropna()) == {op.time.mode for op in ready.ops if isinstance(op.time, Metric)}


def test_memory() -> None:
    ready = result("ready")
    frame = ready.memory_frame()
    assert list(zip(frame["seconds"], frame["resident_bytes"], strict=True)) == list(ready.memory.timeline)
    assert frame["phase"].dropna().unique().tolist() == [
        phase.name for phase in ready.memory.phases if phase.name in set(frame["phase"])
    ]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_unknown_is_no_zero(name: str) -> None:
    found = result(name)
    frame = found.ops_frame()
    for op, count in zip(found.ops, frame["instructions"], strict=True):
        assert pd.isna(count) != isinstance(op.instructions, Metric)
    assert len(found.memory_frame()) == len(found.memory.timeline)


def test_without_operators_the_columns_are_there() -> None:
    none = result("ready").model_copy(update={"ops": ()}).ops_frame()
    assert len(none) == 0
    assert list(none.columns) == list(result("ready").ops_frame().columns)
