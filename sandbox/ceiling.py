"""The smallest RAM in which a model loads and infers: the same run again and again under other limits."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import product
from pathlib import Path

from . import rundir
from .bisection import next_trial
from .ceiling_result import CeilingResult, Trial, Variant
from .engines.base import Outcome
from .engines.guard import Guard
from .errors import UsageError
from .graph import ModelGraph, read_model
from .image.build import ImageBuilder
from .memory_notes import memory_notes
from .metrics import Metric, Quantity, Unavailable
from .pipeline import Plan, prepare, record_of
from .plan import ProfileRequest
from .profilers.memory import peak_rss
from .progress import Progress
from .record import Device, Model
from .result import Check, Tool
from .units import format_size
from .verdict import Failure, find_failure, judge, memory_check

TOLERANCE = 0.01
MOST_TRIALS = 10
"""Runs for one variant, the first one without a limit among them."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The variants to try: every combination."""

    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = ()
    """First dimensions for all inputs; empty leaves them as they are."""
    shapes: tuple[Mapping[str, tuple[int, ...]], ...] = ({},)


def ceiling(request: ProfileRequest, sweep: Sweep, run_dir: Path, builder: ImageBuilder, guard: Guard) -> CeilingResult:
    """Find the least memory of every variant. Raises what `pipeline.prepare` and `Engine.run` do.

    The model's inputs of ``request`` are replaced by those of the sweep.
    """
    if request.engine == "replay":
        raise UsageError("a recorded run has one limit: the least memory needs new ones", hint="leave --engine out")
    graph = read_model(request.model)
    variants, checks = [], []
    for number, wanted in enumerate(_variants(request, sweep, graph)):
        folder = run_dir / str(number)
        folder.mkdir(parents=True)
        with rundir.on_disk(folder):
            plan = prepare(wanted, folder, builder, guard)
            variant, failure, last = _search(plan, builder.progress)
        variants.append(variant)
        checks.append(_check(plan, variant, failure))
    record = record_of(plan)
    return CeilingResult(
        tool=Tool(version=version("edge-sandbox")),
        model=Model(**record.model.model_dump(include=set(Model.model_fields))),
        device=Device(**record.device.model_dump(include=set(Device.model_fields))),
        image=record.image,
        runtime=" ".join(plan.runtime),
        emulator=last.emulator,
        available=plan.budget.available,
        variants=tuple(variants),
        checks=tuple(checks),
        verdict=judge(checks),
        warnings=memory_notes(record, last.limit_mechanism),
    )


def with_batch(graph: ModelGraph, shapes: Mapping[str, tuple[int, ...]], batch: int) -> dict[str, tuple[int, ...]]:
    """Shapes of all inputs with that first dimension. Raises `UsageError` where a rank or another size is not known."""
    found = {}
    for tensor in graph.inputs:
        sizes = shapes.get(tensor.name, tensor.shape)[1:]
        known = tuple(size for size in sizes if isinstance(size, int))
        if not tensor.shape or len(known) != len(sizes):
            raise UsageError(
                f"--batch: input {tensor.name} has dimensions that are only known at run time, or none at all",
                hint=f"give its shape: --shape {tensor.name}=…",
            )
        found[tensor.name] = (batch, *known)
    return found


def _variants(request: ProfileRequest, sweep: Sweep, graph: ModelGraph) -> list[ProfileRequest]:
    """Every combination once, also where the sweep names one several times."""
    found: list[ProfileRequest] = []
    for threads, shapes, batch in product(sweep.threads, sweep.shapes, sweep.batches or (None,)):
        chosen = dict(shapes) if batch is None else with_batch(graph, shapes, batch)
        wanted = replace(request, threads=threads, shapes=chosen)
        found += [wanted] if wanted not in found else []
    return found


