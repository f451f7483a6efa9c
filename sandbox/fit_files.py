"""The shipped ``calibration`` folder: reads what fits are made from, makes all calibrations, finds what differs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .calibration import Calibration, Errors, load_calibrations
from .choice import Target, Workload, choose
from .device import load_device
from .errors import DataFileError
from .fit import (
    FitInput,
    FitPlan,
    Line,
    Point,
    calibrate,
    digest,
    errors,
    left_out,
    load_fit_plans,
    load_tables,
    points,
    render_calibration,
)
from .measured import MeasuredRow, read_measured
from .model_counts import CountSet, read_counts
from .relate import RelatePlan, relate

PLANS = "fits.toml"


def gather(directory: Path, devices: Path, plans: Sequence[FitPlan]) -> tuple[FitInput, ...]:
    """What the plans name, each file read once. Raises `DataFileError` and `UsageError`."""
    counts: dict[str, tuple[CountSet, str]] = {}
    measured: dict[str, tuple[tuple[MeasuredRow, ...], str]] = {}
    found = []
    for plan in plans:
        if plan.counts not in counts:
            path = directory / "counts" / f"{plan.counts}.json"
            counts[plan.counts] = (read_counts(path), digest(path.read_bytes()))
        if plan.measured not in measured:
            path = directory / "measured" / plan.measured
            measured[plan.measured] = (read_measured(path), digest(path.read_bytes()))
        found.append(
            FitInput(
                plan=plan,
                device=load_device(plan.device, devices),
                counts=counts[plan.counts][0],
                rows=measured[plan.measured][0],
                digests=(counts[plan.counts][1], measured[plan.measured][1]),
            )
        )
    return tuple(found)


def fit_all(directory: Path, devices: Path) -> tuple[Calibration, ...]:
    """Every calibration that ``fits.toml`` describes. Raises `DataFileError`."""
    inputs = gather(directory, devices, load_fit_plans(directory / PLANS))
    fitted = tuple(
        calibrate(given, [other for other in inputs if other.plan.group == given.plan.group]) for given in inputs
    )
    return (*fitted, *_related(directory, devices, {each.id: each for each in fitted}))


def _related(directory: Path, devices: Path, fitted: Mapping[str, Calibration]) -> Iterator[Calibration]:
    for plan in load_tables(directory / PLANS, "relate", RelatePlan):
        if plan.source not in fitted:
            raise DataFileError(f"{directory / PLANS}: {plan.id}: no calibration {plan.source}", hint="name one of it")
        paths = [directory / "counts" / f"{name}.json" for name in (plan.counts, plan.source_counts)]
        measured = directory / "measured" / plan.measured
        yield relate(
            plan,
            load_device(plan.id.partition("/")[0], devices),
            fitted[plan.source],
            (read_counts(paths[0]), read_counts(paths[1])),
            rows=read_measured(measured),
            digests=(digest(paths[0].read_bytes()), digest(measured.read_bytes())),
        )


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A measured row and what fits that had not seen its family (its model, where there is one family) say of it."""

    calibration: str
    model: str
    measured_seconds: float
    predicted_seconds: float


def left_out_predictions(directory: Path, devices: Path, only: str | None = None) -> tuple[Prediction, ...]:
    """Of every row that is fitted, in the order of ``fits.toml``, or of ``only`` one calibration's. Raises
    `DataFileError`."""
    found = []
    plans = [plan for plan in load_fit_plans(directory / PLANS) if only in {None, plan.id}]
    for given in gather(directory, devices, plans):
        rows = points(given.plan, given.rows, given.counts)
        several = len({row.family for row in rows}) > 1
        ratios = left_out(rows, _family if several else _model, given.plan.id, threads=given.plan.threads)
        found += [
            Prediction(
                calibration=given.plan.id,
                model=row.model,
                measured_seconds=row.seconds,
                predicted_seconds=row.seconds * math.exp(ratio),
            )
            for row, ratio in zip(rows, ratios, strict=True)
        ]
    return tuple(found)


def transfer_errors(source: str, target: str, directory: Path, devices: Path) -> Errors:
    """Of predictions of one calibration's rows by another's numbers, scaled by clock and bandwidth: no row of
    ``target`` is fitted. Raises `DataFileError`."""
    plans = {plan.id: plan for plan in load_fit_plans(directory / PLANS)}
    known = {each.id: each for each in fit_all(directory, devices)}
    (given,) = gather(directory, devices, [plans[target]])
    device, plan = given.device, given.plan
    chosen = choose(
        [known[source]],
        Target(
            id=device.id,
            soc=device.soc,
            core=device.cpu.core,
            clock_hz=device.cpu.clock_hz,
            bandwidth_bytes_per_second=device.memory.bandwidth_bytes_per_second if device.memory else None,
        ),
        Workload(
            runtime=given.counts.runtime,
            runtime_version=given.counts.runtime_version,
            library=plan.library,
            dtype=plan.dtypes[0],
            threads=plan.threads,
            architecture=known[source].architecture,
        ),
    )
    if isinstance(chosen, str):
        raise DataFileError(f"{source} does not serve {target}: {chosen}", hint="name two of one core and library")
    line = Line.of(chosen.calibration)
    found = errors(math.log(line.predict(row) / row.seconds) for row in points(plan, given.rows, given.counts))
    if found is None:
        raise DataFileError(f"{target} has no rows", hint="edge-sandbox calibration count")
    return found


def error_table(directory: Path, devices: Path) -> tuple[str, ...]:
    """Markdown: each calibration's error on families that it was not fitted to, and what the interval covers."""
    lines = [
        "| calibration | rows | families | left-out models | left-out families, worst, within 10 % | ± | covers |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in fit_all(directory, devices):
        known = each.evidence
        if known is None:
            continue
        by_family = known.leave_one_family_out
        family = (
            f"{by_family.mean:.1%}, {by_family.worst:.1%}, {by_family.within_10_percent:.0%}"
            if by_family
            else "one family"
        )
        covered = "" if known.interval_coverage is None else f"{known.interval_coverage:.0%}"
        lines.append(
            f"| {each.id} | {known.rows} | {len(known.families)} | {known.leave_one_model_out.mean:.1%} "
            f"| {family} | ±{math.expm1(each.interval):.1%} | {covered} |"
        )
    return tuple(lines)


def _family(row: Point) -> str:
    return row.family


def _model(row: Point) -> str:
    return row.model


def write_all(directory: Path, calibrations: Sequence[Calibration]) -> tuple[Path, ...]:
    """Write each where its id says; returns the paths. Raises `DataFileError` where that cannot be."""
    paths = []
    for calibration in calibrations:
        path = directory / f"{calibration.id}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(render_calibration(calibration), encoding="utf-8")
        except OSError as error:
            raise DataFileError(f"{path}: {error.strerror}", hint="give a folder that can be written to") from error
        paths.append(path)
    return tuple(paths)


def differences(directory: Path, made: Sequence[Calibration]) -> tuple[str, ...]:
    """How the files differ from what the fit makes now, a line for each; none when all is as it should be."""
    shipped: Mapping[str, Calibration] = {each.id: each for each in load_calibrations(directory)}
    lines = [f"{each.id}: no file" for each in made if each.id not in shipped]
    lines += [f"{name}: not in {PLANS}" for name in sorted(shipped.keys() - {each.id for each in made})]
    for each in made:
        if each.id in shipped and shipped[each.id] != each:
            old, new = shipped[each.id].model_dump(), each.model_dump()
            changed = ", ".join(key for key in new if old[key] != new[key])
            lines.append(f"{each.id}: differs in {changed}")
    return tuple(lines)
