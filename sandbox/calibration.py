"""From counted instructions to time on the device: what a calibration is, and what it makes of counts.

Seconds of an inference = issue slots × cycles a slot ÷ clock + what is beside instructions: bytes × seconds a byte,
operators × seconds an operator (`Term`). Slots weigh instructions by class. Cycles belong to the core, seconds a byte
to the board's memory, seconds an operator are the hand-over between threads, where there are several. All are fitted to
measured times (`sandbox.fit`), for one kernel library, precision and number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from .errors import DataFileError
from .json_file import read_document
from .measurements import InstructionClass
from .record import Traffic

Library = Literal["xnnpack", "ruy", "gemmlowp", "mlas", "any"]
"""Whose kernels; ``any``: a transfer for those that no calibration is of."""
DType = Literal["fp32", "int8", "uint8"]
Term = Literal["weight_byte", "operator", "activation_byte", "im2col_byte", "large_weight_byte"]
"""What time may cost beside instructions."""
TERMS: tuple[Term, ...] = get_args(Term)
Amounts = Mapping[Term, float]
"""How much of each an inference has; what is not known is absent."""

MULTIPLY: frozenset[InstructionClass] = frozenset({"vector_fma", "vector_integer_multiply", "dot_product"})
VECTOR: frozenset[InstructionClass] = frozenset({"vector_float", "vector_integer", "permute", "float", "crypto"})
MEMORY: frozenset[InstructionClass] = frozenset({"load", "store", "vector_load", "vector_store", "atomic"})

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_HINT = "make it again: edge-sandbox calibration fit"
LONGEST_TAIL = 10.0
"""A 95th percentile of more medians is the load of other programs, not the model's."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Slots(_Frozen):
    """What an instruction takes of a core's time, with a vector multiply-and-add as the unit.

    Weights, not cycles: pipes work side by side, so what is plentiful costs less. docs/calibration.md says where each
    set of weights comes from.
    """

    multiply: _NotNegative
    vector: _NotNegative
    """All other vector operations."""
    memory: _NotNegative
    other: _NotNegative

    def of(self, classes: Mapping[InstructionClass, int]) -> float:
        """Slots that these instructions take."""
        total = 0.0
        for name, count in classes.items():
            if name in MULTIPLY:
                total += self.multiply * count
            elif name in VECTOR:
                total += self.vector * count
            elif name in MEMORY:
                total += self.memory * count
            else:
                total += self.other * count
        return total


class Errors(_Frozen):
    """Relative errors of predictions against measured rows: of the mean size, and of the worst row."""

    mean: _NotNegative
    worst: _NotNegative
    within_10_percent: _Share


class Evidence(_Frozen):
    """How well the calibration predicts what it was fitted to, and what it was not."""

    rows: Annotated[int, Field(ge=1)]
    families: tuple[str, ...]
    fitted: Errors
    leave_one_model_out: Errors
    leave_one_family_out: Errors | None
    """None where all rows are of one family."""
    interval_coverage: _Share | None
    """Share of rows that the interval covers around what a fit without their family predicts."""
    nested_coverage: _Share | None = None
    """The same where the interval's width, too, comes from the other families alone."""


class Provenance(_Frozen):
    """The files that it was made from, by sha256, and the sources of the rows."""

    counts: str
    counts_sha256: str
    measured: str
    measured_sha256: str
    sources: tuple[str, ...]


class Transfer(_Frozen):
    """Where a calibration without rows of its own device comes from."""

    source: str
    """Id of the calibration, or of several."""
    reason: str
    error: Errors | None = None
    """Of such transfers where both sides were measured."""


