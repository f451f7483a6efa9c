"""The order of a microcontroller's profile: read the model, take the board, run TFLM on this host, judge."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from sandbox import rundir
from sandbox.engines.base import Engine, Job
from sandbox.engines.guard import Guard
from sandbox.errors import DataFileError, UsageError
from sandbox.graph import ModelGraph, read_dataflow, read_model
from sandbox.host import host_facts
from sandbox.image.build import ImageBuilder
from sandbox.image.emulator import host_architecture
from sandbox.image.spec import load_lock, load_spec
from sandbox.plan import ProfileRequest, check_npz
from sandbox.record import EngineRecord, Image, model_record
from sandbox.resources import data_directory
from sandbox.result import Result

from . import host
from .analysis import analyse
from .board import Microcontroller, load_board
from .emulated_core import emulated_core
from .emulators import makers
from .record import MicrocontrollerRecord, read_record, write_record
from .runner_record import write_runner


def profile(
    request: ProfileRequest,
    run_dir: Path,
    builder: ImageBuilder,
    protector: Guard,
    cancel: threading.Event | None = None,
) -> Result:
    """Run the model with TFLM on this host and judge it for the board. Afterwards only ``run_dir`` is left of it.

    ``cancel``: set by another thread to end the run early; raises `Cancelled` then.
    """
    with rundir.on_disk(run_dir):
        plan = prepare(request, run_dir, builder, protector)
        core = None
        if request.tflm is not None:
            core = emulated_core(request, request.tflm, plan.record.board, makers(builder, protector, request.renode))
        write_record(run_dir, plan.record)
        if plan.engine is not None and plan.job is not None:
            with builder.progress.task(f"running {request.model.name} with TFLM on this host"):
                host.run_arena(plan.engine, plan.job, cancel)
        if core is not None:
            with builder.progress.task(f"running {request.model.name} on an emulated {plan.record.board.cpu.core}"):
                write_runner(run_dir, core.run(request, plan.record, run_dir / "core", cancel or threading.Event()))
    return analyse(run_dir)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is settled before anything runs."""

    record: MicrocontrollerRecord
    engine: Engine | None
    job: Job | None
    """What runs TFLM on this host; None where nothing can."""


def prepare(request: ProfileRequest, run_dir: Path, builder: ImageBuilder, protector: Guard) -> Plan:
    """Settle everything and write the guest's files into ``run_dir``."""
    graph, board = read_request(request)
    engine = host.host_engine(builder, protector, isolated=request.isolated)
    if engine is None:
        reason = f"{host.OTHER_HOST}, this one is {host_architecture()}"
        return Plan(record=record_of(request, graph, board, host_unavailable=reason), engine=None, job=None)
    image = builder.build(host.IMAGE)
    job = host.arena_job(request, graph, image, builder.guest_code(image), run_dir)
    ran_by = EngineRecord(name=engine.name, emulator_digest=builder.emulator().digest, isolated=request.isolated)
    return Plan(record=record_of(request, graph, board, engine=ran_by), engine=engine, job=job)


def replay(request: ProfileRequest, run_dir: Path) -> Result:
    """The result of a recorded run folder, provided that it is of this model and board."""
    record = read_record(run_dir)
    graph = read_model(request.model)
    board = request.device.removesuffix(".toml").rpartition("/")[2]
    for what, asked, recorded in (
        ("model", graph.sha256, record.model.sha256),
        ("device", board, record.board.id),
    ):
        if asked != recorded:
            raise DataFileError(
                f"{run_dir} was recorded for another {what}: {recorded}, not {asked}", hint="record it again"
            )
    if request.calibration is not None:
        raise UsageError(
            f"--calibration is for Linux devices: {board} is a microcontroller", hint="leave --calibration away"
        )
    if request.latency_budget_seconds is not None:
        record = record.model_copy(update={"latency_budget_seconds": request.latency_budget_seconds})
    return analyse(run_dir, record)


def read_request(request: ProfileRequest) -> tuple[ModelGraph, Microcontroller]:
    """Model and board. Raises `UsageError` for what no microcontroller has, `DataFileError` for a damaged file."""
    board = load_board(request.device, data_directory("device_specs"))
    refused = (
        ("--os", request.os is not None),
        ("--threads", request.threads != 1),
        ("--swap", request.swap),
        ("--caches", request.caches),
        ("--no-delegates", not request.delegates),
        ("--shape", bool(request.shapes)),
        ("--calibration", request.calibration is not None),
        ("--engine " + request.engine, request.engine in {"docker", "local"}),
        ("--runtime", request.runtime is not None and request.runtime.partition("@")[0] != host.RUNTIME),
    )
    for option, given in refused:
        if given:
            raise UsageError(
                f"{option} is for Linux devices: {board.id} is a microcontroller", hint=f"leave {option} away"
            )
    graph = read_tflite(request.model, board)
    if request.inputs not in {"random", "zeros"}:
        check_npz(Path(request.inputs), graph, {})
    return graph, board


def read_tflite(path: Path, board: Microcontroller) -> ModelGraph:
    """A model that TFLM can read. Raises `UsageError` for another format, `DataFileError` for a damaged file."""
    graph = read_model(path)
    if graph.format != "tflite":
        raise UsageError(
            f"{path} is an {graph.format.upper()} model, and {board.id} is a microcontroller: TFLM runs .tflite files",
            hint="convert the model to TFLite, quantised to int8",
        )
    return graph


def record_of(
    request: ProfileRequest,
    graph: ModelGraph,
    board: Microcontroller,
    *,
    engine: EngineRecord | None = None,
    host_unavailable: str | None = None,
) -> MicrocontrollerRecord:
    """What the run folder says of the run."""
    images = data_directory("images")
    spec, lock = load_spec(host.IMAGE, images), load_lock(host.IMAGE, images)
    own_input = request.inputs not in {"random", "zeros"}
    return MicrocontrollerRecord(
        tool_version=version("edge-sandbox"),
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        host=host_facts(),
        model=model_record(graph),
        board=board.model_copy(update={"origin": Path(board.origin.name)}),  # a run folder may be shown to others
        flows=read_dataflow(graph, {}),
        image=Image(id=spec.id, title=spec.title, digest=lock.digest),
        tflm_version=lock.runtime_versions(host.RUNTIME)[0],
        engine=engine,
        host_unavailable=host_unavailable,
        inputs=Path(request.inputs).name if own_input else f"{request.inputs} (seed {request.seed})",
        memory_bytes=request.memory_bytes,
        reserve_bytes=request.reserve_bytes,
        latency_budget_seconds=request.latency_budget_seconds,
    )
