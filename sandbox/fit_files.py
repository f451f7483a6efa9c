"""The shipped ``calibration`` folder: reads what fits are made from, makes all calibrations, finds what differs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .across import AcrossPlan, across, costs
from .calibration import Calibration, load_calibrations
from .device import load_device
from .errors import DataFileError
from .fit import (
    FitInput,
    FitPlan,
    calibrate,
    digest,
    load_fit_plans,
    load_tables,
    provenance,
    render_calibration,
    rows_of,
)
from .json_file import write_whole
from .left_out import by_family, by_model, left_out
from .measured import MeasuredRow, read_measured
from .model_counts import CountSet, read_counts
from .relate import DerivePlan, RelatePlan, derive, relate

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
    known = {each.id: each for each in fitted}
    made = (*fitted, *_related(directory, devices, known), *_across(directory, inputs, known))
    return (*made, *_derived(directory, devices, {each.id: each for each in made}))


def _derived(directory: Path, devices: Path, made: Mapping[str, Calibration]) -> Iterator[Calibration]:
    for plan in load_tables(directory / PLANS, "derive", DerivePlan):
        yield derive(plan, load_device(plan.id.partition("/")[0], devices), _source(directory, plan, made))


def _source(directory: Path, plan: RelatePlan | DerivePlan, known: Mapping[str, Calibration]) -> Calibration:
    if plan.source not in known:
        raise DataFileError(f"{directory / PLANS}: {plan.id}: no calibration {plan.source}", hint="name one of it")
    return known[plan.source]


def _across(directory: Path, inputs: Sequence[FitInput], fitted: Mapping[str, Calibration]) -> Iterator[Calibration]:
    plans = load_tables(directory / PLANS, "across", AcrossPlan)
    by_id = {given.plan.id: given for given in inputs}
    known = [costs(plan, by_id) for plan in plans]
    for plan, own in zip(plans, known, strict=True):
        made_from = provenance([by_id[name] for name in plan.sources])
        yield across(plan, fitted[plan.sources[0]], own, known, made_from)


def _related(directory: Path, devices: Path, fitted: Mapping[str, Calibration]) -> Iterator[Calibration]:
    for plan in load_tables(directory / PLANS, "relate", RelatePlan):
        paths = [directory / "counts" / f"{name}.json" for name in (plan.counts, plan.source_counts)]
        measured = directory / "measured" / plan.measured
        yield relate(
            plan,
            load_device(plan.id.partition("/")[0], devices),
            _source(directory, plan, fitted),
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
    plans = load_fit_plans(directory / PLANS)
    groups = {plan.group for plan in plans if only in {None, plan.id}}
    inputs = gather(directory, devices, [plan for plan in plans if plan.group in groups])
    found = []
    for given in inputs:
        if only not in {None, given.plan.id}:
            continue
        rows = rows_of(given)
        group = [rows_of(other) for other in inputs if other.plan.group == given.plan.group]
        ratios = left_out(rows, group, by_family if len(rows.families) > 1 else by_model)
        found += [
            Prediction(
                calibration=given.plan.id,
                model=row.model,
                measured_seconds=row.seconds,
                predicted_seconds=row.seconds * math.exp(ratio),
            )
            for row, ratio in zip(rows.tried[0], ratios, strict=True)
        ]
    return tuple(found)


def error_table(directory: Path, devices: Path) -> tuple[str, ...]:
    """Markdown: each calibration's error on families that it was not fitted to, and what the interval covers."""
    lines = [
        (
            "| calibration | rows | families | left-out models | left-out families, worst, within 10 % "
            "| ± | covers | nested |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
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
        covered, nested = (
            "" if share is None else f"{share:.0%}" for share in (known.interval_coverage, known.nested_coverage)
        )
        lines.append(
            f"| {each.id} | {known.rows} | {len(known.families)} | {known.leave_one_model_out.mean:.1%} "
            f"| {family} | ±{math.expm1(each.interval):.1%} | {covered} | {nested} |"
        )
    return tuple(lines)


def write_all(directory: Path, calibrations: Sequence[Calibration]) -> tuple[Path, ...]:
    """Write each where its id says; returns the paths. Raises `DataFileError` where that cannot be."""
    paths = []
    for calibration in calibrations:
        path = directory / f"{calibration.id}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, render_calibration(calibration))
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
