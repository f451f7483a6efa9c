"""Level 1: TFLM's own interpreter runs the model on this host, shut in as every untrusted model is."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox import rundir
from sandbox.engines.base import GUEST_RUN_DIR, Engine, Job, Mount, Outcome
from sandbox.engines.guard import Guard
from sandbox.engines.native import NativeEngine
from sandbox.engines.unisolated import UnisolatedEngine
from sandbox.errors import HostError
from sandbox.graph import ModelGraph
from sandbox.image.build import ImageBuilder
from sandbox.image.emulator import host_architecture
from sandbox.image.store import BuiltImage
from sandbox.metrics import Unavailable
from sandbox.plan import ProfileRequest

from .arena import HostArena
from .outcome import Output
from .record import ARENA_JOB

IMAGE = "tflm-amd64"
RUNTIME = "tflite-micro"
_GUEST_CODE, _GUEST_MODEL, _GUEST_INPUT = "/edge/guest", "/edge/model/model.tflite", "/edge/input.npz"
_MEMORY_LIMIT_BYTES = 2 << 30
"""Of the host: the largest arena that is tried, Python and NumPy fit several times."""
_LONGEST = 200
"""Characters of what TFLM says."""
OTHER_HOST = "TFLM's wheel is for x86-64 hosts"


def host_engine(builder: ImageBuilder, protector: Guard, *, isolated: bool) -> Engine | None:
    """What runs TFLM here, or None on a host that its wheel is not made for. Raises `HostError`."""
    if host_architecture() != "amd64":
        return None
    emulator = builder.emulator()
    engine: Engine = NativeEngine(emulator, protector, "amd64") if isolated else UnisolatedEngine(emulator, protector)
    problem = engine.probe()
    if problem is not None:
        raise HostError(f"engine {engine.name}: {problem.reason}", hint=problem.hint)
    return engine


def arena_job(request: ProfileRequest, graph: ModelGraph, image: BuiltImage, guest_code: Path, run_dir: Path) -> Job:
    """The job; its folder below ``run_dir`` is made and filled."""
    folder = run_dir / ARENA_JOB
    folder.mkdir(parents=True, exist_ok=True)
    own_input = request.inputs not in {"random", "zeros"}
    document = {
        "schema": 1,
        "model": _GUEST_MODEL,
        "format": "tflite",
        "runtime": RUNTIME,
        "warmup": 0,
        "repeat": 1,
        "seed": request.seed,
        "inputs": "npz" if own_input else request.inputs,
        "npz": _GUEST_INPUT if own_input else None,
        "shapes": {},
        "run_dir": GUEST_RUN_DIR,
    }
    (folder / "request.json").write_text(json.dumps(document, indent=1) + "\n")
    mounts = [Mount(source=guest_code, target=_GUEST_CODE), Mount(source=graph.path.absolute(), target=_GUEST_MODEL)]
    if own_input:
        mounts.append(Mount(source=Path(request.inputs).absolute(), target=_GUEST_INPUT))
    return Job(
        name=ARENA_JOB,
        image=image,
        argv=(f"/usr/bin/python{image.spec.python}", "-B", f"{_GUEST_CODE}/runner.py", f"{GUEST_RUN_DIR}/request.json"),
        env={
            "PYTHONPATH": f"/opt/{RUNTIME}-{image.lock.runtime_versions(RUNTIME)[0]}",
            "HOME": "/tmp",
            "LC_ALL": "C.UTF-8",
            "PYTHONHASHSEED": "0",
            "PATH": "/usr/bin:/bin",
        },
        run_dir=folder,
        mounts=tuple(mounts),
        cpu="max",
        page_size_bytes=4096,
        hostname="tflm",
        memory_limit_bytes=_MEMORY_LIMIT_BYTES,
        timeout_seconds=request.timeout_seconds,
    )


def run_arena(engine: Engine, job: Job, cancel: threading.Event | None = None) -> Outcome:
    """Run it and write how it ended. Raises `Cancelled` once ``cancel`` is set."""
    # another thread's event may be shared by several runs: it is not this one's to set
    outcome = engine.run(job, cancel or threading.Event())
    rundir.require_room(job.run_dir)
    rundir.write_outcome(job.run_dir, outcome)
    return outcome


def read_arena(report: Mapping[str, Any] | None, version: str) -> HostArena | Unavailable:
    """What the job found; the child is not trusted, so every number is checked."""
    runtime = report.get("runtime") if report else None
    found = runtime.get("arena") if isinstance(runtime, dict) else None
    names = ("minimum", "total", "head", "tail")
    sizes = [found.get(name) for name in names] if isinstance(found, dict) else []
    numbers = [size for size in sizes if type(size) is int and 0 < size < 1 << 32]
    if len(numbers) != len(names) or numbers[2] + numbers[3] != numbers[1]:
        return Unavailable(unavailable="TFLM on this host left no figures of its arena")
    refusal = found.get("refusal") if isinstance(found, dict) else None
    return HostArena(
        minimum=numbers[0],
        recorded=numbers[1],
        head=numbers[2],
        tail=numbers[3],
        mode="measured",
        source=f"tflite-micro {version} on this 64-bit host",
        refusal=" ".join(refusal.split())[:_LONGEST] if isinstance(refusal, str) else None,
    )


def read_outputs(report: Mapping[str, Any] | None) -> tuple[Output, ...]:
    """What the model gave, by digest."""
    listed = report.get("outputs") if report else None
    found = []
    for row in listed if isinstance(listed, list) else []:
        if not isinstance(row, dict):
            continue
        name, dtype, shape, digest = (row.get(key) for key in ("name", "dtype", "shape", "sha256"))
        if isinstance(shape, list) and all(type(size) is int for size in shape) and isinstance(digest, str):
            found.append(Output(name=str(name), dtype=str(dtype), shape=tuple(shape), sha256=digest[:64]))
    return tuple(found)
