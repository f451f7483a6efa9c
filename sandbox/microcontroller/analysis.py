"""A run folder of a microcontroller → the result document. Starts nothing, so it can be done again at any time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import heap, rundir
from sandbox.engines.base import Outcome
from sandbox.errors import UsageError
from sandbox.estimate import budget_check
from sandbox.metrics import Metric, Unavailable
from sandbox.profilers import ops
from sandbox.record import Device, Model
from sandbox.resources import data_directory
from sandbox.result import Check, Engine, Latency, Memory, Result, Runtime, Tool
from sandbox.verdict import Failure, find_failure, judge

from . import checks, host
from .arena import HostArena, board_arena, host_arena, static_arena
from .board import Microcontroller
from .flash import predicted_flash
from .latency import predicted_latency
from .operators import all_macs, load_registered, operator_works
from .outcome import Arena, Kernels, Level, MicrocontrollerPart, Output, RamBlock
from .record import ARENA_JOB, MicrocontrollerRecord, read_record
from .runner_record import read_runner, with_runner
from .times import with_times

NOT_LINUX = "not a Linux device: see the part on the microcontroller"
_HYBRID = re.compile(r"Hybrid models are not supported|(?:failed to prepare|is not supported|not supported)")


@dataclass(frozen=True, kw_only=True)
class HostRun:
    """What the run on this host left."""

    outcome: Outcome
    report: Mapping[str, Any] | None
    failure: Failure | None


def analyse(run_dir: Path, record: MicrocontrollerRecord | None = None) -> Result:
    """The result of a run folder. Raises `DataFileError` for a damaged folder, `UsageError` for wrong inputs.

    ``record``: what was run, where that is not to be read from the folder.
    """
    record = record or read_record(run_dir)
    ran = read_host_run(run_dir) if record.engine else None
    found = read_runner(run_dir)
    result = assemble(record, ran)
    if found is None:
        return result
    return with_times(with_runner(result, found), record, found, _dtype(record), data_directory("calibration"))


def read_host_run(run_dir: Path) -> HostRun:
    """The job in which TFLM ran the model on this host."""
    folder = run_dir / ARENA_JOB
    outcome, report = rundir.read_outcome(folder), rundir.read_runner_report(folder)
    error = report.get("error") if report else None
    if isinstance(error, dict) and error.get("type") == "InputError":
        raise UsageError(f"the model's inputs cannot be fed: {error.get('message')}", hint="see --input")
    failure = find_failure(outcome, report, rundir.read_phases(folder), None)
    return HostRun(outcome=outcome, report=report, failure=_named(failure))


def assemble(record: MicrocontrollerRecord, ran: HostRun | None) -> Result:
    """The document, from what is known of the files and, where TFLM ran here, from its run."""
    board, part = record.board, describe(record, ran)
    failure = ran.failure if ran else None
    latency = predicted_latency(board, _kernels(board), part.macs, _dtype(record), data_directory("calibration"))
    found = judged(record, part, failure, latency, ran=ran is not None)
    engine = record.engine
    return Result(
        tool=Tool(version=record.tool_version),
        started=record.started,
        host=record.host,
        model=Model(**record.model.model_dump(include=set(Model.model_fields))),
        device=Device(
            id=board.id,
            name=board.name,
            core=board.cpu.core,
            cores=1,
            emulated_cpu=board.cpu.core,
            page_size_bytes=None,
            ram_bytes=board.ram_bytes,
        ),
        image=record.image,
        runtime=_runtime(record, ran),
        engine=Engine(
            name=engine.name if engine else "native",
            emulator=ran.outcome.emulator if ran else None,
            emulator_digest=engine.emulator_digest if engine and ran and ran.outcome.emulator else None,
            isolation=ran.outcome.isolation if ran else "nothing was run",
            memory_limit=ran.outcome.limit_mechanism if ran else "none",
        ),
        memory=no_memory(record.model.weights_bytes),
        heap=heap.missing(NOT_LINUX),
        latency=latency,
        ops=ops.static_rows(record.model.operators, _missing(part), "TFLM on this host tells no times of the board"),
        ops_unavailable="TFLM on this host tells no times of the board",
        out_of_memory=None,
        checks=found,
        verdict=judge(found),
        warnings=part.notes,
        microcontroller=part,
    )


def describe(record: MicrocontrollerRecord, ran: HostRun | None) -> MicrocontrollerPart:
    """The part that only a microcontroller's result has."""
    board = record.board
    works = operator_works(record.model.operators, record.flows, load_registered(host.IMAGE, data_directory("images")))
    arenas = _arenas(record, ran)
    kinds = len({work.type for work in works})
    level: Level = "static" if ran is None else "host"
    return MicrocontrollerPart(
        level=level,
        core=board.cpu.core,
        arenas=arenas,
        flash=predicted_flash(board, _kernels(board), record.model.size_bytes, kinds),
        ram=_ram(board, arenas[0] if arenas else None),
        operators=works,
        macs=all_macs(works),
        outputs=_outputs(ran),
        notes=tuple(_notes(record)),
    )


