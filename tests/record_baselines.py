"""``python -m tests.record_baselines [IMAGE…]``: measure what each image's runtimes take, with the local engine.

For every runtime and page size that a shipped device has with the image, the smallest model of the zoo runs once;
``images/<id>/baseline.json`` is written anew.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from sandbox import rundir
from sandbox.cli.common import image_builder
from sandbox.device import available_devices, load_device
from sandbox.engines.guard import guard
from sandbox.image.build import ImageBuilder
from sandbox.image.spec import load_lock
from sandbox.metrics import Metric
from sandbox.pipeline import Plan, prepare
from sandbox.plan import ProfileRequest
from sandbox.profilers import memory
from sandbox.progress import Silent
from sandbox.resources import data_directory
from sandbox.static.baseline import FILE, Baseline, Baselines

from . import zoo

SMALLEST = {"tflite-runtime": "tiny_conv_fp32.tflite", "ai-edge-litert": "tiny_conv_fp32.tflite"}
SMALLEST_ONNX = "tiny.onnx"


def main() -> None:
    devices = dict(_devices())
    images = sorted({image for image, _pages in devices})
    parser = argparse.ArgumentParser(prog="python -m tests.record_baselines", description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {', '.join(images)}; default: all")
    wanted = parser.parse_args().images or images
    if unknown := set(wanted) - set(images):
        parser.error(f"no image {', '.join(sorted(unknown))}; there are {', '.join(images)}")
    builder = image_builder(None, Silent())
    for image in wanted:
        found = [
            measure(builder, image, device, runtime)
            for (of, _pages), device in devices.items()
            if of == image
            for runtime in builder.runtimes(image)
        ]
        document = Baselines(lock=load_lock(image, builder.images).digest, runtimes=tuple(found))
        (builder.images / image / FILE).write_text(document.model_dump_json(indent=1) + "\n")


def measure(builder: ImageBuilder, image: str, device: str, runtime: str) -> Baseline:
    """One run of the smallest model on that device."""
    name = SMALLEST.get(runtime, SMALLEST_ONNX)
    with guard() as protector, tempfile.TemporaryDirectory(prefix="edge-sandbox-baseline-") as scratch:
        model = Path(scratch) / name
        model.write_bytes(zoo.make(name))
        run_dir = Path(scratch) / "run"
        run_dir.mkdir()
        request = ProfileRequest(model=model, device=device, os=image, runtime=runtime, engine="local")
        plan = prepare(request, run_dir, builder, protector)
        imported, peak = _run(plan)
    pages = plan.os.page_size_bytes
    sys.stdout.write(f"{image} {runtime} {plan.runtime[1]}, pages of {pages}: {imported} {peak}\n")
    return Baseline(
        runtime=runtime,
        version=plan.runtime[1],
        page_size_bytes=pages,
        imported_bytes=imported,
        smallest_model_bytes=peak,
    )


def _run(plan: Plan) -> tuple[int, int]:
    """(bytes once the runtime is imported, bytes at the peak) of the plan's first job."""
    job = plan.jobs[0]
    outcome = plan.engine.run(job, threading.Event())
    phases = memory.phase_memory(outcome.memory, rundir.read_phases(job.run_dir), emulated=True)
    imported, peak = memory.runtime_baseline(phases), outcome.memory.guest_peak_bytes
    if outcome.exit_code != 0 or not isinstance(imported, Metric) or peak is None:
        sys.exit(f"{job.run_dir}: the run failed: {outcome.stderr}")
    return int(imported.value), peak


def _devices() -> Iterator[tuple[tuple[str, int], str]]:
    """((image, page size), a device that has both), of all shipped devices."""
    directory = data_directory("device_specs")
    for name in reversed(available_devices(directory)):
        for os in load_device(name, directory).os:
            yield (os.image, os.page_size_bytes), name


if __name__ == "__main__":
    main()
