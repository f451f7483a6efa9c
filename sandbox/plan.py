"""What exactly will run: request, model, device and image become jobs. No job is started here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .device import DeviceSpec, OsChoice
from .engines.base import (
    COUNTS,
    FAULT,
    GUEST_CLOCK_LIBRARY,
    GUEST_FAULT_LIBRARY,
    GUEST_PLUGIN,
    GUEST_RUN_DIR,
    Counting,
    EngineName,
    Job,
    Mount,
)
from .errors import DataFileError, UsageError
from .graph import ModelGraph, Tensor
from .image.store import BuiltImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

JobName = Literal["latency", "operators", "heap", "one-thread"]
JOB_NAMES: tuple[JobName, ...] = ("latency", "operators", "heap")
ONE_THREAD: JobName = "one-thread"
"""Beside a latency run of several threads: the same inference on one, which is the work without what threads do to find
it. Calibrations are fitted to such counts."""

_FORMATS: Mapping[str, str] = {"tflite-runtime": "tflite", "ai-edge-litert": "tflite", "onnxruntime": "onnx"}
_GUEST_CODE, _GUEST_MODEL, _GUEST_NPZ = "/edge/guest", "/edge/model", "/edge/input.npz"
_REPEAT: Mapping[JobName, tuple[int, int]] = {"operators": (1, 1), "heap": (0, 1), ONE_THREAD: (1, 1)}
"""Warm-up and counted inferences of the other jobs. One is enough: instructions and allocations repeat."""
_FINE_TICK = (1000, 1)
"""A microsecond for each instruction: profilers inside the runtimes round to microseconds, and nothing is lost so."""
_CACHE_LINE_BYTES, _CACHE_WAYS = 64, 8
"""Of the cache model: all Cortex-A and Neoverse cores have such lines; associativities, 2 to 16, are in no spec."""
VALGRIND_PAGE_BYTES = 4096
"""valgrind 3.16 to 3.24 stop at an alignment assertion when QEMU shows pages larger than the host's."""
_MASSIF_OPTIONS = ("--depth=12", "--max-snapshots=200", "--detailed-freq=1000", "--threshold=0.3")


@dataclass(frozen=True, kw_only=True)
class ProfileRequest:
    """What the user asked for."""

    model: Path
    device: str
    runtime: str | None = None
    """``name`` or ``name@version``."""
    os: str | None = None
    engine: EngineName | Literal["auto", "qemu-system", "renode"] = "auto"
    threads: int = 1
    memory_bytes: int | None = None
    reserve_bytes: int = 0
    """Of the device's memory, for other programs."""
    swap: bool = False
    """Whether the swap that the device's OS sets up counts as memory."""
    inputs: str = "random"
    """``random``, ``zeros`` or the path of an .npz file."""
    seed: int = 0
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    timeout_seconds: float = 600.0
    isolated: bool = True
    delegates: bool = True
    """Whether the runtime may apply the delegates that it applies by itself."""
    caches: bool = False
    """Whether to model the device's data caches beside counting."""
    jobs: tuple[JobName, ...] = JOB_NAMES
    """What to run. What a job that was left out would have told is unavailable."""
    inferences: tuple[int, int] = (1, 5)
    """Of the latency job: those before the clock starts, and those that are timed."""
    reference_kernels: bool = False
    """Whether to run kernels that were written to be right, not fast. For a comparison of outputs."""
    tensors: tuple[int, ...] = ()
    """TFLite: tensors inside the model to keep beside its outputs."""
    parity: bool = False
    """Whether the outputs are compared with those of other builds afterwards."""
    latency_budget_seconds: float | None = None
    """The longest an inference may take on the device, if that is a question."""
    calibration: Path | None = None
    """A calibration to use instead of the shipped ones."""
    mirror: str | None = None
    tflm: Path | None = None
    """Microcontrollers: a folder with TFLM's static library and headers, to run the model on the emulated core too."""
    renode: str | None = None
    """Microcontrollers: the Renode to use, a program or ``docker``; None for what this host has."""


