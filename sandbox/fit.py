"""Measured rows and emulated counts → calibrations, with the error of each on what it has not seen.

Two numbers are fitted, by least squares of the relative error: cycles a slot and seconds a byte of weights; with
several threads a third, seconds an operator. Left-out rows are predicted by fits without their model, or without their
family, and those errors make the interval. The same files give the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .calibration import Calibration, DType, Errors, Evidence, Library, Provenance, Slots
from .device import DeviceSpec
from .errors import DataFileError
from .measured import Figure, MeasuredRow
from .model_counts import CountSet, ModelCounts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

_Table = TypeVar("_Table", bound=BaseModel)
INTERVAL_LEVEL = 0.9
_REPEATABILITY = 0.05
"""No interval is narrower: the same board repeats to within 10 % across rounds of the published measurements."""
_ONE_FAMILY = 2.0
"""Errors on left-out families, in errors on left-out models: at most 1.7 in the sets that have several families."""
_DIGITS = 5
"""Significant digits of fitted numbers: more would differ between machines' linear algebra."""


class FitPlan(BaseModel):
    """One calibration: which rows, which counts, and what they stand for (``calibration/fits.toml``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$")]
    """``<device id>/<build>``."""
    group: str
    """Calibrations whose left-out errors are pooled for the interval: one kernel library and precision."""
    counts: str
    measured: str
    library: Library
    slots: Slots
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
class Point:
    """A measured row with the counts of its model."""

    model: str
    dtype: DType
    seconds: float
    slots: float
    weights_bytes: int
    operators: int
    instructions: int

    @property
    def family(self) -> str:
        """Models that are one architecture in several sizes."""
        return family(self.model)


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is fitted: seconds a slot, a byte of weights, an operator."""

    slot: float
    weight_byte: float
    operator: float

    @classmethod
    def of(cls, calibration: Calibration) -> Line:
        """What a calibration would predict with."""
        return cls(
            slot=calibration.cycles_per_slot / calibration.clock_hz,
            weight_byte=calibration.seconds_per_weight_byte,
            operator=calibration.seconds_per_operator,
        )

    def predict(self, point: Point) -> float:
        """Seconds of the model."""
        return self.slot * point.slots + self.weight_byte * point.weights_bytes + self.operator * point.operators


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
        tables: list[Any] = tomllib.loads(path.read_text(encoding="utf-8")).get(name, [])
        return tuple(kind.model_validate(table) for table in tables)
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        reason = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}" if first else error
        raise DataFileError(f"{path}: {reason}", hint="correct the file") from error


def family(model: str) -> str:
    """``mobilenet_v2_1.0_224`` → ``mobilenet_v2``, ``efficientnet_lite3`` → ``efficientnet_lite``."""
    found = re.match(r"(?:mobilenet_v\d|[a-z]+net_lite|[a-z]+net|inception_v\d)", model)
    return found[0] if found else model


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


def points(plan: FitPlan, rows: Iterable[MeasuredRow], counts: CountSet) -> tuple[Point, ...]:
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
            found.append(point(counted, seconds, plan.slots))
    return tuple(found)


def point(counted: ModelCounts, seconds: float, slots: Slots) -> Point:
    """A model's counts with its measured time."""
    return Point(
        model=counted.model,
        dtype=counted.dtype,
        seconds=seconds,
        slots=slots.of(counted.classes),
        weights_bytes=counted.weights_bytes,
        operators=counted.operators,
        instructions=counted.instructions,
    )


def solve(found: Sequence[Point], name: str, *, threads: int) -> Line:
    """The line of least squared relative error. Raises `DataFileError` where there is none that makes sense.

    A negative cost, of weights or of operators, means that none is seen: it is then left out.
    """
    import numpy as np  # noqa: PLC0415  # the command line starts without it

    terms = ["slots", "weights_bytes", *(["operators"] if threads > 1 else [])]
    models = len({p.model for p in found})
    if models <= len(terms):
        raise DataFileError(
            f"{name}: {models} models for {len(terms)} numbers to fit",
            hint="measure more models: better 10 of several families",
        )
    fitted: dict[str, float] = {}
    while terms:
        table = np.array([[getattr(p, term) / p.seconds for term in terms] for p in found])
        scale = table.max(axis=0)
        solution = np.linalg.lstsq(table / scale, np.ones(len(found)), rcond=None)[0] / scale
        fitted = dict(zip(terms, (float(value) for value in solution), strict=True))
        negative = [term for term in terms[1:] if fitted[term] < 0]
        if not negative:
            break
        terms.remove(min(negative, key=lambda term: fitted[term] * float(scale[terms.index(term)])))
    slot = fitted["slots"]
    if not (math.isfinite(slot) and slot > 0):
        raise DataFileError(
            f"{name}: the fit gives {slot:g} seconds a slot: these times do not follow from these counts",
            hint="look for rows of another build, board or number of threads",
        )
    return Line(slot=slot, weight_byte=fitted.get("weights_bytes", 0.0), operator=fitted.get("operators", 0.0))


def left_out(found: Sequence[Point], key: Callable[[Point], str], name: str, *, threads: int) -> list[float]:
    """log(prediction ÷ measured) of each point by a fit without the points of its key; NaN where that cannot be."""
    lines: dict[str, Line | None] = {}
    for group in sorted({key(p) for p in found}):
        rest = [p for p in found if key(p) != group]
        try:
            lines[group] = solve(rest, name, threads=threads)
        except DataFileError:
            lines[group] = None
    return [math.log(line.predict(p) / p.seconds) if (line := lines[key(p)]) else math.nan for p in found]


