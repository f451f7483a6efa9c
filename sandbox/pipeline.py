"""The order of a profile: read the model, take the device, pin the image, plan, run, judge."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from . import durations, native, rundir
from .analysis import analyse
from .budget import MemoryBudget, budget
from .calibration import Calibration, read_any_calibration
from .compatibility import Target, examine
from .compatibility_checks import without_delegates
from .compatibility_result import Compatibility
from .device import DeviceSpec, OsChoice, load_device, select_os, shown_features
from .engines.base import Cancelled, Engine, EngineName, Job, Outcome
from .engines.docker import DockerEngine
from .engines.docker_daemon import require_daemon
from .engines.guard import Guard
from .engines.local import LocalEngine
from .engines.native import NativeEngine
from .engines.unisolated import UnisolatedEngine
from .errors import DataFileError, HostError, UsageError
from .fit import render_calibration
from .graph import ModelGraph, read_dataflow, read_model
from .host import host_facts
from .image.build import ImageBuilder
from .image.emulator import Emulator, host_architecture
from .image.store import BuiltImage
from .microcontroller import profile as microcontroller
from .microcontroller.board import is_microcontroller
from .microcontroller.record import has_record
from .plan import (
    ProfileRequest,
    check_npz,
    choose_runtime,
    core_tick,
    plan_jobs,
    resolve_shapes,
)
from .profilers.fault import describe_fault
from .profilers.reached import note_reached
from .profilers.symbols import describe_code
from .progress import Progress
from .record import (
    DeviceRecord,
    EngineRecord,
    Hardware,
    Image,
    Need,
    OperatorNeed,
    RunRecord,
    RuntimeRecord,
    Traffic,
    model_record,
)
from .resources import data_directory
from .result import Result
from .static.memory import MemoryPlan, plan_for
from .static.traffic import traffic
from .verdict import Failure, find_failure

_PARALLEL = 3
_NEEDS = 200
"""Of how many operators, the greediest, a run's record tells what they need."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is settled before anything runs."""

    request: ProfileRequest
    graph: ModelGraph
    device: DeviceSpec
    os: OsChoice
    image: BuiltImage
    runtime: tuple[str, str]
    budget: MemoryBudget
    engine: Engine
    emulator: Emulator
    jobs: tuple[Job, ...]
    run_dir: Path
    needs: tuple[Need, ...]
    traffic: Traffic | None
    operator_needs: tuple[OperatorNeed, ...]


def profile(
    request: ProfileRequest,
    run_dir: Path,
    builder: ImageBuilder,
    protector: Guard,
    cancel: threading.Event | None = None,
) -> Result:
    """Run the model on the emulated device and judge it. Everything that ran is gone afterwards but ``run_dir``.

    ``cancel``: set by another thread to end the run early; raises `Cancelled` then.
    """
    if request.engine == "replay":
        return microcontroller.replay(request, run_dir) if has_record(run_dir) else replay(request, run_dir)
    if is_microcontroller(request.device, data_directory("device_specs")):
        return microcontroller.profile(request, run_dir, builder, protector, cancel)
    with rundir.on_disk(run_dir):
        plan = prepare(request, run_dir, builder, protector)
        rundir.write_record(run_dir, record_of(plan))
        rundir.write_compatibility(run_dir, static_compatibility(plan, builder.store.directory))
        started, kept = time.monotonic(), builder.store.directory
        run_jobs(plan, builder.progress, cancel, durations.expected_seconds(kept, plan.graph))
        durations.remember(kept, plan.graph, time.monotonic() - started)
    return analyse(run_dir)


def prepare(request: ProfileRequest, run_dir: Path, builder: ImageBuilder, protector: Guard) -> Plan:
    """Settle everything and write the guest's files into ``run_dir``."""
    calibration = _named_calibration(request)
    graph = read_model(request.model)
    device = load_device(request.device, data_directory("device_specs"))
    os = select_os(device, request.os)
    name, wanted = choose_runtime(request.runtime, graph, builder.runtimes(os.image))
    shapes = resolve_shapes(graph, request.shapes)
    if request.inputs not in {"random", "zeros"}:
        check_npz(Path(request.inputs), graph, shapes)
    memory = budget(device, os, request.memory_bytes, request.reserve_bytes, swap=request.swap)
    if request.engine == "docker":
        require_daemon()
    image = builder.with_runtime(os.image, name, wanted)
    emulator = builder.emulator()
    guest_code = builder.guest_code(image)
    identity = rundir.write_identity(run_dir, device, os, memory.limit_bytes - memory.swap_bytes, memory.swap_bytes)
    engine = choose_engine(request, image, emulator, protector)
    if calibration is not None:
        keep_calibration(run_dir, calibration, engine.name)
    chosen = (name, wanted or image.lock.runtime_versions(name)[0])
    jobs = plan_jobs(
        request,
        graph=graph,
        shapes=shapes,
        device=device,
        os=os,
        image=image,
        runtime=chosen,
        limit_bytes=memory.limit_bytes,
        run_dir=run_dir,
        guest_code=guest_code,
        identity=identity,
        emulated=engine.name != "native",
        native_parts=(
            native.plugin(host_architecture()),
            native.clock_library(image.spec.architecture),
            native.fault_library(image.spec.architecture),
        ),
    )
    static = plan_for(graph, shapes, runtime=name, architecture=image.spec.architecture, version=chosen[1])
    return Plan(
        request=request,
        graph=graph,
        device=device,
        os=os,
        image=image,
        runtime=chosen,
        budget=memory,
        engine=engine,
        emulator=emulator,
        jobs=jobs,
        run_dir=run_dir,
        needs=static_needs(static),
        operator_needs=tuple(
            OperatorNeed(
                index=step.index,
                type=step.type,
                name=step.name,
                live_bytes=step.live_bytes,
                workspace_bytes=step.workspace_bytes,
            )
            for step in static.steps
        ),
        traffic=static_traffic(graph, shapes, device),
    )