def judged(
    record: MicrocontrollerRecord, part: MicrocontrollerPart, failure: Failure | None, latency: Latency, *, ran: bool
) -> tuple[Check, ...]:
    """Every question that a microcontroller's result answers."""
    limit = checks.ram_limit(record.board, record.memory_bytes, record.reserve_bytes)
    arena = next((each for each in part.arenas if each.where == "device"), None)
    here = next((each for each in part.arenas if each.where == "host"), None) if ran else None
    budget = record.latency_budget_seconds
    found = [
        checks.memory_check(arena if failure is None or not ran else None, limit, failure, here=here),
        checks.flash_check(part.flash),
        checks.operators_check(part.operators, failure, ran=ran),
        checks.cpu_check(record.board, is_float=_dtype(record) == "fp32"),
        checks.run_check(failure, None if ran else record.host_unavailable or "by the file alone: nothing was run"),
    ]
    return (*found, budget_check(latency.mean, budget)) if budget is not None else tuple(found)


def no_memory(weights_bytes: int) -> Memory:
    """The memory of a Linux process, which there is none of."""
    nothing = Unavailable(unavailable=NOT_LINUX)
    return Memory(
        peak_rss=nothing,
        file_backed=nothing,
        anonymous=nothing,
        weights=Metric(value=weights_bytes, unit="byte", mode="predicted", source="constant data in the model file"),
        runtime_baseline=nothing,
        emulator_overhead=nothing,
        available=nothing,
        headroom=nothing,
        limit=nothing,
        phases=(),
        timeline=(),
    )


def _kernels(board: Microcontroller) -> Kernels:
    """CMSIS-NN's kernels are made for the DSP and vector extensions; without them people build the reference's."""
    return "cmsis-nn" if board.cpu.dsp or board.cpu.mve != "none" else "reference"


def _arenas(record: MicrocontrollerRecord, ran: HostRun | None) -> tuple[Arena, ...]:
    found: HostArena | Unavailable | str
    found = static_arena(record.flows) if ran is None else host.read_arena(ran.report, record.tflm_version)
    if ran is not None and ran.failure is not None:
        return ()
    if not isinstance(found, HostArena):
        return ()
    first = _kernels(record.board)
    second: Kernels = "reference" if first == "cmsis-nn" else "cmsis-nn"
    boards = [board_arena(found, record.flows, record.board.cpu, kernels) for kernels in (first, second)]
    return (*boards, host_arena(found))


def _ram(board: Microcontroller, arena: Arena | None) -> tuple[RamBlock, ...]:
    nothing = Unavailable(unavailable="nothing was run on the core")
    elsewhere = Unavailable(unavailable="the arena is placed in the largest block")
    unknown = Unavailable(unavailable="the arena is not known")
    return tuple(
        RamBlock(
            banks=names,
            size=Metric(value=size, unit="byte", mode="measured", source=board.origin.name),
            used=nothing,
            arena=elsewhere if place else arena.minimum if arena else unknown,
        )
        for place, (names, size) in enumerate(board.data_spans)
    )


def _outputs(ran: HostRun | None) -> tuple[Output, ...]:
    return host.read_outputs(ran.report) if ran else ()


def _missing(part: MicrocontrollerPart) -> Mapping[str, str]:
    return {work.type: work.detail or "" for work in part.operators if work.registered is False}


def _notes(record: MicrocontrollerRecord) -> list[str]:
    found = ["figures of the arena on the board are predicted: a run on an emulated core finds the true ones"]
    if record.host_unavailable:
        found.append(f"TFLM was not run: {record.host_unavailable}")
    if any(flash.medium == "qspi" for flash in record.board.flash):
        found.append("flash is outside the chip and read through a cache: latency depends on what the cache holds")
    return found


def _runtime(record: MicrocontrollerRecord, ran: HostRun | None) -> Runtime:
    said = ran.report.get("runtime") if ran and ran.report else None
    said = said if isinstance(said, dict) else {}
    return Runtime(
        name=host.RUNTIME,
        version=record.tflm_version,
        threads=1,
        kernels=("reference",) if ran else (),
        python=str(said["python"]) if said.get("python") else None,
        numpy=str(said["numpy"]) if said.get("numpy") else None,
    )


def _dtype(record: MicrocontrollerRecord) -> str:
    """What the model computes in: that of its first convolution or dense layer, else of its first operator."""
    heavy = [op for op in record.model.operators if op.type in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}]
    dtypes = [op.dtype for op in (*heavy, *record.model.operators) if op.dtype]
    return "fp32" if dtypes and dtypes[0] == "float32" else dtypes[0] if dtypes else "unknown"


def _named(failure: Failure | None) -> Failure | None:
    """TFLM's refusals in its own words: what it cannot prepare is a matter of operators."""
    if failure is None or failure.check != "run" or not _HYBRID.search(failure.reason):
        return failure
    fix = "quantise weights and activations alike (full int8) or neither: TFLM has no kernel for this mixture of types"
    return Failure(check="operators", reason=failure.reason, fix=fix)
