"""From steps to lifetimes, and which tensors share memory."""

from __future__ import annotations

from sandbox.static.arena import FOREVER
from sandbox.static.lifetimes import InPlace, lifetimes, live_bytes
from tests.unit.static.flows import flow, value

RULES = {
    "ADD": InPlace(inputs=(0, 1)),
    "RELU": InPlace(inputs=(0,)),
    "RESHAPE": InPlace(inputs=(0,), same_data=True),
}


def spans(*args: object, **kwargs: object) -> list[tuple[int, int, int]]:
    found = lifetimes(flow(*args, **kwargs), RULES)  # type: ignore[arg-type]
    assert not found.unknown
    return sorted((b.size_bytes, b.first, b.last) for b in found.buffers)


def test_inputs_live_throughout_and_outputs_to_the_end() -> None:
    values = [value("in", 10), value("w", 99, constant=True), value("a", 20), value("out", 30)]
    assert spans(values, ["CONV in w -> a", "CONV a w -> out"]) == [(40, 0, FOREVER), (80, 0, 1), (120, 1, FOREVER)]


def test_a_branch_keeps_its_tensor_alive() -> None:
    values = [value("in", 10), value("a", 20), value("b", 21), value("c", 22), value("out", 30)]
    steps = ["CONV in -> a", "CONV a -> b", "CONV b -> c", "CAT a c -> out"]
    assert (80, 0, 3) in spans(values, steps)


def test_an_operator_writes_over_an_input_that_nobody_reads_afterwards() -> None:
    values = [value("in", 10), value("a", 20), value("b", 20), value("out", 5)]
    assert spans(values, ["CONV in -> a", "RELU a -> b", "CONV b -> out"])[1:] == [(40, 0, FOREVER), (80, 0, 2)]


def test_not_over_one_that_is_read_again() -> None:
    values = [value("in", 10), value("a", 20), value("b", 20), value("out", 5)]
    found = spans(values, ["CONV in -> a", "RELU a -> b", "CAT a b -> out"])
    assert found[2:] == [(80, 0, 2), (80, 1, 2)]


def test_a_sum_takes_whichever_operand_is_free() -> None:
    values = [value("in", 10), value("a", 20), value("b", 20), value("c", 20), value("out", 5)]
    found = spans(values, ["CONV in -> a", "CONV in -> b", "ADD a b -> c", "CAT c a -> out"])
    assert found[2:] == [(80, 0, 3), (80, 1, 3)]


def test_another_shape_of_the_same_data_shares_also_when_read_again() -> None:
    values = [value("in", 10), value("a", 20), value("b", 4, 5), value("out", 5)]
    assert spans(values, ["CONV in -> a", "RESHAPE a -> b", "CAT a b -> out"])[2:] == [(80, 0, 2)]


def test_inputs_outputs_constants_and_variables_are_never_written_over() -> None:
    values = [value("in", 20), value("w", 20, constant=True), value("v", 20, variable=True), value("out", 20)]
    steps = ["RELU in -> out"]
    assert spans(values[:1] + values[3:], steps) == [(80, 0, FOREVER), (80, 0, FOREVER)]
    values = [*values[:3], value("a", 20), value("b", 20), value("out", 1)]
    found = spans(values, ["RELU w -> a", "RELU v -> b", "CAT a b in -> out"])
    assert found == [(4, 2, FOREVER), (80, 0, 2), (80, 0, FOREVER), (80, 0, FOREVER), (80, 1, 2)]


def test_what_nobody_reads_is_never_freed() -> None:
    values = [value("in", 10), value("rest", 20), value("out", 30)]
    assert (80, 0, FOREVER) in spans(values, ["SPLIT in -> rest out"])


def test_tensors_without_a_size_are_named() -> None:
    values = [value("in", None, 10), value("text", 3, dtype="string"), value("out", 30)]
    assert lifetimes(flow(values, ["OP in -> text", "OP text -> out"]), RULES).unknown == ("in", "text")


def test_left_out_inputs_and_a_damaged_order_do_no_harm() -> None:
    values = [value("in", 10), value("a", 20), value("out", 30)]
    found = lifetimes(flow(values, ["OP in _ a -> out", "OP in -> a"]), RULES)
    assert sorted((b.size_bytes, b.first, b.last) for b in found.buffers)[1] == (80, 1, 1)


def test_live_bytes_by_step() -> None:
    values = [value("in", 10), value("a", 20), value("b", 30), value("out", 1)]
    found = lifetimes(flow(values, ["OP in -> a", "OP a -> b", "OP b -> out"]), {})
    assert live_bytes(found.buffers, 3) == (40 + 80, 40 + 80 + 120, 40 + 120 + 4)
