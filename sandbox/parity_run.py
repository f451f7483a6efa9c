"""``--parity``: the same inputs through the device's build, this host's build and a third, and what differs.

The host's sides run an x86-64 image on this host's own core, in the sandbox of the native engine: the model is as
little trusted there as in the device's. They write ``parity.json`` into the run folder, which the analysis reads.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import native, pipeline, rundir
from .analysis import analyse
from .engines.guard import Guard
from .engines.native import NativeEngine
from .errors import UsageError
from .graph import ModelGraph, read_dataflow, read_model
from .graph.dataflow import Step
from .image.build import ImageBuilder
from .image.emulator import host_architecture
from .image.wheels import NoSuchWheel
from .metrics import Mode
from .parity import FLOAT_TOLERANCES, Departure, Parity, Side, SideName, compare, difference
from .pipeline import Plan
from .plan import ProfileRequest, load_npz, plan_jobs, resolve_shapes
from .profilers.outputs import OUTPUTS, read_arrays
from .result import Result
from .verdict import find_failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .parity import Arrays

PARITY = "parity"
_HOST_IMAGE = "bookworm-amd64"
_HOST_MEMORY_BYTES = 4 << 30
"""Of a side on this host, which is no device: enough for the model, too little to hurt."""
_COMPARED: tuple[tuple[SideName, SideName], ...] = (
    ("device", "host"),
    ("device", "device_plain"),
    ("device", "given"),
    ("device_plain", "given"),
    ("host", "given"),
    ("device", "reference"),
    ("device_plain", "reference"),
    ("host", "reference"),
)


@dataclass(frozen=True, kw_only=True)
class ParityRequest:
    """What to compare beside the device's outputs and the host's."""

    operators: bool = False
    """Whether to look for the first operator that departs."""
    reference: Path | None = None
    """Outputs that are right, as .npz; without it the reference kernels decide."""


@dataclass(frozen=True, kw_only=True)
class _Ran:
    """One side and its arrays: the model's outputs, then the tensors inside that were asked for."""

    side: Side
    arrays: Arrays | str


def profile(
    request: ProfileRequest,
    run_dir: Path,
    builder: ImageBuilder,
    protector: Guard,
    cancel: threading.Event | None = None,
    *,
    parity: ParityRequest,
) -> Result:
    """Profile as `pipeline.profile` does, then compare. Raises what that raises, and `UsageError` for ``reference``."""
    graph = read_model(request.model)
    given = None if parity.reference is None else _given(parity.reference, graph, reshaped=bool(request.shapes))
    request = replace(request, parity=True)
    result = pipeline.profile(request, run_dir, builder, protector, cancel)
    if request.engine == "replay" or any(check.status == "fail" and check.id != "latency" for check in result.checks):
        return result
    with rundir.on_disk(run_dir):
        found = _compare(request, run_dir, builder, protector, cancel, parity=parity, graph=graph, given=given)
        (run_dir / rundir.PARITY).write_text(found.model_dump_json(indent=1) + "\n")
    return analyse(run_dir)


def _compare(
    request: ProfileRequest,
    run_dir: Path,
    builder: ImageBuilder,
    protector: Guard,
    cancel: threading.Event | None,
    *,
    parity: ParityRequest,
    graph: ModelGraph,
    given: Arrays | None,
) -> Parity:
    steps = _steps(graph, request) if parity.operators else ()
    once = replace(request, jobs=("latency",), inferences=(0, 1), caches=False)
    plain = replace(once, delegates=False, tensors=_positions(steps) if graph.format == "tflite" else ())
    runs = _Runs(graph=graph, folder=run_dir / PARITY, builder=builder, protector=protector, cancel=cancel, steps=steps)
    main = pipeline.prepare(once, _made(run_dir / PARITY / "device"), builder, protector)
    what = f"{main.runtime[0]} {main.runtime[1]}, {main.image.spec.id}"
    sides = [_Ran(side=Side(side="device", what=what), arrays=_arrays(run_dir / "latency"))]
    if graph.format == "tflite" or parity.operators:
        inside = "no delegates" if graph.format == "tflite" else "every result kept"
        sides.append(runs.device(plain, f"{what}, {inside}"))
    host_plan, why = runs.host_plan(once, main)
    if host_plan is None:
        sides += [
            _Ran(side=Side(side=name, what="not run", unavailable=why), arrays=why) for name in ("host", "reference")
        ]
    else:
        where = f"{host_plan.runtime[0]} {host_plan.runtime[1]}, {host_plan.image.spec.id}"
        sides.append(runs.host("host", host_plan, once, where))
        reference = replace(once, reference_kernels=True, tensors=plain.tensors)
        kernels = "reference evaluator of onnx" if graph.format == "onnx" else f"reference kernels of {where}"
        sides.append(runs.host("reference", host_plan, reference, kernels))
    if given is not None and parity.reference is not None:
        sides.append(_Ran(side=Side(side="given", what=parity.reference.name), arrays=given))
    mode: Mode = "measured" if main.engine.name == "native" else "emulated"
    outputs = {ran.side.side: _first(ran.arrays, len(graph.outputs)) for ran in sides}
    pairs = [pair for pair in _COMPARED if set(pair) <= outputs.keys()]
    first, why_not = _first_departure(sides, steps, graph, mode) if parity.operators else (None, None)
    return Parity(
        inputs=f"random (seed {request.seed})" if request.inputs == "random" else Path(request.inputs).name,
        sides=tuple(_told(ran) for ran in sides),
        comparisons=tuple(compare(side, against, outputs, mode=mode) for side, against in pairs),
        first_departure=first,
        first_departure_unavailable=why_not,
    )