def keep_calibration(run_dir: Path, calibration: Calibration, engine: EngineName) -> None:
    """Write it into the run folder, so that the run can be judged again by it. Raises `UsageError`."""
    if engine == "native":
        raise UsageError(
            "--calibration makes times of counts, and the native engine counts nothing: it measures",
            hint="use --engine local, or leave --calibration out",
        )
    (run_dir / rundir.CALIBRATION).write_text(render_calibration(calibration), encoding="utf-8")


def static_compatibility(plan: Plan, cache: Path) -> Compatibility:
    """What the files alone tell of the build that will run."""
    target = Target(
        device=plan.device,
        os=plan.os,
        spec=plan.image.spec,
        lock=plan.image.lock,
        runtime=plan.runtime[0],
        version=plan.runtime[1],
    )
    found = examine(
        plan.graph, target, directory=data_directory("compatibility"), cache=cache, shapes=plan.request.shapes
    )
    return found if plan.request.delegates else without_delegates(found)


def static_traffic(graph: ModelGraph, shapes: Mapping[str, tuple[int, ...]], device: DeviceSpec) -> Traffic | None:
    """Bytes that the operators move; None where the file does not say, as for ONNX and models with control flow."""
    flows = read_dataflow(graph, shapes) if graph.format == "tflite" else ()
    return traffic(flows[0], device.cpu.l2_bytes) if len(flows) == 1 else None


def static_needs(plan: MemoryPlan) -> tuple[Need, ...]:
    """What the model file announces, for the words of an out-of-memory verdict."""
    found = [
        Need(part=part.name, what=f"{part.name} ({part.source})", size_bytes=part.size_bytes) for part in plan.parts
    ]
    steps = sorted(plan.steps, key=lambda step: -step.total_bytes)[:_NEEDS]
    for step in steps:
        what = f"{step.type} {step.name} (operator {step.index})"
        found.append(Need(part="operator", what=what, size_bytes=step.total_bytes, operator=step.index))
    return tuple(found)


def choose_engine(request: ProfileRequest, image: BuiltImage, emulator: Emulator, protector: Guard) -> Engine:
    """The engine asked for; ``auto`` is native on an ARM host, else local. Raises `HostError` if it cannot work."""
    name: EngineName
    if request.engine == "qemu-system" or request.engine == "renode":  # noqa: PLR1714  # mypy narrows by this
        raise UsageError(
            f"--engine {request.engine} runs microcontrollers, and {request.device} is none",
            hint="leave it out, or use --engine local",
        )
    if request.engine == "auto":
        name = "native" if host_architecture() == "arm64" and request.isolated else "local"
    else:
        name = request.engine
    engine: Engine
    if name == "docker":
        engine = DockerEngine(emulator, protector)
    elif name == "native":
        engine = NativeEngine(emulator, protector, image.spec.architecture)
    else:
        engine = LocalEngine(emulator, protector) if request.isolated else UnisolatedEngine(emulator, protector)
    problem = engine.probe()
    if problem is not None:
        raise HostError(f"engine {name}: {problem.reason}", hint=problem.hint)
    return engine


