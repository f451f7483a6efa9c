"""How well one board's calibration serves another with the same core: its rows predicted by a fit that saw none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .calibration import Calibration, Errors, load_calibrations
from .choice import Target, Workload, choose
from .errors import DataFileError
from .fit import FitInput, load_fit_plans, points
from .fit_files import PLANS, gather
from .left_out import errors
from .lines import Line
from .measured import Figure

_FIGURES: tuple[Figure, ...] = ("p50_ms", "p90_ms")
"""Sources print one or both; a board is compared with another's in each that it has."""


@dataclass(frozen=True, kw_only=True)
class TransferErrors:
    """Of one board's rows, predicted by another's numbers scaled by clock and bandwidth."""

    source: str
    target: str
    figure: Figure
    rows: int
    errors: Errors
    bias: float
    """Typical relative error: above 0 where predictions are too slow."""
    spread: float
    """Standard deviation of log(prediction ÷ measured): the error that would be left without the bias."""


def transfers(directory: Path, devices: Path) -> Iterator[TransferErrors]:
    """Of each pair of fitted calibrations for one core, library, precision and threads. Raises `DataFileError`."""
    inputs = gather(directory, devices, load_fit_plans(directory / PLANS))
    known = {each.id: each for each in load_calibrations(directory)}
    pairs = [(known[given.plan.id], given) for given in inputs if given.plan.id in known]
    for source, _given in pairs:
        for target, given in pairs:
            if _comparable(source, target):
                yield from _of(source, given)


def transfer_table(directory: Path, devices: Path) -> tuple[str, ...]:
    """Markdown: the errors of all transfers, none where no two boards compare. Raises `DataFileError`."""
    lines = [
        f"| {each.source} → {each.target} | {each.figure.removesuffix('_ms')} | {each.rows} | {each.errors.mean:.1%} "
        f"| {each.errors.worst:.1%} | {each.bias:+.1%} | {each.spread:.1%} |"
        for each in transfers(directory, devices)
    ]
    head = (
        "| transfer, no row of the second board fitted | measured | rows | mean | worst | bias | spread |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    )
    return (*head, *lines) if lines else ()


def _comparable(source: Calibration, target: Calibration) -> bool:
    return (
        source.soc != target.soc
        and source.core == target.core
        and (source.library, source.dtypes, source.threads) == (target.library, target.dtypes, target.threads)
    )


def _of(source: Calibration, given: FitInput) -> Iterator[TransferErrors]:
    chosen = choose([source], Target.of(given.device), Workload.of(source))
    if isinstance(chosen, str):
        raise DataFileError(f"{source.id} does not serve {given.plan.id}: {chosen}", hint="correct its core")
    line = Line.of(chosen.calibration)
    for figure in _FIGURES:
        plan = given.plan.model_copy(update={"figures": (figure,)})
        rows = points(plan, given.rows, given.counts, chosen.calibration.slots)
        ratios = [math.log(line.predict(row) / row.seconds) for row in rows]
        found = errors(ratios)
        if found is None:
            continue
        mean = math.fsum(ratios) / len(ratios)
        yield TransferErrors(
            source=source.id,
            target=given.plan.id.partition("/")[0],
            figure=figure,
            rows=len(ratios),
            errors=found,
            bias=math.expm1(mean),
            spread=math.sqrt(math.fsum((ratio - mean) ** 2 for ratio in ratios) / len(ratios)),
        )