def _search(plan: Plan, progress: Progress) -> tuple[Variant, Failure | None, Outcome]:
    """(what was found, how the model failed without any limit, the last run)."""
    with progress.task(f"looking for the least memory on {plan.device.id}", total=MOST_TRIALS) as advance:
        outcome, failure = _run(plan, 0, None)
        last = outcome
        advance(1)
        trials = [_trial(outcome, failure, None)]
        failed = fitted = None
        guess = _own_pages(outcome)
        while failure is None and len(trials) < MOST_TRIALS:
            limit = next_trial(guess=guess, failed=failed, fitted=fitted, tolerance=TOLERANCE)
            if limit is None:
                break
            last, problem = _run(plan, len(trials), limit)
            advance(1)
            trials.append(_trial(last, problem, limit))
            failed, fitted = (failed, limit) if problem is None else (limit, fitted)
    variant = Variant(
        threads=plan.request.threads,
        shapes=dict(plan.request.shapes),
        minimum=_minimum(outcome, trials, failure, failed=failed, fitted=fitted),
        trials=tuple(trials),
    )
    return variant, failure, last


def _run(plan: Plan, number: int, limit_bytes: int | None) -> tuple[Outcome, Failure | None]:
    """One run of the plan's first job in a folder of its own."""
    first = plan.jobs[0]
    folder = plan.run_dir / f"trial-{number}"
    folder.mkdir()
    shutil.copyfile(first.run_dir / "request.json", folder / "request.json")
    job = replace(first, name=f"trial-{number}", run_dir=folder, memory_limit_bytes=limit_bytes)
    outcome = plan.engine.run(job, threading.Event())
    rundir.require_room(folder)
    rundir.write_outcome(folder, outcome)
    report, phases = rundir.read_runner_report(folder), rundir.read_phases(folder)
    return outcome, find_failure(outcome, report, phases, limit_bytes) or overrun(outcome, limit_bytes)


def overrun(outcome: Outcome, limit_bytes: int | None) -> Failure | None:
    """A run that ended well although it held more than its limit: the limit follows the emulator's share, and may do so
    too late. The device would have killed it."""
    own = _own_pages(outcome)
    if limit_bytes is None or own <= limit_bytes:
        return None
    return Failure(check="memory", reason=f"it ran on, but held {format_size(own)} of its own")


def _own_pages(outcome: Outcome) -> int:
    """Bytes that the kernel could not drop: about what a limit must leave."""
    return max(outcome.memory.guest_own_bytes or 0, 1 << 20)


def _trial(outcome: Outcome, failure: Failure | None, limit_bytes: int | None) -> Trial:
    limit: Quantity = Unavailable(unavailable="this run had no limit")
    if limit_bytes is not None:
        limit = Metric(value=limit_bytes, unit="byte", mode="emulated", source="the limit of this run")
    return Trial(
        limit=limit,
        fits=failure is None,
        outcome=failure.reason if failure else "ran",
        peak=peak_rss(outcome.memory, emulated=outcome.emulator is not None),
    )


def _minimum(
    outcome: Outcome, trials: Sequence[Trial], failure: Failure | None, *, failed: int | None, fitted: int | None
) -> Quantity:
    if failure is not None:
        return Unavailable(unavailable=f"it fails without any limit: {failure.reason}")
    if fitted is None:
        most = format_size(failed or 0)
        return Unavailable(unavailable=f"{len(trials)} runs were too few: {most} was not enough")
    return Metric(
        value=fitted,
        unit="byte",
        mode="emulated" if outcome.emulator else "measured",
        low=failed,
        high=fitted,
        source=f"the same run {len(trials)} times under other limits",
    )


def _check(plan: Plan, variant: Variant, failure: Failure | None) -> Check:
    if failure is not None:
        return Check(id=failure.check, status="fail", reason=failure.reason, fix=failure.fix)
    budget = plan.budget
    found = memory_check(
        variant.minimum, budget.available, budget.limit_bytes, None, limit_source=budget.source, enforced=False
    )
    return found.model_copy(update={"reason": found.reason.replace("peak", "it needs", 1)})