def run_jobs(
    plan: Plan, progress: Progress, outside: threading.Event | None = None, expected_seconds: float | None = None
) -> None:
    """Run the plan's jobs side by side; when the model itself fails the others are stopped, for they would too.

    Only where memory ran out the operator run goes on to the same end: it tells which operator that is.
    Raises `Cancelled` soon after ``outside`` is set.
    """
    cancels = {job.name: threading.Event() for job in plan.jobs}
    names = ", ".join(job.name for job in plan.jobs)
    with (
        progress.task(
            f"running {names} on {plan.device.id}", total=len(plan.jobs), expected_seconds=expected_seconds
        ) as advance,
        ThreadPoolExecutor(_PARALLEL) as pool,
    ):
        pending: dict[Future[Outcome], Job] = {
            pool.submit(plan.engine.run, job, cancels[job.name]): job for job in plan.jobs
        }
        try:
            while pending:
                if outside is not None and outside.is_set():
                    raise Cancelled
                # a bounded wait, so that Ctrl-C is seen between two of them
                done, _ = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    job = pending.pop(future)
                    failure = _finish(job, future)
                    if failure and job.name == "latency":
                        _cancel(cancels, but="operators" if failure.check == "memory" else None)
                    advance(1)
        finally:
            _cancel(cancels)


def replay(request: ProfileRequest, run_dir: Path) -> Result:
    """The result of a recorded run folder, provided that it is of this model and device.

    A latency budget or calibration of ``request`` takes the place of the recorded one.
    """
    record = rundir.read_record(run_dir)
    graph = read_model(request.model)
    for what, asked, recorded in (
        ("model", graph.sha256, record.model.sha256),
        ("device", request.device.removesuffix(".toml").rpartition("/")[2], record.device.id),
    ):
        if asked != recorded:
            raise DataFileError(
                f"{run_dir} was recorded for another {what}: {recorded}, not {asked}", hint="record it again"
            )
    if request.latency_budget_seconds is not None:
        record = record.model_copy(update={"latency_budget_seconds": request.latency_budget_seconds})
    return analyse(run_dir, record, _named_calibration(request))


def _named_calibration(request: ProfileRequest) -> Calibration | None:
    return None if request.calibration is None else read_any_calibration(request.calibration)


def record_of(plan: Plan) -> RunRecord:
    """What ``run.json`` says."""
    graph, device, os, spec = plan.graph, plan.device, plan.os, plan.image.spec
    inputs = plan.request.inputs
    return RunRecord(
        tool_version=version("edge-sandbox"),
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        host=host_facts(),
        model=model_record(graph, plan.traffic),
        device=DeviceRecord(
            id=device.id,
            name=device.name,
            core=device.cpu.core,
            cores=device.cpu.cores,
            emulated_cpu=os.emulated_cpu,
            page_size_bytes=os.page_size_bytes,
            ram_bytes=device.ram_bytes,
            available=plan.budget.available,
            memory_limit_bytes=plan.budget.limit_bytes,
            memory_limit_source=plan.budget.source,
            tick_ns=core_tick(device),
            hardware=_hardware(device),
            swap_bytes=plan.budget.swap_bytes,
            features=shown_features(device, os) or (),
            zram_left_out_bytes=(os.zram_bytes or 0) if plan.request.swap else 0,
        ),
        image=Image(id=spec.id, title=spec.title, digest=plan.image.lock.digest),
        runtime=RuntimeRecord(name=plan.runtime[0], version=plan.runtime[1], threads=plan.request.threads),
        engine=EngineRecord(
            name=plan.engine.name, emulator_digest=plan.emulator.digest, isolated=plan.request.isolated
        ),
        inputs=f"random (seed {plan.request.seed})" if inputs == "random" else Path(inputs).name,
        parity=plan.request.parity,
        caches=plan.request.caches,
        jobs=tuple(job.name for job in plan.jobs),
        needs=plan.needs,
        operator_needs=plan.operator_needs,
        latency_budget_seconds=plan.request.latency_budget_seconds,
    )


def _hardware(device: DeviceSpec) -> Hardware:
    power = device.power
    return Hardware(
        soc=device.soc,
        clock_hz=device.cpu.clock_hz,
        sustained_clock_hz=device.cpu.sustained_clock_hz,
        bandwidth_bytes_per_second=device.memory.bandwidth_bytes_per_second if device.memory else None,
        idle_watts=power.idle_watts if power else None,
        load_watts=power.load_watts if power else None,
    )


def _cancel(cancels: Mapping[str, threading.Event], *, but: str | None = None) -> None:
    for name, cancel in cancels.items():
        if name != but:
            cancel.set()


def _finish(job: Job, future: Future[Outcome]) -> Failure | None:
    """Write how the job ended, and how the model failed in it if it did. A job that was cancelled leaves no outcome."""
    try:
        outcome = future.result()
    except Cancelled:
        return None
    rundir.require_room(job.run_dir)
    rundir.write_outcome(job.run_dir, outcome)
    report, phases = rundir.read_runner_report(job.run_dir), rundir.read_phases(job.run_dir)
    if outcome.signal == signal.SIGILL:
        describe_fault(job.run_dir, job.image.root)
    if job.counting is not None:
        describe_code(job.run_dir, report, job.image.root)
        note_reached(job.run_dir, job.image.root)
    return find_failure(outcome, report, phases, job.memory_limit_bytes)