class Calibration(_Frozen):
    """``calibration/<device>/<build>.json``."""

    schema_version: Literal[1] = 1
    id: str
    device: str
    soc: str
    core: str
    clock_hz: Annotated[int, Field(ge=10**8, le=10**10)]
    """The clock that cycles are of."""
    bandwidth_bytes_per_second: int | None
    """The device's copy bandwidth, by which weights' time is scaled to another board."""
    runtime: str
    runtime_version: str
    library: Library
    dtypes: tuple[DType, ...]
    stand_in: bool = False
    """The rows were of another precision than the counts: `FitPlan.counts_dtype`."""
    threads: Annotated[int, Field(ge=1)]
    architecture: Literal["arm64", "armhf", "amd64"]
    slots: Slots
    cycles_per_slot: _Positive
    """Of all threads together: with several, their parallel efficiency is in it."""
    seconds_per_weight_byte: _NotNegative
    seconds_per_operator: _NotNegative
    """What it takes to set several threads to work and wait for the last; 0 with one."""
    seconds_per_activation_byte: _NotNegative = 0.0
    seconds_per_im2col_byte: _NotNegative = 0.0
    seconds_per_large_weight_byte: _NotNegative = 0.0
    """These three: see `sandbox.record.Traffic`."""
    interval: _Positive
    """Half the width of the 90 % interval, as a natural logarithm of the ratio to the estimate."""
    tail: Annotated[float, Field(ge=1, le=LONGEST_TAIL)] | None
    """95th percentile over the median, where the sources print both."""
    slots_per_instruction: tuple[_NotNegative, _NotNegative]
    """The least and the most among the fitted models: outside, nothing was measured."""
    evidence: Evidence | None
    transfer: Transfer | None
    provenance: Provenance | None
    notes: tuple[str, ...] = ()

    @property
    def unseen(self) -> Errors | None:
        """The error on what it had not seen: families, else models, else sides of a transfer; None: never measured."""
        if self.evidence is not None:
            return self.evidence.leave_one_family_out or self.evidence.leave_one_model_out
        return self.transfer.error if self.transfer is not None else None

    @property
    def costs(self) -> Mapping[Term, float]:
        """Seconds a unit of each term that costs any."""
        found: dict[Term, float] = {term: getattr(self, f"seconds_per_{term}") for term in TERMS}
        return {term: cost for term, cost in found.items() if cost > 0}

    def seconds(self, classes: Mapping[InstructionClass, int], amounts: Amounts) -> float:
        """Of an inference at the calibration's clock. ``amounts`` must hold what `costs` names."""
        cycles = self.slots.of(classes) * self.cycles_per_slot
        return cycles / self.clock_hz + sum(cost * amounts[term] for term, cost in self.costs.items())


def amounts(weights_bytes: float, operators: int, traffic: Traffic | None) -> Amounts:
    """Of a model: constant bytes and operators of its file, and what its operators move, where that is known."""
    found: dict[Term, float] = {"weight_byte": weights_bytes, "operator": operators}
    if traffic is not None:
        found["activation_byte"] = traffic.activation_bytes
        found["im2col_byte"] = traffic.im2col_bytes
        found["large_weight_byte"] = traffic.large_weight_bytes
    return found


def within(seconds: float, half_width: float) -> tuple[float, float]:
    """The interval around an estimate, in seconds."""
    return seconds * math.exp(-half_width), seconds * math.exp(half_width)


def read_any_calibration(path: Path) -> Calibration:
    """Read one file, wherever it lies. Raises `DataFileError`."""
    return read_document(path, Calibration, _HINT)


def read_calibration(path: Path) -> Calibration:
    """Read a file of a calibration folder, which is named by its id. Raises `DataFileError`."""
    found = read_any_calibration(path)
    if found.id != f"{path.parent.name}/{path.stem}":
        raise DataFileError(f"{path}: id: is {found.id!r}, the file is {path.parent.name}/{path.stem}", hint=_HINT)
    return found


def load_calibrations(directory: Path) -> tuple[Calibration, ...]:
    """All in ``directory``, by id."""
    paths = sorted(directory.glob("*/*.json"))
    return tuple(read_calibration(path) for path in paths if path.parent.name not in {"counts", "measured"})