def errors(ratios: Iterable[float]) -> Errors | None:
    """Of log(prediction ÷ measured), as relative errors; None when nothing could be predicted."""
    relative = [abs(math.expm1(ratio)) for ratio in ratios if math.isfinite(ratio)]
    if not relative:
        return None
    return Errors(
        mean=_rounded(math.fsum(relative) / len(relative)),
        worst=_rounded(max(relative)),
        within_10_percent=_rounded(sum(error <= 0.1 for error in relative) / len(relative)),
    )


def half_width(found: Sequence[Point], pool: Sequence[Sequence[Point]], name: str, *, threads: int) -> float:
    """Half the interval for the board of ``found``: the wider of its own errors and of those of all in ``pool``."""
    own = _quantile(_left_out_sizes(found, name, threads=threads))
    pooled = _quantile([size for other in pool for size in _left_out_sizes(other, name, threads=threads)])
    widths = [width for width in (own, pooled) if width is not None]
    if not widths:
        raise DataFileError(f"{name}: nothing could be left out", hint="measure more models")
    return max(*widths, _REPEATABILITY)


def coverage(found: Sequence[Point], pool: Sequence[Sequence[Point]], name: str, *, threads: int) -> float | None:
    """Share of rows that the interval covers when their family is left out of everything, of the interval's width too.

    None where there is one family, or too few models without one.
    """
    families = sorted({p.family for p in found})
    if len(families) < 2:
        return None
    hits = []
    for each in families:
        rest = [p for p in found if p.family != each]
        others = [[p for p in other if p.family != each] for other in pool]
        try:
            line = solve(rest, name, threads=threads)
            width = half_width(rest, others, name, threads=threads)
        except DataFileError:
            return None
        hits += [abs(math.log(line.predict(p) / p.seconds)) <= width for p in found if p.family == each]
    return sum(hits) / len(hits)


def _left_out_sizes(found: Sequence[Point], name: str, *, threads: int) -> list[float]:
    """Of errors on left-out families; where there is one, or too little without one, of those on models, enlarged."""
    if len({p.family for p in found}) > 1:
        ratios = left_out(found, lambda p: p.family, name, threads=threads)
        if all(math.isfinite(ratio) for ratio in ratios):
            return [abs(ratio) for ratio in ratios]
    ratios = left_out(found, lambda p: p.model, name, threads=threads)
    return [abs(ratio) * _ONE_FAMILY for ratio in ratios if math.isfinite(ratio)]


def _quantile(sizes: Sequence[float]) -> float | None:
    """The 90th percentile, the next higher one counted: as conformal prediction has it (Vovk et al. 2005)."""
    if not sizes:
        return None
    return sorted(sizes)[min(len(sizes) - 1, math.ceil(INTERVAL_LEVEL * (len(sizes) + 1)) - 1)]


def calibrate(given: FitInput, pool: Sequence[FitInput]) -> Calibration:
    """The calibration of one plan; ``pool``: all of its group, itself included. Raises `DataFileError`."""
    plan, device = given.plan, given.device
    found = points(plan, given.rows, given.counts)
    all_found = [points(other.plan, other.rows, other.counts) for other in pool]
    line = solve(found, plan.id, threads=plan.threads)
    per_instruction = [p.slots / p.instructions for p in found]
    covered = coverage(found, all_found, plan.id, threads=plan.threads)
    one_family = len({p.family for p in found}) < 2
    fitted = errors(math.log(line.predict(p) / p.seconds) for p in found)
    by_model = errors(left_out(found, lambda p: p.model, plan.id, threads=plan.threads))
    by_family = errors(left_out(found, lambda p: p.family, plan.id, threads=plan.threads))
    if fitted is None or by_model is None:
        raise DataFileError(f"{plan.id}: no row of it was counted", hint="edge-sandbox calibration count")
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
        slots=plan.slots,
        cycles_per_slot=_rounded(line.slot * device.cpu.clock_hz),
        seconds_per_weight_byte=_rounded(line.weight_byte),
        seconds_per_operator=_rounded(line.operator),
        interval=_rounded(half_width(found, all_found, plan.id, threads=plan.threads)),
        tail=_tail(plan, given.rows),
        slots_per_instruction=(_rounded(min(per_instruction)), _rounded(max(per_instruction))),
        evidence=Evidence(
            rows=len(found),
            families=tuple(sorted({p.family for p in found})),
            fitted=fitted,
            leave_one_model_out=by_model,
            leave_one_family_out=None if one_family else by_family,
            interval_coverage=None if covered is None else _rounded(covered),
        ),
        transfer=None,
        provenance=Provenance(
            counts=given.counts.id,
            counts_sha256=given.digests[0],
            measured=plan.measured,
            measured_sha256=given.digests[1],
            sources=tuple(sorted({row.source_title for row in select(plan, given.rows)})),
        ),
        notes=plan.notes,
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
    """The median ratio of the 95th percentile to the median."""
    where = plan.tail_where or plan.where
    ratios = sorted(
        row.p95_ms / row.p50_ms
        for row in rows
        if row.p95_ms and row.p50_ms and row.dtype in plan.dtypes and _matches(row, where)
    )
    return _rounded(max(1.0, ratios[len(ratios) // 2])) if ratios else None


def _architecture(os: str) -> Literal["arm64", "armhf", "amd64"]:
    name = os.rpartition("-")[2]
    if name == "arm64":
        return "arm64"
    return "armhf" if name == "armhf" else "amd64"


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
