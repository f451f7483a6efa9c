"""One model, one runtime, inside the device: the whole run from the request to the report.

``python3 -B runner.py REQUEST.json``. Leaves ``phases.jsonl``, ``runner.json`` and ``outputs.npz`` in the run folder.
Exit status 0: done. 1: the model or its inputs failed in a way that Python could catch; runner.json says how.
2: the request cannot be read; nothing was written.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from allocator import AllocatorLog
from marks import Marks
from phases import PhaseLog, wait_for_last_reading
from report import Report
from request import Request, RequestError, read_request

if TYPE_CHECKING:
    from backend import Backend


def main(argv: list[str]) -> int:
    """Run the request named by ``argv[1]``; the exit status."""
    try:
        request = read_request(Path(argv[1]))
    except (RequestError, OSError, KeyError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    phases = PhaseLog(request.run_dir)
    report = Report(request.run_dir)
    try:
        run(request, phases, report)
    except Exception as error:  # noqa: BLE001 - whatever the runtime raises is the result of this run
        report.fail(phases.current, error)
        print(report.error_line(), file=sys.stderr)
    report.write()
    phases.enter("done")
    return 1 if report.failed else 0


def run(request: Request, phases: PhaseLog, report: Report) -> None:
    """The phases in their order; what is known so far is in ``report`` whenever one of them raises."""
    phases.enter("import")
    backend = open_backend(request)
    report.describe(backend.describe())

    allocator = AllocatorLog(counted=request.counted, profile=request.profile)
    allocator.end_of("import")
    phases.enter("load")
    backend.load()

    allocator.end_of("load")
    phases.enter("allocate")
    source = import_module("inputs").InputSource(request)
    backend.allocate(source.resolve_shapes(backend.input_specs()))
    specs = backend.input_specs()
    values = source.values(specs)
    report.inputs(specs)

    allocator.end_of("allocate")
    phases.enter("warmup")
    for _ in range(request.warmup):
        backend.feed(values)
        backend.invoke()

    allocator.end_of("warmup")
    phases.enter("inference")
    marks = Marks(counted=request.counted)
    backend.start_profile()
    for _ in range(request.repeat):
        backend.feed(values)
        marks.reset()
        start = time.perf_counter_ns()
        backend.invoke()
        elapsed = time.perf_counter_ns() - start
        marks.inference_ends()
        report.latency(elapsed)
    backend.stop_profile()
    allocator.end_of("inference")
    wait_for_last_reading(request.run_dir)

    phases.enter("report")
    report.allocator(allocator)
    report.describe(backend.describe())
    if request.profile != "heap":  # what the report allocates is no part of the model's heap
        report.outputs(backend.outputs())
    if request.profile == "operators":
        report.operators(backend.operators)
    if request.counted:
        (request.run_dir / "maps.txt").write_bytes(Path("/proc/self/maps").read_bytes())


def open_backend(request: Request) -> Backend:
    """The runtime's adapter. Imported here, under the phase "import": numpy and the runtime may crash this CPU."""
    module, name = {
        "onnxruntime": ("onnx_backend", "OnnxBackend"),
        "tflite-runtime": ("tflite_backend", "TfliteBackend"),
        "ai-edge-litert": ("tflite_backend", "TfliteBackend"),
        "tflite-micro": ("tflm_backend", "TflmBackend"),
    }[request.runtime]
    if request.delegates == "reference" and request.format == "onnx":
        module, name = "onnx_reference", "OnnxReference"
    backend: Backend = getattr(import_module(module), name)(request)
    return backend


if __name__ == "__main__":
    status = main(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    # All is on disk. Taking the interpreter and the runtime down is no part of the run: under a heap profiler it costs
    # seconds, and a crash in there would pass for the model's.
    os._exit(status)