def choose_runtime(requested: str | None, graph: ModelGraph, offered: tuple[str, ...]) -> tuple[str, str | None]:
    """(runtime name, version or None for the locked one). Raises `UsageError` naming what fits."""
    fitting = [name for name in offered if _FORMATS[name] == graph.format]
    if requested is None:
        if not fitting:
            raise UsageError(
                f"this image has no runtime for {graph.format} models",
                hint="choose another --os; it has: " + ", ".join(offered),
            )
        return fitting[0], None
    name, _, version = requested.partition("@")
    if name not in _FORMATS:
        raise UsageError(f"unknown runtime {name!r}", hint="known: " + ", ".join(_FORMATS))
    if _FORMATS[name] != graph.format:
        raise UsageError(
            f"{name} does not run {graph.format} models",
            hint="use " + (" or ".join(fitting) or f"an image with a runtime for {graph.format}"),
        )
    return name, version or None


def resolve_shapes(graph: ModelGraph, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Full shapes of the inputs that ``shapes`` names or that have open dimensions.

    An open batch dimension of a TFLite model is 1: that is what the file itself holds and the runtime allocates.
    Raises `UsageError` for wrong names and ranks, and for every other dimension that is left open.
    """
    hint = "inputs: " + _describe(graph.inputs)
    unknown = sorted(set(shapes) - {tensor.name for tensor in graph.inputs})
    if unknown:
        raise UsageError(f"--shape {unknown[0]}: the model has no such input", hint=hint)
    resolved = {}
    for tensor in graph.inputs:
        shape = shapes.get(tensor.name)
        if shape is None:
            if all(isinstance(size, int) for size in tensor.shape):
                continue
            shape = _with_batch_of_one(tensor, graph)
        elif len(shape) != len(tensor.shape):
            problem = f"{len(shape)} dimensions given, the model has {len(tensor.shape)}"
            raise UsageError(f"--shape {tensor.name}: {problem}", hint=hint)
        elif graph.format == "onnx" and not _fits(tensor, shape):
            raise UsageError(f"--shape {tensor.name}: the model fixes other sizes", hint=hint)
        resolved[tensor.name] = shape
    return resolved


def _fits(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    return all(given == own for own, given in zip(tensor.shape, shape, strict=True) if isinstance(own, int))


def _with_batch_of_one(tensor: Tensor, graph: ModelGraph) -> tuple[int, ...]:
    sizes = list(tensor.shape)
    if graph.format == "tflite" and sizes and sizes[0] is None:
        sizes[0] = 1
    known = tuple(size for size in sizes if isinstance(size, int))
    if len(known) == len(sizes):
        return known
    example = ",".join(str(size) if isinstance(size, int) else "1" for size in sizes)
    raise UsageError(
        f"input {_describe([tensor])} has dimensions that are only known at run time",
        hint=f"give them: --shape {tensor.name}={example}",
    )


def check_npz(path: Path, graph: ModelGraph, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `UsageError` unless the .npz holds an array of the right name, shape and dtype for every input."""
    arrays = load_npz(path, option="--input")
    if len(arrays) == 1 and len(graph.inputs) == 1:
        arrays = {graph.inputs[0].name: next(iter(arrays.values()))}
    for tensor in graph.inputs:
        array = arrays.get(tensor.name)
        if array is None:
            raise UsageError(
                f"--input {path}: no array named {tensor.name!r}",
                hint=f"it has {', '.join(arrays) or 'none'}; the model wants {_describe(graph.inputs)}",
            )
        shape = shapes.get(tensor.name, tensor.shape)
        if tuple(array.shape) != tuple(shape) or str(array.dtype) != tensor.dtype:
            raise UsageError(
                f"--input {path}: {tensor.name} is {array.dtype} {list(array.shape)}",
                hint=f"the model wants {tensor.dtype} {list(shape)}",
            )


def load_npz(path: Path, *, option: str) -> dict[str, NDArray[Any]]:
    """The arrays in a user's .npz file, by name. Raises `UsageError`, which names the option."""
    import zipfile  # noqa: PLC0415  # NumPy is imported only when an .npz was given
    import zlib  # noqa: PLC0415

    import numpy as np  # noqa: PLC0415

    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (
        *(OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError),
        *(AttributeError, TypeError),  # one bare array
        MemoryError,  # of a size that only a damaged file has
    ) as error:
        raise UsageError(
            f"{option} {path}: not a readable .npz file ({error})", hint="write it with numpy.savez"
        ) from error


def plan_jobs(
    request: ProfileRequest,
    *,
    graph: ModelGraph,
    shapes: Mapping[str, tuple[int, ...]],
    device: DeviceSpec,
    os: OsChoice,
    image: BuiltImage,
    runtime: tuple[str, str],
    limit_bytes: int,
    run_dir: Path,
    guest_code: Path,
    identity: Path,
    emulated: bool,
    native_parts: tuple[Path, Path, Path],
) -> tuple[Job, ...]:
    """The jobs of a profile, independent of one another; their folders below ``run_dir`` are made and filled.

    ``native_parts``: the plugin for this host's emulator, the clock and the fault library for the guest.
    """
    name, version = runtime
    model = f"{_GUEST_MODEL}/{graph.path.name}"
    mounts = [Mount(source=guest_code, target=_GUEST_CODE), Mount(source=graph.path.absolute(), target=model)]
    for extra in graph.external_files:
        relative = extra.absolute().relative_to(graph.path.absolute().parent)
        mounts.append(Mount(source=extra.absolute(), target=f"{_GUEST_MODEL}/{relative}"))
    if request.inputs not in {"random", "zeros"}:
        mounts.append(Mount(source=Path(request.inputs).absolute(), target=_GUEST_NPZ))
    mounts.append(Mount(source=identity / "meminfo", target="/proc/meminfo"))
    if emulated:
        mounts.append(Mount(source=identity / "cpuinfo", target="/proc/cpuinfo"))
        mounts.append(Mount(source=identity / "cpu", target="/sys/devices/system/cpu"))
    mounts += [
        Mount(source=path, target=target)
        for path, target in zip(native_parts, (GUEST_PLUGIN, GUEST_CLOCK_LIBRARY, GUEST_FAULT_LIBRARY), strict=True)
    ]
    python = f"/usr/bin/python{image.spec.python}"
    env = {"PYTHONPATH": f"/opt/{name}-{version}", "HOME": "/tmp", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
    env["PATH"] = "/usr/bin:/bin"
    if not emulated:  # else the engine has the emulator preload it
        env |= {"LD_PRELOAD": GUEST_FAULT_LIBRARY, "EDGE_FAULT": f"{GUEST_RUN_DIR}/{FAULT}"}
    jobs = []
    # an estimate needs to know the operators' kernels, too: without them this count is for nothing
    beside = emulated and request.threads > 1 and {"latency", "operators"} <= set(request.jobs)
    for job_name in (*request.jobs, ONE_THREAD) if beside else request.jobs:
        folder = run_dir / job_name
        (folder / COUNTS).mkdir(parents=True, exist_ok=True)
        counting = _counting(job_name, device, native_parts, caches=request.caches) if emulated else None
        _write_request(
            folder,
            job_name,
            request,
            shapes=shapes,
            format_and_runtime=(graph.format, name),
            model=model,
            counted=counting is not None,
        )
        argv = (python, "-B", f"{_GUEST_CODE}/runner.py", f"{GUEST_RUN_DIR}/request.json")
        valgrind, valgrind_env = _massif(image) if job_name == "heap" else ((), {})
        jobs.append(
            Job(
                name=job_name,
                image=image,
                argv=(*valgrind, *argv),
                env={**env, **valgrind_env},
                run_dir=folder,
                mounts=tuple(mounts),
                cpu=os.emulated_cpu,
                page_size_bytes=VALGRIND_PAGE_BYTES if job_name == "heap" else os.page_size_bytes,
                hostname=device.id,
                # valgrind's own memory is no part of the model's: a heap profile runs without the device's limit
                memory_limit_bytes=None if job_name == "heap" else limit_bytes,
                timeout_seconds=request.timeout_seconds,
                counting=counting,
                stops_at_gate=job_name != "heap",
            )
        )
    return tuple(jobs)


def core_tick(device: DeviceSpec) -> tuple[int, int]:
    """Nanoseconds of one cycle of the device's core, as numerator and denominator: the guest's clock takes one cycle
    for each instruction until a calibration knows better."""
    tick = Fraction(10**9, device.cpu.clock_hz)
    return tick.numerator, tick.denominator


def _counting(
    job: JobName, device: DeviceSpec, native_parts: tuple[Path, Path, Path], *, caches: bool
) -> Counting | None:
    """The latency run keeps the host's clock, on which its memory is sampled; a heap profile counts nothing."""
    if job == "heap":
        return None
    plugin, clock_library, fault_library = native_parts
    operators = job == "operators"
    return Counting(
        plugin=plugin,
        clock_library=clock_library,
        clock=operators,
        tick_ns=_FINE_TICK if operators else core_tick(device),
        caches=_caches(device) if operators and caches else None,
        fault_library=fault_library,
    )


def _caches(device: DeviceSpec) -> str:
    """The device's data caches for the plugin. Raises `DataFileError` when the spec has none."""
    cpu = device.cpu
    if cpu.l1d_bytes is None:
        raise DataFileError(f"{device.id}: cpu.l1d_bytes is not known", hint="leave --caches away, or add the field")
    sizes = [size for size in (cpu.l1d_bytes, cpu.l2_bytes, cpu.l3_bytes) if size is not None]
    return ":".join(str(part) for part in (_CACHE_LINE_BYTES, *(f"{size}:{_CACHE_WAYS}" for size in sizes)))


def _write_request(
    folder: Path,
    job: JobName,
    request: ProfileRequest,
    *,
    shapes: Mapping[str, tuple[int, ...]],
    format_and_runtime: tuple[str, str],
    model: str,
    counted: bool,
) -> None:
    warmup, repeat = _REPEAT.get(job, request.inferences)
    own_input = request.inputs not in {"random", "zeros"}
    document = {
        "schema": 1,
        "model": model,
        "format": format_and_runtime[0],
        "runtime": format_and_runtime[1],
        "threads": 1 if job == ONE_THREAD else request.threads,
        "warmup": warmup,
        "repeat": repeat,
        "seed": request.seed,
        "inputs": "npz" if own_input else request.inputs,
        "npz": _GUEST_NPZ if own_input else None,
        "shapes": {name: list(shape) for name, shape in shapes.items()},
        "profile": "latency" if job == ONE_THREAD else job,
        "delegates": "reference" if request.reference_kernels else "default" if request.delegates else "none",
        "tensors": list(request.tensors),
        "counted": counted,
        "clock_library": GUEST_CLOCK_LIBRARY,
        "run_dir": GUEST_RUN_DIR,
    }
    (folder / "request.json").write_text(json.dumps(document, indent=1) + "\n")


def _massif(image: BuiltImage) -> tuple[tuple[str, ...], dict[str, str]]:
    """The argv prefix and environment that run a program under massif.

    ``/usr/bin/valgrind`` only finds its tool and starts it by ``execve``, which an emulated guest without binfmt
    cannot; the tool itself is a static program that can be started directly.
    """
    tool = next(iter(sorted(image.root.glob("usr/libexec/valgrind/massif-*-linux"))), None) or next(
        iter(sorted(image.root.glob("usr/lib/*/valgrind/massif-*-linux"))), None
    )
    if tool is None:
        raise DataFileError(f"image {image.spec.id} has no valgrind", hint="add it to `packages` in its image.toml")
    guest = Path("/") / tool.relative_to(image.root)
    output = f"--massif-out-file={GUEST_RUN_DIR}/massif.out"
    environment = {"VALGRIND_LIB": str(guest.parent), "VALGRIND_LAUNCHER": "/usr/bin/valgrind"}
    return (str(guest), *_MASSIF_OPTIONS, output), environment


def _describe(tensors: tuple[Tensor, ...] | list[Tensor]) -> str:
    return ", ".join(f"{t.name} {t.dtype} {[s if isinstance(s, int) else '?' for s in t.shape]}" for t in tensors)
