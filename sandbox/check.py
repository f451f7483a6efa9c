"""What a model file and a device spec alone tell: does it fit? Nothing is run, built or downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from .budget import MemoryBudget, budget
from .check_result import (
    CheckedDevice,
    CheckedModel,
    CheckedRuntime,
    CheckResult,
    MemoryPart,
    PredictedMemory,
)
from .compatibility import Target, examine
from .compatibility.facts import load_index
from .compatibility.install import newest_version
from .compatibility_checks import static_checks
from .device import DeviceSpec, OsChoice, load_device, select_os
from .errors import UsageError
from .graph import ModelGraph, read_model
from .image.spec import Lock, load_lock, load_spec
from .metrics import Metric, Quantity, Unavailable
from .microcontroller import check as microcontroller
from .microcontroller.board import is_microcontroller
from .plan import ProfileRequest, choose_runtime, resolve_shapes
from .record import Image, TensorRecord
from .resources import cache_directory, data_directory
from .result import OperatorMemory, Tool
from .static.baseline import Baseline, find_baseline, load_baselines
from .static.memory import MemoryPlan, StepMemory, plan_for
from .verdict import judge, memory_check


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """What the user asked for."""

    model: Path
    device: str
    runtime: str | None = None
    """``name`` or ``name@version``."""
    os: str | None = None
    memory_bytes: int | None = None
    reserve_bytes: int = 0
    """Of the device's memory, for other programs."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    accelerators: tuple[str, ...] = ()
    """Ids of accelerators to compare the model's operators with."""


def check(request: CheckRequest) -> CheckResult:
    """Judge a model by its file. Raises `UsageError` and `DataFileError` as `pipeline.prepare` does."""
    if is_microcontroller(request.device, data_directory("device_specs")):
        if request.accelerators:
            raise UsageError("--accelerator is for Linux devices", hint="leave it away for a microcontroller")
        return microcontroller.check(_as_profile(request))
    graph = read_model(request.model)
    device = load_device(request.device, data_directory("device_specs"))
    os = select_os(device, request.os)
    images = data_directory("images")
    spec, lock = load_spec(os.image, images), load_lock(os.image, images)
    name, wanted = choose_runtime(request.runtime, graph, tuple(runtime.name for runtime in spec.runtimes))
    build = (name, wanted or next(iter(lock.runtime_versions(name)), None) or _newest(name))
    shapes = resolve_shapes(graph, request.shapes)
    plan = plan_for(graph, shapes, runtime=name, architecture=spec.architecture, version=build[1])
    limit = budget(device, os, request.memory_bytes, request.reserve_bytes)
    memory = _predicted(graph, plan, _baseline(os, lock, build, images), limit)
    compatibility = examine(
        graph,
        Target(device=device, os=os, spec=spec, lock=lock, runtime=build[0], version=build[1]),
        directory=data_directory("compatibility"),
        cache=cache_directory(),
        accelerators=request.accelerators,
        shapes=shapes,
    )
    checks = (
        memory_check(memory.peak, limit.available, limit.limit_bytes, None, limit_source=limit.source, enforced=False),
        *static_checks(compatibility),
    )
    return CheckResult(
        tool=Tool(version=version("edge-sandbox")),
        model=_model(graph),
        device=_device(device, os),
        image=Image(id=spec.id, title=spec.title, digest=lock.digest),
        runtime=CheckedRuntime(name=build[0], version=build[1]),
        memory=memory,
        checks=checks,
        verdict=judge(checks),
        compatibility=compatibility,
    )


def _as_profile(request: CheckRequest) -> ProfileRequest:
    return ProfileRequest(
        model=request.model,
        device=request.device,
        runtime=request.runtime,
        os=request.os,
        memory_bytes=request.memory_bytes,
        reserve_bytes=request.reserve_bytes,
        shapes=request.shapes,
    )


def _newest(runtime: str) -> str:
    """For an image that has no such runtime: the newest version there is, of which the findings say why it is not."""
    index = load_index(runtime, data_directory("compatibility"))
    return newest_version(index) if index else "0"


def _baseline(os: OsChoice, lock: Lock, build: tuple[str, str], images: Path) -> Baseline | str:
    return find_baseline(
        load_baselines(os.image, images),
        runtime=build[0],
        version=build[1],
        page_size_bytes=os.page_size_bytes,
        lock=lock.digest,
    )


def _predicted(graph: ModelGraph, plan: MemoryPlan, baseline: Baseline | str, limit: MemoryBudget) -> PredictedMemory:
    open_ = plan.open or "the plan is empty"
    runtime: Quantity = (
        Unavailable(unavailable=baseline)
        if isinstance(baseline, str)
        else _size(baseline.smallest_model_bytes, "emulated run of a model of a few kB")
    )
    parts = [MemoryPart(name=part.name, size=_size(part.size_bytes, part.source)) for part in plan.parts]
    peak: Quantity
    if plan.activations_bytes is None:
        peak = Unavailable(unavailable=open_)
    elif isinstance(baseline, str):
        peak = Unavailable(unavailable=baseline)
    else:
        total = baseline.smallest_model_bytes + sum(part.size_bytes for part in plan.parts)
        peak = _size(total, "sum of the parts")
    headroom: Quantity = Unavailable(unavailable="the peak or the available memory is not known")
    if isinstance(peak, Metric) and isinstance(limit.available, Metric):
        headroom = _size(limit.available.value - peak.value, "available less peak")
    top = plan.peak_step
    return PredictedMemory(
        peak=peak,
        available=limit.available,
        headroom=headroom,
        weights=_size(graph.weights_bytes, "constant data in the model file"),
        inputs=_known(plan.inputs_bytes, "an input has no fixed size"),
        outputs=_known(plan.outputs_bytes, "an output has no fixed size"),
        activations=_known(plan.activations_bytes, open_),
        runtime_baseline=runtime,
        parts=(MemoryPart(name="runtime", size=runtime), *parts),
        peak_operator=_operator(top) if top else None,
        peak_margin=_known(plan.margin_bytes, plan.open or "there is only one operator"),
        operators=tuple(_operator(step) for step in plan.steps),
    )


def _operator(step: StepMemory) -> OperatorMemory:
    return OperatorMemory(
        index=step.index,
        type=step.type,
        name=step.name,
        live=_size(step.live_bytes, "tensors alive in this step"),
        workspace=_size(step.workspace_bytes, "temporaries of the kernel"),
    )


def _size(value: float, source: str) -> Metric:
    return Metric(value=value, unit="byte", mode="predicted", source=source)


def _known(value: int | None, reason: str) -> Quantity:
    return Unavailable(unavailable=reason) if value is None else _size(value, "shapes in the model file")


def _model(graph: ModelGraph) -> CheckedModel:
    return CheckedModel(
        path=str(graph.path),
        format=graph.format,
        size_bytes=graph.size_bytes,
        inputs=tuple(TensorRecord(name=t.name, dtype=t.dtype, shape=t.shape) for t in graph.inputs),
        outputs=tuple(TensorRecord(name=t.name, dtype=t.dtype, shape=t.shape) for t in graph.outputs),
    )


def _device(device: DeviceSpec, os: OsChoice) -> CheckedDevice:
    return CheckedDevice(id=device.id, name=device.name, page_size_bytes=os.page_size_bytes, ram_bytes=device.ram_bytes)
