"""Measured rows and emulated counts → calibrations, with the error of each on what it has not seen.

A plan says which rows, which counts, and what time is made of (`sandbox.lines`). Left-out rows are predicted by fits
without their family, and those errors make the interval (`sandbox.left_out`). The same files give the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .calibration import LONGEST_TAIL, TERMS, Calibration, DType, Evidence, Library, Provenance, Slots, Term, amounts
from .device import DeviceSpec
from .errors import DataFileError
from .json_file import first_problem
from .left_out import Rows, best, by_model, coverage, errors, half_width, left_out, nested_coverage, rounded
from .lines import Point
from .measured import Figure, MeasuredRow
from .model_counts import CountSet, ModelCounts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

_Table = TypeVar("_Table", bound=BaseModel)


class FitPlan(BaseModel):
    """One calibration: which rows, which counts, and what they stand for (``calibration/fits.toml``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[a-z0-9.-]+$")]
    """``<device id>/<build>``."""
    group: str
    """Calibrations that share the choice of weights: one kernel library and precision on one core's kernels."""
    counts: str
    measured: str
    library: Library
    slots: Annotated[tuple[Slots, ...], Field(min_length=1)]
    """Weights of instructions; of several the fit takes what predicts left-out families of the group best."""
    terms: tuple[Term, ...] = ("weight_byte",)
    """What is fitted beside slots."""
    dtypes: tuple[DType, ...]
    counts_dtype: DType | None = None
    """Of the counts that stand for all rows, where the published build had kernels for the rows' precision that today's
    has for this one only; the calibration is then for this precision."""
    threads: Annotated[int, Field(ge=1)]
    """Of the measured rows; where the source does not record them, what its README in ``measured`` concludes."""
    where: dict[str, tuple[str, ...]]
    """Column of the measured file → values that are taken."""
    figures: tuple[Figure, ...] = ("p50_ms", "p90_ms")
    """The first that a row has is fitted."""
    tail_where: dict[str, tuple[str, ...]] | None = None
    """Rows that tell the 95th percentile, where the fitted ones do not."""
    notes: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """The device's id."""
        return self.id.partition("/")[0]


@dataclass(frozen=True, kw_only=True)
class FitInput:
    """All that one calibration is made from."""

    plan: FitPlan
    device: DeviceSpec
    counts: CountSet
    rows: tuple[MeasuredRow, ...]
    digests: tuple[str, str]
    """sha256 of the counts' file and of the measured file."""


def load_fit_plans(path: Path) -> tuple[FitPlan, ...]:
    """The ``[[fit]]`` tables. Raises `DataFileError`."""
    return load_tables(path, "fit", FitPlan)


def load_tables(path: Path, name: str, kind: type[_Table]) -> tuple[_Table, ...]:
    """The tables of that name in a TOML file. Raises `DataFileError`."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get(name, [])
        if not isinstance(tables, list):
            raise DataFileError(f"{path}: {name}: write each as [[{name}]]", hint="correct the file")
        return tuple(kind.model_validate(table) for table in tables)
    except (OSError, ValueError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else error
        raise DataFileError(f"{path}: {reason}", hint="correct the file") from error


def select(plan: FitPlan, rows: Iterable[MeasuredRow]) -> tuple[MeasuredRow, ...]:
    """The rows that the plan takes. Raises `DataFileError` for recorded thread counts other than the plan's."""
    chosen = tuple(row for row in rows if row.dtype in plan.dtypes and _matches(row, plan.where))
    others = sorted({row.threads for row in chosen if row.threads not in {None, plan.threads}}, key=str)
    if others:
        raise DataFileError(
            f"{plan.id}: rows of {' and '.join(str(n) for n in others)} threads among those of {plan.threads}",
            hint="threads do not mix: narrow `where`, and fit each number of threads by itself",
        )
    return chosen


def points(plan: FitPlan, rows: Iterable[MeasuredRow], counts: CountSet, slots: Slots) -> tuple[Point, ...]:
    """The plan's rows whose models were counted. Raises `DataFileError` when counts are of other threads."""
    if counts.threads not in {1, plan.threads}:  # one thread's count is the work alone, however it is shared out
        raise DataFileError(
            f"{plan.id}: {counts.id} was counted with {counts.threads} threads, the rows ran {plan.threads}",
            hint="count with as many threads: calibration/suites.toml",
        )
    found = []
    for row in select(plan, rows):
        counted = counts.find(row.model, plan.counts_dtype or row.dtype)
        seconds = row.seconds(plan.figures)
        if counted is not None and seconds is not None:
            found.append(point(counted, seconds, slots))
    if missing := {term for each in found for term in plan.terms if term not in each.amounts}:
        raise DataFileError(
            f"{plan.id}: {counts.id} does not say how much {min(missing)} there is",
            hint="edge-sandbox calibration count --again",
        )
    return tuple(found)


def point(counted: ModelCounts, seconds: float, slots: Slots) -> Point:
    """A model's counts with its measured time."""
    return Point(
        model=counted.model,
        dtype=counted.dtype,
        seconds=seconds,
        slots=slots.of(counted.classes),
        amounts=amounts(counted.weights_bytes, counted.operators, counted.traffic),
        instructions=counted.instructions,
    )


def rows_of(given: FitInput) -> Rows:
    """What the plan is fitted to. Raises `DataFileError`."""
    plan = given.plan
    return Rows(plan.id, plan.terms, tuple(points(plan, given.rows, given.counts, each) for each in plan.slots))


def calibrate(given: FitInput, pool: Sequence[FitInput]) -> Calibration:
    """The calibration of one plan; ``pool``: all of its group, itself included. Raises `DataFileError`."""
    plan, device = given.plan, given.device
    rows, group = rows_of(given), [rows_of(other) for other in pool]
    if not rows.tried[0]:
        raise DataFileError(f"{plan.id}: no row of it was counted", hint="edge-sandbox calibration count")
    choice = best(group)
    line, found = rows.solve(choice), rows.tried[choice]
    mixes = [p.slots / p.instructions for p in found]
    covered, nested = coverage(rows, group), nested_coverage(rows, group)
    fitted = errors(math.log(line.predict(p) / p.seconds) for p in found)
    without_model = errors(left_out(rows, group, by_model))
    if fitted is None or without_model is None:
        raise DataFileError(f"{plan.id}: nothing could be left out", hint="measure more models")
    return Calibration(
        id=plan.id,
        device=plan.device,
        soc=device.soc,
        core=device.cpu.core,
        clock_hz=device.cpu.clock_hz,
        bandwidth_bytes_per_second=device.memory.bandwidth_bytes_per_second if device.memory else None,
        runtime=given.counts.runtime,
        runtime_version=given.counts.runtime_version,
        library=plan.library,
        dtypes=(plan.counts_dtype,) if plan.counts_dtype else plan.dtypes,
        stand_in=plan.counts_dtype is not None,
        threads=plan.threads,
        architecture=_architecture(given.counts.os),
        slots=plan.slots[choice],
        cycles_per_slot=rounded(line.slot * device.cpu.clock_hz),
        **{f"seconds_per_{term}": rounded(line.costs.get(term, 0.0)) for term in TERMS},
        interval=rounded(half_width(rows, group)),
        tail=_tail(plan, given.rows),
        slots_per_instruction=(rounded(min(mixes)), rounded(max(mixes))),
        evidence=Evidence(
            rows=len(found),
            families=rows.families,
            fitted=fitted,
            leave_one_model_out=without_model,
            leave_one_family_out=errors(left_out(rows, group)) if len(rows.families) > 1 else None,
            interval_coverage=None if covered is None else rounded(covered),
            nested_coverage=None if nested is None else rounded(nested),
        ),
        transfer=None,
        provenance=provenance([given]),
        notes=plan.notes,
    )


def provenance(inputs: Sequence[FitInput]) -> Provenance:
    """The files behind one calibration; of several inputs the digest is that of their digests."""

    def of_all(digests: Sequence[str]) -> str:
        return digests[0] if len(digests) == 1 else digest("".join(digests).encode())

    titles = {row.source_title for given in inputs for row in select(given.plan, given.rows)}
    return Provenance(
        counts=", ".join(dict.fromkeys(given.counts.id for given in inputs)),
        counts_sha256=of_all([given.digests[0] for given in inputs]),
        measured=", ".join(dict.fromkeys(given.plan.measured for given in inputs)),
        measured_sha256=of_all([given.digests[1] for given in inputs]),
        sources=tuple(sorted(titles)),
    )


def render_calibration(calibration: Calibration) -> str:
    """The file's text."""
    return calibration.model_dump_json(indent=1) + "\n"


def digest(data: bytes) -> str:
    """sha256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _matches(row: MeasuredRow, where: Mapping[str, Sequence[str]]) -> bool:
    return all(str(getattr(row, column)) in values for column, values in where.items())


def _tail(plan: FitPlan, rows: Iterable[MeasuredRow]) -> float | None:
    """The median ratio of the 95th percentile to the median; None also where other programs stretched it absurdly."""
    where = plan.tail_where or plan.where
    ratios = sorted(
        row.p95_ms / row.p50_ms
        for row in rows
        if row.p95_ms and row.p50_ms and row.dtype in plan.dtypes and _matches(row, where)
    )
    middle = max(1.0, ratios[len(ratios) // 2]) if ratios else None
    return rounded(middle) if middle is not None and middle <= LONGEST_TAIL else None


def _architecture(os: str) -> Literal["arm64", "armhf", "amd64"]:
    name = os.rpartition("-")[2]
    if name == "arm64":
        return "arm64"
    return "armhf" if name == "armhf" else "amd64"