@dataclass(frozen=True, kw_only=True)
class _Runs:
    """What all runs of a comparison share."""

    graph: ModelGraph
    folder: Path
    builder: ImageBuilder
    protector: Guard
    cancel: threading.Event | None
    steps: tuple[Step, ...]

    def device(self, request: ProfileRequest, what: str) -> _Ran:
        """The device's build without delegates, with the tensors inside."""
        plan = pipeline.prepare(request, _made(self.folder / "device_plain"), self.builder, self.protector)
        return self._run("device_plain", plan, what)

    def host_plan(self, request: ProfileRequest, main: Plan) -> tuple[Plan | None, str]:
        """The same on this host, or why that cannot be."""
        architecture = host_architecture()
        image_id = _HOST_IMAGE if architecture == "amd64" else main.os.image
        try:
            image = self.builder.with_runtime(image_id, *main.runtime)
            runtime = main.runtime
        except NoSuchWheel:
            image = self.builder.with_runtime(image_id, main.runtime[0], None)
            runtime = (main.runtime[0], image.lock.runtime_versions(main.runtime[0])[0])
        engine = NativeEngine(main.emulator, self.protector, image.spec.architecture)
        problem = engine.probe() if request.isolated else None
        if not request.isolated:
            return None, "with --no-isolation nothing is run on this host"
        if problem is not None:
            return None, f"{problem.reason} (next: {problem.hint})"
        return replace(main, image=image, runtime=runtime, engine=engine), ""

    def host(self, name: SideName, plan: Plan, request: ProfileRequest, what: str) -> _Ran:
        """One side on this host's own core."""
        folder = _made(self.folder / name)
        architecture = plan.image.spec.architecture
        jobs = plan_jobs(
            request,
            graph=self.graph,
            shapes=resolve_shapes(self.graph, request.shapes),
            device=plan.device,
            os=plan.os,
            image=plan.image,
            runtime=plan.runtime,
            limit_bytes=max(plan.budget.limit_bytes, _HOST_MEMORY_BYTES),
            run_dir=folder,
            guest_code=self.builder.guest_code(plan.image),
            identity=self.folder / "device" / rundir.IDENTITY,
            emulated=False,
            native_parts=(
                native.plugin(host_architecture()),
                native.clock_library(architecture),
                native.fault_library(architecture),
            ),
        )
        return self._run(name, replace(plan, jobs=jobs, request=request), what)

    def _run(self, name: SideName, plan: Plan, what: str) -> _Ran:
        (job,) = plan.jobs
        if self.steps and self.graph.format == "onnx" and name != "host":
            model = _with_outputs(self.graph, self.steps, self.folder / f"{name}.onnx")
            own = self.graph.path.absolute()
            mounts = tuple(replace(m, source=model) if m.source == own else m for m in job.mounts)
            plan = replace(plan, jobs=(replace(job, mounts=mounts),))
        pipeline.run_jobs(plan, self.builder.progress, self.cancel)
        found = _arrays(job.run_dir)
        return _Ran(side=Side(side=name, what=what), arrays=found)


def _arrays(job_dir: Path) -> Arrays | str:
    """The arrays of a finished job, or how it failed."""
    outcome, report = rundir.read_outcome(job_dir), rundir.read_runner_report(job_dir)
    failure = find_failure(outcome, report, rundir.read_phases(job_dir), None)
    if failure is not None:
        return failure.reason
    try:
        return read_arrays(job_dir / OUTPUTS)
    except ValueError as error:
        return str(error)


