"""A run folder → the result document. Reads the folder, starts nothing, so it can be done again at any time."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from . import heap, illegal_instruction, numpy_clash, out_of_memory, rundir, stats
from .calibration import Calibration, read_any_calibration
from .compatibility_checks import left_out_check, reached_check, with_run, with_versions
from .compatibility_result import Compatibility
from .engines.base import Outcome
from .errors import DataFileError, UsageError
from .estimate import estimate
from .measurements import Code, Counts, Op
from .memory_notes import memory_notes
from .metrics import Metric, Mode, Quantity, Unavailable
from .plan import ONE_THREAD, VALGRIND_PAGE_BYTES
from .profilers import inference, memory, ops
from .profilers.counts import Marks, Work
from .profilers.last_seen import last_seen
from .record import Device, Model, RunRecord
from .result import (
    Engine,
    Heap,
    Latency,
    Memory,
    OperatorMemory,
    Result,
    Runtime,
    Tool,
)
from .verdict import Failure, failure_checks, find_failure, judge, limit_kept, memory_check, parity_checks

_NOT_EMULATED = "the native engine runs on this host's own core: instructions are counted under emulation only"
_ENDED_EARLY = "the model did not run to its end"


def analyse(run_dir: Path, record: RunRecord | None = None, calibration: Calibration | None = None) -> Result:
    """The result of a run folder. Raises `DataFileError` (damaged folder) or `UsageError` (wrong inputs).

    ``record``: what was run, where that is not to be read from the folder; ``calibration``: the same.
    """
    try:
        return _result(run_dir, record or rundir.read_record(run_dir), calibration or _named_calibration(run_dir))
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{error.title}.{'.'.join(str(part) for part in first['loc'])}"
        raise DataFileError(f"{run_dir}: {where}: {first['msg']}", hint="run the profile again") from error


def _named_calibration(run_dir: Path) -> Calibration | None:
    path = run_dir / rundir.CALIBRATION
    return read_any_calibration(path) if path.is_file() else None


def _result(run_dir: Path, record: RunRecord, calibration: Calibration | None) -> Result:
    latency_dir = run_dir / "latency"
    outcome, report = rundir.read_outcome(latency_dir), rundir.read_runner_report(latency_dir)
    phases = rundir.read_phases(latency_dir)
    failure = find_failure(outcome, report, phases, record.device.memory_limit_bytes)
    _refuse_wrong_inputs(report)
    refused = rundir.read_fault(latency_dir) if outcome.signal == signal.SIGILL else None
    failure = illegal_instruction.explain(failure, refused, outcome, record)
    failure = numpy_clash.explain(failure, outcome, report, record)
    seen = last_seen(run_dir, phases[-1][0] if phases else "start") if outcome.out_of_memory else None
    exhausted = out_of_memory.explain(failure, outcome, report, phases, record, seen=seen)
    if failure and exhausted:
        failure = replace(failure, reason=failure.reason + out_of_memory.sentence(exhausted))
    emulated = outcome.emulator is not None
    source = f"{outcome.emulator}, wall time on this host" if emulated else "wall time on this host's own core"
    marks = _ENDED_EARLY if failure else _marks(latency_dir, report, outcome)
    works = marks if isinstance(marks, str) else inference.counted_inferences(marks)
    rows, ops_unavailable = _operators(run_dir, record, works, failure, emulated=emulated, source=source)
    native, delegated = (sum(row.status == status for row in rows) for status in ("native", "delegated"))
    measured = _memory(record, outcome, phases, emulated=emulated)
    compared = rundir.read_parity(run_dir)
    compatibility = _compatibility(run_dir, rows, failure, emulated=emulated)
    failure = with_versions(failure, compatibility)
    of_the_run = failure_checks(failure, total=len(record.model.operators), native=native, delegated=delegated)
    if compatibility is not None and failure is None and (reached := reached_check(compatibility)):
        of_the_run = tuple(reached if check.id == "cpu" else check for check in of_the_run)
    if compatibility is not None and failure is None and (left_out := left_out_check(compatibility)):
        of_the_run = tuple(left_out if check.id == "operators" else check for check in of_the_run)
    checks = (
        memory_check(
            measured.peak_rss,
            record.device.available,
            record.device.memory_limit_bytes,
            failure,
            limit_source=record.device.memory_limit_source,
            enforced=limit_kept(outcome, record.device.memory_limit_bytes),
        ),
        *of_the_run,
        *parity_checks(compared, asked=record.parity),
    )
    result = Result(
        tool=Tool(version=record.tool_version),
        started=record.started,
        host=record.host,
        model=Model(**record.model.model_dump(include=set(Model.model_fields))),
        device=Device(**record.device.model_dump(include=set(Device.model_fields))),
        image=record.image,
        runtime=_runtime(record, report),
        engine=Engine(
            name=record.engine.name,
            emulator=outcome.emulator,
            emulator_digest=record.engine.emulator_digest if emulated else None,
            isolation=outcome.isolation,
            memory_limit=outcome.limit_mechanism,
        ),
        memory=measured,
        heap=heap.with_allocator(_heap(run_dir, record, failure), report, marks, outcome.emulator),
        latency=_latency(record, report, works, outcome, failure, source=source).model_copy(
            update={"work": None if failure else _one_thread(run_dir, record)}
        ),
        ops=rows,
        ops_unavailable=ops_unavailable,
        operator_memory=_operator_memory(record),
        out_of_memory=exhausted,
        illegal_instruction=refused,
        parity=compared,
        checks=checks,
        verdict=judge(checks),
        warnings=tuple(_warnings(record, outcome, emulated=emulated)),
        compatibility=compatibility,
    )
    return estimate(result, record, calibration) if emulated else result


def _memory(record: RunRecord, outcome: Outcome, phases: tuple[tuple[str, float], ...], *, emulated: bool) -> Memory:
    trace, device = outcome.memory, record.device
    by_phase = memory.phase_memory(trace, phases, emulated=emulated)
    peak = memory.peak_rss(trace, emulated=emulated)
    limit = Metric(value=device.memory_limit_bytes, unit="byte", mode="predicted", source=device.memory_limit_source)
    headroom: Quantity = Unavailable(unavailable="the peak or the available memory is not known")
    if isinstance(peak, Metric) and isinstance(device.available, Metric):
        left = device.available.value - (peak.high or peak.value)
        headroom = Metric(value=left, unit="byte", mode=peak.mode, source="available less peak")
    file_backed, anonymous = memory.peak_shares(trace, emulated=emulated)
    return Memory(
        peak_rss=peak,
        file_backed=file_backed,
        anonymous=anonymous,
        weights=Metric(
            value=record.model.weights_bytes, unit="byte", mode="predicted", source="constant data in the model file"
        ),
        runtime_baseline=memory.runtime_baseline(by_phase),
        emulator_overhead=memory.emulator_overhead(trace, emulated=emulated),
        available=device.available,
        headroom=headroom,
        limit=limit,
        phases=by_phase,
        timeline=tuple((seconds, guest) for seconds, guest, _emulator in trace.samples),
    )


def _heap(run_dir: Path, record: RunRecord, failure: Failure | None) -> Heap:
    reason = _ENDED_EARLY if failure else _job_problem(run_dir, record, "heap")
    if reason is not None:
        return heap.missing(reason)
    try:
        text = rundir.read_guest_file(run_dir / "heap" / rundir.MASSIF).decode(errors="replace")
    except OSError:
        return heap.missing("massif left no file")
    return heap.read(
        text,
        runtime_folder=f"/{record.runtime.name}-{record.runtime.version}/",
        emulator=rundir.read_outcome(run_dir / "heap").emulator,
    )


def _operators(
    run_dir: Path,
    record: RunRecord,
    works: tuple[Work, ...] | str,
    failure: Failure | None,
    *,
    emulated: bool,
    source: str,
) -> tuple[tuple[Op, ...], str | None]:
    if failure is not None:
        missing = {failure.missing_operator: failure.reason} if failure.missing_operator else {}
        return ops.static_rows(record.model.operators, missing, _ENDED_EARLY), _ENDED_EARLY
    problem = _job_problem(run_dir, record, "operators")
    report = None if problem else rundir.read_runner_report(run_dir / "operators")
    counts = _operator_counts(run_dir / "operators", record, report, works)
    rows = ops.executed_rows(report, counts, emulated=emulated, source=source)
    if rows:
        note = report.get("operators_unavailable") if report else None
        return rows, str(note) if note else None
    why = problem or str((report or {}).get("operators_unavailable") or "the runtime's profiler gave no rows")
    return ops.static_rows(record.model.operators, {}, why), why


def _compatibility(
    run_dir: Path, rows: tuple[Op, ...], failure: Failure | None, *, emulated: bool
) -> Compatibility | None:
    found = rundir.read_compatibility(run_dir)
    if found is None or not emulated:
        return found
    return with_run(found, rows, rundir.read_reached(run_dir / "latency"), finished=failure is None)


def _operator_memory(record: RunRecord) -> tuple[OperatorMemory, ...]:
    def size(value: int, source: str) -> Metric:
        return Metric(value=value, unit="byte", mode="predicted", source=source)

    return tuple(
        OperatorMemory(
            index=need.index,
            type=need.type,
            name=need.name,
            live=size(need.live_bytes, "tensors alive in this step"),
            workspace=size(need.workspace_bytes, "temporaries of the kernel"),
        )
        for need in record.operator_needs
    )


def _job_problem(run_dir: Path, record: RunRecord, job: str) -> str | None:
    """Why a job beside the latency run gave nothing, or None."""
    if job not in record.jobs:
        return f"the {job} run was not asked for"
    if not (run_dir / job / rundir.OUTCOME).is_file():
        return f"the {job} run was not made, for the model had failed by then"
    outcome = rundir.read_outcome(run_dir / job)
    report = rundir.read_runner_report(run_dir / job)
    found = find_failure(outcome, report, rundir.read_phases(run_dir / job), None)
    return f"the {job} run failed: {found.reason}" if found else None


def _marks(job_dir: Path, report: Mapping[str, Any] | None, outcome: Outcome) -> Marks | str:
    """What a run counted, or why nothing."""
    if outcome.emulator is None:
        return _NOT_EMULATED
    return inference.read_marks(job_dir, report, outcome.stderr)


def _one_thread(run_dir: Path, record: RunRecord) -> Counts | None:
    """What the inference costs on one thread; None where that was not counted."""
    if _job_problem(run_dir, record, ONE_THREAD) is not None:
        return None
    folder = run_dir / ONE_THREAD
    outcome = rundir.read_outcome(folder)
    marks = _marks(folder, rundir.read_runner_report(folder), outcome)
    if isinstance(marks, str):
        return None
    return inference.inference_counts(inference.counted_inferences(marks), _counted_by(outcome))


def _operator_counts(
    job_dir: Path, record: RunRecord, report: Mapping[str, Any] | None, works: tuple[Work, ...] | str
) -> ops.OperatorCounts | str:
    if report is None:
        return "the operator run left no report"
    outcome = rundir.read_outcome(job_dir)
    marks = _marks(job_dir, report, outcome)
    if isinstance(marks, str):
        return marks
    return ops.OperatorCounts(
        marks=marks,
        code=rundir.read_code(job_dir),
        unprofiled=_by_place(works, rundir.read_code(job_dir.parent / "latency")),
        tick_ns=record.device.tick_ns,
        source=_counted_by(outcome),
        caches=record.caches,
    )


def _by_place(works: tuple[Work, ...] | str, code: Mapping[int, Code]) -> dict[str, int]:
    """Instructions of the last inference by the place of their code."""
    found: dict[str, int] = {}
    for address, count in works[-1].addresses.items() if isinstance(works, tuple) and works else ():
        if address in code:
            found[code[address].place] = found.get(code[address].place, 0) + count
    return found


def _counted_by(outcome: Outcome) -> str:
    return f"{outcome.emulator}, counting plugin"


def _latency(
    record: RunRecord,
    report: Mapping[str, Any] | None,
    works: tuple[Work, ...] | str,
    outcome: Outcome,
    failure: Failure | None,
    *,
    source: str,
) -> Latency:
    emulated = outcome.emulator is not None
    counts = inference.inference_counts(works, _counted_by(outcome))
    if isinstance(works, tuple) and works:
        paths = (each.critical_path for each in works if each.critical_path > 0)  # else it is no count of ours
        samples = tuple(inference.seconds(path, record.device.tick_ns) for path in paths)
        source = ops.TICK_SOURCE
    else:
        samples = _clocked(report)
    if not samples:
        nothing = Unavailable(unavailable=_ENDED_EARLY if failure else "the run timed no inference")
        return Latency(counts=counts, mean=nothing, p95=nothing, throughput=nothing, samples=())
    mode: Mode = "emulated" if emulated else "measured"
    mean = stats.mean(samples)
    high_percentile = stats.p95(samples)
    few = Unavailable(unavailable=f"{len(samples)} inferences are too few for a 95th percentile")
    low, high = min(samples), max(samples)
    return Latency(
        counts=counts,
        mean=Metric(value=mean, unit="second", mode=mode, low=low, high=high, source=source),
        p95=few if high_percentile is None else Metric(value=high_percentile, unit="second", mode=mode, source=source),
        throughput=Metric(
            value=1 / mean, unit="inference/second", mode=mode, low=1 / high, high=1 / low, source=source
        ),
        samples=samples,
    )


def _clocked(report: Mapping[str, Any] | None) -> tuple[float, ...]:
    """Seconds of each inference as the runner timed it."""
    values = report.get("latencies_ns") if report else None
    # less than a nanosecond is no time of an inference, and its inverse may be no number
    numbers = [v for v in values if isinstance(v, (int, float)) and 1 <= v < 1e15] if isinstance(values, list) else []
    return tuple(value / 1e9 for value in numbers)


def _runtime(record: RunRecord, report: Mapping[str, Any] | None) -> Runtime:
    said = report.get("runtime") if report else None
    said = said if isinstance(said, dict) else {}
    kernels = said.get("delegates") or said.get("providers") or []
    return Runtime(
        **record.runtime.model_dump(),
        kernels=tuple(str(kernel) for kernel in kernels) if isinstance(kernels, list) else (),
        python=str(said["python"]) if said.get("python") else None,
        numpy=str(said["numpy"]) if said.get("numpy") else None,
    )


def _warnings(record: RunRecord, outcome: Outcome, *, emulated: bool) -> list[str]:
    found = []
    if emulated:
        found.append("times are not calibrated: they show proportions, not the device's speed")
    if outcome.isolation == "none":
        found.append("the model ran without isolation, as asked: it could reach this host's files and network")
    found += memory_notes(record, outcome.limit_mechanism)
    if record.device.page_size_bytes != VALGRIND_PAGE_BYTES and "heap" in record.jobs:
        found.append(f"the heap run used pages of {VALGRIND_PAGE_BYTES} bytes: valgrind starts with no others here")
    return found


def _refuse_wrong_inputs(report: Mapping[str, Any] | None) -> None:
    error = report.get("error") if report else None
    if isinstance(error, dict) and error.get("type") == "InputError":
        raise UsageError(f"the model's inputs cannot be fed: {error.get('message')}", hint="see --input and --shape")
