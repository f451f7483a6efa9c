"""What a runtime must offer to the runner, and the values that cross between the two."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from inputs import InputSpec

#: A row of the operator profile, ready for JSON; see ``operator_row``.
Row = dict[str, Any]


@dataclass(frozen=True)
class Output:
    """One output of the last inference."""

    name: str
    value: np.ndarray[Any, Any]


@dataclass(frozen=True)
class OperatorProfile:
    """Where the time of the timed inferences went, or the reason why nobody can say."""

    rows: list[Row] = field(default_factory=list)
    unavailable: str | None = None


class Backend(ABC):
    """One runtime with one model. Methods are called in the order in which they stand here."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Name and version of the runtime, and what it runs kernels with (``delegates`` or ``providers``)."""

    @abstractmethod
    def load(self) -> None:
        """Read the model."""

    @abstractmethod
    def input_specs(self) -> list[InputSpec]:
        """The model's inputs; before ``allocate`` with -1 for dynamic dimensions, after it with real shapes."""

    @abstractmethod
    def allocate(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Fix the input shapes and make the model ready to run."""

    @abstractmethod
    def feed(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Hand over the inputs of the next inference; not part of its latency."""

    @abstractmethod
    def invoke(self) -> None:
        """One inference."""

    @abstractmethod
    def outputs(self) -> list[Output]:
        """The results of the last inference."""

    @abstractmethod
    def start_profile(self) -> None:
        """Warm-up is over: operator times count from here."""

    @abstractmethod
    def stop_profile(self) -> None:
        """The last timed inference is over."""

    @abstractmethod
    def operators(self) -> OperatorProfile:
        """The operator profile, if the request asked for one. Never raises for want of a profile."""


def operator_row(
    *,
    type: str,  # noqa: A002 - the name of the field in the report
    name: str,
    dtype: str | None,
    delegate: str | None,
    calls: int | None,
    time_ns: int | None,
    resolution_ns: int,
    subgraph: int = 0,
    shape: Sequence[int] | None = None,
    marks: Sequence[tuple[int, int]] = (),
    reported: Sequence[tuple[int, int]] = (),
    spans_us: Sequence[tuple[int, int]] = (),
) -> Row:
    """One executed node.

    ``calls`` counts all timed inferences; ``time_ns`` is the mean of one inference, without the time of nodes inside
    this one. ``resolution_ns`` is the step of the clock behind it: a time of 0 means "less than one step". ``shape`` is
    that of its first output.

    Where the counts of its instructions are: ``marks`` are the two around each call; ``reported`` is, for an operator
    inside a delegate, the mark at which the delegate began to report what it had run, and the place in that report;
    ``spans_us`` are start and length of each call on the clock that the runtime's own profiler read.
    """
    return {
        "index": -1,
        "type": type,
        "name": name,
        "dtype": dtype,
        "delegate": delegate,
        "subgraph": subgraph,
        "calls": calls,
        "time_ns": time_ns,
        "resolution_ns": resolution_ns,
        "shape": None if shape is None else list(shape),
        "marks": marks,
        "reported": reported,
        "spans_us": spans_us,
    }


def numbered(rows: Sequence[Row]) -> OperatorProfile:
    """Rows in execution order as a profile; a clock that stood still is no profile but a reason."""
    if not rows:
        return OperatorProfile(unavailable="the runtime's profiler reported no operator")
    listed = [dict(row, index=index) for index, row in enumerate(rows)]
    if not any(row["time_ns"] for row in listed):
        for row in listed:
            row["time_ns"] = None
        return OperatorProfile(listed, "every operator took 0 ticks of the runtime's clock, so there are no times")
    return OperatorProfile(listed)
