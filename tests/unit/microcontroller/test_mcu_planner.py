"""TFLM's planner: the order of equals, gaps, lifetimes, and heads that TFLM itself gave."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.graph import read_dataflow, read_model
from sandbox.microcontroller.planner import Head, plan_head
from tests.unit.static.flows import flow, value

EXAMPLE = Path(__file__).parents[3] / "examples" / "mobilenet_v1_0.25_128_int8.tflite"


def head(values: list[object], steps: list[str], **scratch: int) -> int:
    made = plan_head(flow(values, steps), {int(step[1:]): size for step, size in scratch.items()})  # type: ignore[arg-type]
    assert isinstance(made, Head)
    return made.size_bytes


def test_what_is_needed_at_once_is_added_up() -> None:
    values = [value("in", 100), value("a", 50), value("out", 25)]
    assert head([*values], ["OP in -> a", "OP a -> out"]) == 400 + 208  # in and a; sizes rounded up to 16


def test_weights_and_variables_take_no_place() -> None:
    values = [value("in", 4), value("w", 9999, constant=True), value("state", 9999, variable=True), value("out", 4)]
    assert head([*values], ["OP in w state -> out"]) == 32


def test_scratch_lives_in_its_step_only() -> None:
    values = [value("in", 4), value("a", 100), value("b", 100), value("out", 4)]
    steps = ["OP in -> a", "OP a -> b", "OP b -> out"]
    assert head([*values], steps) == 800
    assert head([*values], steps, s0=320) == 800
    assert head([*values], steps, s1=320) == 1120


def test_of_equals_the_last_in_the_file_is_placed_first() -> None:
    """As in a MobileNet: the second of two equal tensors goes beside the largest, the first behind both."""
    values = [value("in", 40), value("a", 24), value("b", 24), value("c", 48), value("out", 4)]
    steps = ["OP in -> a", "OP a -> b", "OP b -> c", "OP c -> out"]
    assert head([*values], steps) == (48 + 24 + 24) * 4
    swapped = [value("in", 40), value("b", 24), value("a", 24), value("c", 48), value("out", 4)]
    assert head([*swapped], steps) < (48 + 24 + 24) * 4


def test_a_size_that_only_the_run_time_knows_is_told() -> None:
    answer = plan_head(flow([value("in", None), value("out", 4)], ["OP in -> out"]))
    assert answer == "the file gives no size for tensor 'in': TFLM needs it"


@pytest.mark.parametrize(("path", "bytes_"), [(EXAMPLE, 131_072)])
def test_heads_that_tflm_gave(path: Path, bytes_: int) -> None:
    planned = plan_head(read_dataflow(read_model(path), {})[0])
    assert isinstance(planned, Head)
    assert (planned.size_bytes, planned.buffers) == (bytes_, 32)
