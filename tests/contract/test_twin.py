"""Truth: an x86-64 process that runs natively knows its own peak, and the emulated one must have the same.

The twin image is made like the devices' own. A host with AVX-512 runs other kernels than the emulated core, which knows
AVX2 at most: of the models here the weights are small, so that what these kernels pack does not matter.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sandbox.bisection import next_trial
from sandbox.ceiling import overrun
from sandbox.engines.base import GUEST_RUN_DIR, Engine, Job, Mount, Outcome
from sandbox.engines.guard import Guard, guard
from sandbox.engines.local import LocalEngine
from sandbox.engines.native import NativeEngine
from sandbox.image.emulator import host_architecture
from tests import host, zoo

pytestmark = [
    pytest.mark.engine("local"),
    pytest.mark.skipif(host_architecture() != "amd64", reason="the twin is an x86-64 image"),
]

IMAGE = "bookworm-amd64"
WITHIN = 0.03
WITHIN_ONNX = 0.05
"""onnxruntime keeps about 2 MB more under emulation, whatever the model: 3.1 % of the smallest one's peak."""
MODELS = (
    *("tiny_conv_int8.tflite", "tiny_conv_fp32.tflite", "tiny.onnx"),
    *(f"mobilenet_v1_{width}_{size}_int8.tflite" for width, size in ((0.25, 128), (0.25, 224), (0.5, 96))),
    *(f"mobilenet_v1_{width}_{size}_fp32.tflite" for width, size in ((0.25, 128), (0.25, 224), (0.5, 96))),
    *(f"mobilenet_v1_{width}_{size}_fp32.onnx" for width, size in ((0.25, 128), (0.25, 224), (0.5, 96))),
)
ASK = """
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


@dataclass(frozen=True)
class Twins:
    native: Engine
    emulated: Engine
    folder: Path


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with guard() as protector:
        yield _twins(protector, tmp_path_factory.mktemp("twins"))


def _twins(protector: Guard, folder: Path) -> Twins:
    emulator = host.emulator()
    return Twins(NativeEngine(emulator, protector, "amd64"), LocalEngine(emulator, protector), folder)


def run(twins: Twins, engine: Engine, model: str, limit_bytes: int | None = None) -> Outcome:
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
    job = Job(
        name=folder.name,
        image=image,
        argv=(f"/usr/bin/python{image.spec.python}", "-B", "-c", ASK.format(run=GUEST_RUN_DIR)),
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
        timeout_seconds=120,
        stops_at_gate=True,
    )
    return engine.run(replace(job, memory_limit_bytes=limit_bytes), threading.Event())


@pytest.mark.parametrize("model", MODELS)
def test_the_emulated_peak_is_what_the_native_process_says_of_itself(model: str, twins: Twins) -> None:
    native = run(twins, twins.native, model)
    said = re.search(r"VmHWM:\s+(\d+) kB", native.stderr)
    assert said, native.stderr
    emulated = run(twins, twins.emulated, model)
    assert emulated.exit_code == 0, emulated.stderr
    within = WITHIN_ONNX if model.endswith(".onnx") else WITHIN
    assert emulated.memory.guest_peak_bytes == pytest.approx(int(said[1]) << 10, rel=within)


def least(twins: Twins, engine: Engine, model: str) -> int:
    """The smallest limit under which the model runs, to 1 %, in bytes."""
    trace = run(twins, engine, model).memory
    guess = trace.guest_own_bytes or 0
    failed = fitted = None
    while limit := next_trial(guess=guess, failed=failed, fitted=fitted, tolerance=0.01):
        outcome = run(twins, engine, model, limit)
        assert outcome.out_of_memory or outcome.exit_code == 0, outcome.stderr
        enough = not outcome.out_of_memory and overrun(outcome, limit) is None
        failed, fitted = (failed, limit) if enough else (limit, fitted)
    assert fitted is not None
    return fitted


def test_the_least_memory_is_the_same(twins: Twins) -> None:
    model = "mobilenet_v1_0.5_96_fp32.tflite"
    assert least(twins, twins.emulated, model) == pytest.approx(least(twins, twins.native, model), rel=WITHIN)
