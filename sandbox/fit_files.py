"""The shipped ``calibration`` folder: reads what fits are made from, makes all calibrations, finds what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .calibration import Calibration, load_calibrations
from .device import load_device
from .errors import DataFileError
from .fit import FitInput, FitPlan, calibrate, digest, load_fit_plans, render_calibration
from .measured import MeasuredRow, read_measured
from .model_counts import CountSet, read_counts

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
    return tuple(
        calibrate(given, [other for other in inputs if other.plan.group == given.plan.group]) for given in inputs
    )


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
