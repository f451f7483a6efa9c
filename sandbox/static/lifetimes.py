"""From a graph's steps to the lifetimes of its tensors: which memory is needed at which step. Pure.

A step may write its output over an input that nobody reads afterwards; which operators do is in the format's rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sandbox.graph.dataflow import LEFT_OUT, Dataflow, Step

from .arena import FOREVER, Buffer

SCALAR_BYTES = 4
"""Not worth sharing; tensorflow/lite/arena_planner.cc, kScalarTensorBytes."""


@dataclass(frozen=True, kw_only=True)
class InPlace:
    """How an operator can reuse an input's memory for its first output."""

    inputs: tuple[int, ...]
    """Which of its inputs, the first that qualifies is taken."""
    same_data: bool = False
    """The output is the input under another shape, so later readers of the input do no harm."""


@dataclass(frozen=True, kw_only=True)
class Lifetimes:
    """Buffers of a graph. Tensors that share memory are one buffer, as large as the largest."""

    buffers: tuple[Buffer, ...]
    unknown: tuple[str, ...]
    """Tensors whose size only the run time knows; they have no buffer."""


def lifetimes(flow: Dataflow, in_place: Mapping[str, InPlace]) -> Lifetimes:
    """One buffer for every tensor that is not constant, as TFLite's ``ArenaPlanner::PlanAllocations`` counts them.

    Inputs, outputs and variables live throughout or from where they are written to the end, and so does what nobody
    reads.
    """
    owner = _owners(flow, in_place)
    first, last = _uses(flow, owner)
    sizes: dict[int, int] = {}
    unknown = []
    for position, value in enumerate(flow.values):
        if value.constant or owner[position] not in first:
            continue
        if value.size_bytes is None:
            unknown.append(value.name)
        else:
            sizes[owner[position]] = max(sizes.get(owner[position], 0), value.size_bytes)
    buffers = [
        # A damaged graph may read a tensor before it is written.
        Buffer(size_bytes=size, first=first[one], last=max(first[one], last.get(one, FOREVER)))
        for one, size in sizes.items()
    ]
    return Lifetimes(buffers=tuple(buffers), unknown=tuple(unknown))


def _uses(flow: Dataflow, owner: Sequence[int]) -> tuple[dict[int, int], dict[int, int]]:
    """(first step, last step) of the memory that each owner stands for."""
    variables = {position for position, value in enumerate(flow.values) if value.variable}
    first = {owner[position]: 0 for position in {*flow.inputs, *variables} - {LEFT_OUT}}
    last: dict[int, int] = {}
    for number, step in enumerate(flow.steps):
        for position in set(step.outputs) - {LEFT_OUT}:
            first.setdefault(owner[position], number)
        last.update({owner[position]: number for position in set(step.inputs) - {LEFT_OUT}})
    last.update({owner[position]: FOREVER for position in {*flow.inputs, *flow.outputs, *variables} - {LEFT_OUT}})
    return first, last


def live_bytes(buffers: Sequence[Buffer], steps: int) -> tuple[int, ...]:
    """Bytes that are alive in each step."""
    changes = [0] * (steps + 1)
    for buffer in buffers:
        changes[min(buffer.first, steps)] += buffer.size_bytes
        changes[min(buffer.last + 1, steps)] -= buffer.size_bytes
    return tuple(accumulate(changes[:steps]))


def _owners(flow: Dataflow, in_place: Mapping[str, InPlace]) -> list[int]:
    """For every tensor the one whose memory it uses, by the rules of ``ArenaPlanner::IdentifyInPlaceTensors``."""
    owner = list(range(len(flow.values)))
    readers = [0] * len(flow.values)
    for step in flow.steps:
        for position in step.inputs:
            if position != LEFT_OUT:
                readers[position] += 1
    fixed = {*flow.inputs, *flow.outputs}
    for step in flow.steps:
        rule = in_place.get(step.type)
        shared = _shareable(flow, step, rule, readers, fixed) if rule else None
        if rule and shared is not None:
            owner[step.outputs[0]] = owner[shared]
            if rule.same_data:  # whoever reads the output reads the input's memory too
                readers[step.outputs[0]] += readers[shared] - 1
    return owner


def _shareable(flow: Dataflow, step: Step, rule: InPlace, readers: Sequence[int], fixed: set[int]) -> int | None:
    """The input whose memory the step's first output takes over, or ``None``."""
    if not step.outputs or step.outputs[0] in {LEFT_OUT, *fixed}:
        return None
    output = flow.values[step.outputs[0]]
    for place in rule.inputs:
        if place >= len(step.inputs) or step.inputs[place] in {LEFT_OUT, *fixed}:
            continue
        position = step.inputs[place]
        value = flow.values[position]
        fits = value.size_bytes is not None and value.size_bytes == output.size_bytes
        if value.constant or value.variable or not fits:
            continue
        if rule.same_data or (readers[position] == 1 and (value.size_bytes or 0) > SCALAR_BYTES):
            return position
    return None
