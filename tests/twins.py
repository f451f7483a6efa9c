"""Twins: an x86-64 process run natively, which knows its own peak, and the same one emulated.

``python -m tests.twins`` runs all models and writes docs/memory_twins.md. A host with AVX-512 runs other kernels than
the emulated core, which knows AVX2 at most: of the models here the weights are small, so that what these kernels pack
does not matter.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.bisection import next_trial
from sandbox.ceiling import overrun
from sandbox.engines.base import GUEST_RUN_DIR, Engine, Job, Mount, Outcome
from sandbox.engines.guard import guard
from sandbox.engines.local import LocalEngine
from sandbox.engines.native import NativeEngine

from . import host, zoo
from .record_runs import PROJECT

IMAGE = "bookworm-amd64"
TABLE = PROJECT / "docs" / "memory_twins.md"
TOLERANCE = 0.01
MODELS = (
    *("tiny_conv_int8.tflite", "tiny_conv_fp32.tflite", "tiny.onnx"),
    *(f"mobilenet_v1_{width}_{size}_int8.tflite" for width, size in ((0.25, 128), (0.25, 224), (0.5, 96))),
    *(f"mobilenet_v1_{width}_{size}_fp32.tflite" for width, size in ((0.25, 128), (0.25, 224), (0.5, 96))),
    *(f"mobilenet_v1_{width}_{size}_fp32.onnx" for width, size in ((0.25, 128), (0.5, 128), (0.5, 96))),
)
_FIXED = """
import ctypes, os, sys
personality, ADDR_NO_RANDOMIZE = ctypes.CDLL(None).personality, 0x40000
if not personality(0xFFFFFFFF) & ADDR_NO_RANDOMIZE:
    personality(ADDR_NO_RANDOMIZE)
    os.execv("/proc/self/exe", sys.orig_argv)
"""
"""Starts the native program anew where its addresses are not random, as they are not under QEMU: ONNX Runtime's heap
has a hole of 2 MB or none, as these happen to be."""
_ASK = """
import sys
sys.path.insert(0, "/edge/guest")
import runner
wait = runner.wait_for_last_reading
def say_and_wait(run_dir):
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            print(line, flush=True)
    wait(run_dir)
runner.wait_for_last_reading = say_and_wait
sys.exit(runner.main(["runner", "{run}/request.json"]))
"""
"""The run, and before its report what the kernel says of this very process."""
_HEAD = """# Twins: native and emulated memory

The same x86-64 program, run on an x86-64 host natively and under the emulator, in MB; written by
`python -m tests.twins`. The native peak is what the kernel tells that process of itself (`VmHWM`), without random
addresses, which make it differ by 2 MB from one run to the next. The least RAM is the
smallest limit under which it ends well, to 1 %: pages of files need none, for they can be dropped.

| model | native peak | emulated peak | apart | native least RAM | emulated least RAM | apart |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""


@dataclass(frozen=True)
class Twins:
    """Both engines, and a folder for models and runs."""

    native: Engine
    emulated: Engine
    folder: Path


@contextmanager
def twins_in(folder: Path) -> Iterator[Twins]:
    """The engines of this host."""
    emulator = host.emulator()
    with guard() as protector:
        yield Twins(NativeEngine(emulator, protector, "amd64"), LocalEngine(emulator, protector), folder)


def run(twins: Twins, engine: Engine, model: str, limit_bytes: int | None = None) -> Outcome:
    """One run of a model of the zoo."""
    path = twins.folder / model
    if not path.exists():
        path.write_bytes(zoo.make(model))
    image = host.builder().build(IMAGE)
    runtime = next(each for each in image.spec.runtimes if (each.name == "onnxruntime") == (path.suffix == ".onnx"))
    folder = twins.folder / f"run-{len(list(twins.folder.iterdir()))}"
    folder.mkdir()
    request = {
        "schema": 1,
        "model": f"/edge/model/{model}",
        "format": path.suffix[1:],
        "runtime": runtime.name,
        "run_dir": GUEST_RUN_DIR,
        "warmup": 1,
        "repeat": 3,
    }
    (folder / "request.json").write_text(json.dumps(request))
    program = (_FIXED if engine is twins.native else "") + _ASK.format(run=GUEST_RUN_DIR)
    job = Job(
        name=folder.name,
        image=image,
        argv=(f"/usr/bin/python{image.spec.python}", "-B", "-c", program),
        env={"PYTHONPATH": f"/opt/{runtime.name}-{runtime.version}", "HOME": "/tmp", "PATH": "/usr/bin:/bin"},
        run_dir=folder,
        mounts=(
            Mount(source=host.builder().guest_code(image), target="/edge/guest"),
            Mount(source=path, target=f"/edge/model/{model}"),
        ),
        cpu="max",
        page_size_bytes=4096,
        hostname="twin",
        memory_limit_bytes=None,
        timeout_seconds=300,
        stops_at_gate=True,
    )
    return engine.run(replace(job, memory_limit_bytes=limit_bytes), threading.Event())


def peaks(twins: Twins, model: str) -> tuple[int, int]:
    """(what the native process says of itself, what is seen of the emulated one) in bytes."""
    native = run(twins, twins.native, model)
    said = re.search(r"VmHWM:\s+(\d+) kB", native.stderr)
    assert said, native.stderr
    emulated = run(twins, twins.emulated, model)
    assert emulated.exit_code == 0, emulated.stderr
    assert emulated.memory.guest_peak_bytes is not None, emulated.memory.unavailable
    return int(said[1]) << 10, emulated.memory.guest_peak_bytes


def is_enough(twins: Twins, engine: Engine, model: str, limit_bytes: int) -> bool:
    """Whether the model runs in so much memory."""
    outcome = run(twins, engine, model, limit_bytes)
    assert outcome.out_of_memory or outcome.exit_code == 0, outcome.stderr
    return not outcome.out_of_memory and overrun(outcome, limit_bytes) is None


def least(twins: Twins, engine: Engine, model: str) -> int:
    """The smallest limit under which the model runs, to 1 %, in bytes."""
    guess = run(twins, engine, model).memory.guest_own_bytes or 0
    failed = fitted = None
    while limit := next_trial(guess=guess, failed=failed, fitted=fitted, tolerance=TOLERANCE):
        enough = is_enough(twins, engine, model, limit)
        failed, fitted = (failed, limit) if enough else (limit, fitted)
    assert fitted is not None
    return fitted


def render(rows: list[tuple[str, int, int, int, int]]) -> str:
    """The page; a row is a model with both peaks and both least limits, native first, in bytes."""
    lines = []
    for model, *numbers in rows:
        pairs = (numbers[:2], numbers[2:])
        cells = [
            f"{native / 1e6:.1f} | {emulated / 1e6:.1f} | {emulated / native - 1:+.1%}" for native, emulated in pairs
        ]
        lines.append(f"| {model} | {' | '.join(cells)} |\n")
    return _HEAD + "".join(lines)


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-twins-") as folder, twins_in(Path(folder)) as twins:
        for model in MODELS:
            both = (least(twins, twins.native, model), least(twins, twins.emulated, model))
            rows.append((model, *peaks(twins, model), *both))
            sys.stdout.write(render(rows[-1:]).splitlines()[-1] + "\n")
            sys.stdout.flush()
    TABLE.write_text(render(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