def _first(arrays: Arrays | str, count: int) -> Arrays | str:
    return arrays if isinstance(arrays, str) else arrays[:count]


def _told(ran: _Ran) -> Side:
    return ran.side.model_copy(update={"unavailable": ran.arrays}) if isinstance(ran.arrays, str) else ran.side


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _given(path: Path, graph: ModelGraph, *, reshaped: bool = False) -> Arrays:
    """The outputs in the file, in the model's order. Raises `UsageError`, before anything is run.

    ``reshaped``: inputs have other shapes than in the file, so its outputs may have too.
    """
    arrays = load_npz(path, option="--parity-reference")
    if len(arrays) == 1 and len(graph.outputs) == 1:
        arrays = {graph.outputs[0].name: next(iter(arrays.values()))}
    missing = [tensor.name for tensor in graph.outputs if tensor.name not in arrays]
    if missing:
        raise UsageError(
            f"--parity-reference {path}: no array named {missing[0]!r}",
            hint=f"it has {', '.join(arrays) or 'none'}; the model's outputs: "
            + ", ".join(tensor.name for tensor in graph.outputs),
        )
    for tensor in graph.outputs:
        array = arrays[tensor.name]
        wanted = None if reshaped else tensor.shape
        if array.dtype.kind not in "biufc" or (wanted is not None and not _has_shape(array, wanted)):
            shape = f" {list(wanted)}" if wanted is not None else ""
            raise UsageError(
                f"--parity-reference {path}: {tensor.name!r} is {array.dtype} {list(array.shape)}, "
                f"the model gives {tensor.dtype}{shape}",
                hint="write the outputs as the model gives them, with numpy.savez",
            )
    return [(tensor.name, _as_floats(arrays[tensor.name], tensor.dtype)) for tensor in graph.outputs]


def _has_shape(array: NDArray[Any], shape: Sequence[int | str | None]) -> bool:
    """Whether the array could be of that shape; sizes that the file leaves open fit any."""
    if len(array.shape) != len(shape):
        return False
    sizes = zip(array.shape, shape, strict=True)
    return all(size == has for has, size in sizes if isinstance(size, int) and size >= 0)


def _as_floats(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Floats of another precision as the model's; anything else stays, and is compared as it is."""
    return array.astype(dtype) if array.dtype.kind == "f" and dtype in FLOAT_TOLERANCES else array


def _steps(graph: ModelGraph, request: ProfileRequest) -> tuple[Step, ...]:
    """The operators of the main graph, in order of execution."""
    return read_dataflow(graph, resolve_shapes(graph, request.shapes))[0].steps


def _positions(steps: tuple[Step, ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(position for step in steps for position in step.outputs))


def _with_outputs(graph: ModelGraph, steps: tuple[Step, ...], path: Path) -> Path:
    """The ONNX model with the results of all operators as outputs behind its own.

    The file gets a message appended: protobuf merges messages that follow one another, lists by joining them, so
    nothing of an untrusted or large model is parsed here.
    """
    import shutil  # noqa: PLC0415

    from onnx import GraphProto, ModelProto, ValueInfoProto  # noqa: PLC0415

    own = {tensor.name for tensor in graph.outputs}
    flow = read_dataflow(graph, {})[0]
    names = [flow.values[position].name for position in _positions(steps)]
    extra = [ValueInfoProto(name=name) for name in names if name and name not in own]
    shutil.copyfile(graph.path, path)
    with path.open("ab") as file:
        file.write(ModelProto(graph=GraphProto(output=extra)).SerializeToString())
    return path


def _first_departure(
    sides: list[_Ran], steps: tuple[Step, ...], graph: ModelGraph, mode: Mode
) -> tuple[Departure | None, str | None]:
    """The first operator of the device's own kernels whose result differs from the reference kernels'."""
    by_name: Mapping[SideName, Arrays | str] = {ran.side.side: ran.arrays for ran in sides}
    ours, theirs = by_name.get("device_plain", "it was not run"), by_name.get("reference", "it was not run")
    for arrays in (ours, theirs):
        if isinstance(arrays, str):
            return None, arrays
    assert not isinstance(ours, str)
    assert not isinstance(theirs, str)
    one, other = dict(ours), dict(theirs)
    values = read_dataflow(graph, {})[0].values
    for step in steps:
        for position in step.outputs:
            key = f"tensor {position}" if graph.format == "tflite" else values[position].name
            if key in one and key in other:
                found = difference(values[position].name or key, one[key], other[key], mode=mode)
                if found.departs:
                    departure = Departure(
                        index=step.index, type=step.type, name=step.name, against="reference", difference=found
                    )
                    return departure, None
    return None, None
