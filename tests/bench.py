"""``python -m tests.bench``: how fast the tool itself is. Figures for people, not a timed test.

Seconds depend on this host; the ratios at the end hardly do.
``python -m tests.bench counting`` prints only what counting costs, and how well it repeats.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from sandbox import process, rundir
from sandbox.engines.base import Job
from sandbox.engines.guard import guard
from sandbox.engines.local import LocalEngine
from sandbox.engines.unisolated import UnisolatedEngine
from sandbox.image.build import ImageBuilder
from sandbox.image.store import Store
from sandbox.pipeline import prepare
from sandbox.plan import ProfileRequest
from sandbox.profilers.counts import Work
from sandbox.profilers.inference import counted_inferences, read_marks
from sandbox.progress import Silent
from sandbox.resources import cache_directory, data_directory

from . import zoo

_COMMAND = str(Path(sys.executable).with_name("edge-sandbox"))
_ROUNDS = 3
_LOOP = "for i in range(6_000_000): i * i"
_THREADS = """
import threading
def work():
    for i in range(3_000_000): i * i
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-bench-") as scratch:
        folder = Path(scratch)
        model = folder / "mobilenet_v1_1.0_224_int8.tflite"
        model.write_bytes(zoo.make(model.name))
        builder = _builder(cache_directory())
        builder.build("bookworm-arm64")
        if sys.argv[1:] == ["counting"]:
            counting(model, folder)
            return
        report("CLI start", statistics.median(_seconds([_COMMAND, "--version"]) for _ in range(7)), "s", "≤ 0.3")
        total, outside = profile(model, folder / "run")
        report("profile of MobileNet v1 1.0/224 int8 on rpi4b, warm cache", total, "s", "≤ 60")
        report("  of which outside emulated processes", outside, "s", "≤ 2")
        report("first build of bookworm-arm64 from local archives", build(folder / "cache"), "s", "≤ 30")
        report("emulated inference, sandbox over bare QEMU", ratio(model, folder), "×", "≤ 1.05")
        counting(model, folder)


def counting(model: Path, folder: Path) -> None:
    """What counting costs, as host seconds with the plugin over those without, in turns; and how well it repeats."""
    runs = Runs(model, folder)
    report("counted over uncounted: latency run, six inferences", runs.ratio("latency"), "×", "≤ 1.3")
    report("  loop in Python, with the clock, less start-up", runs.script_ratio(_LOOP), "×", "≤ 1.3")
    report("  the same work in two threads", runs.script_ratio(_THREADS), "×", "no limit")
    report("  operator run, two inferences", runs.ratio("operators"), "×", "no limit")
    report("  the same with a model of the caches", runs.ratio("operators", caches=True), "×", "no limit")
    for name, threads, wanted in (
        ("mobilenet_v1_0.5_160_int8.tflite", 1, "≤ 0.1"),
        ("mobilenet_v1_0.5_160_int8.tflite", 4, "no limit"),
        ("mobilenet_v1_0.5_160_fp32.tflite", 1, "≤ 0.1"),
        ("mobilenet_v1_0.5_160_fp32.tflite", 4, "no limit"),
        ("mobilenet_v1_0.5_160_fp32.onnx", 1, "≤ 0.1"),
        ("mobilenet_v1_0.5_160_fp32.onnx", 4, "no limit"),
    ):
        work, path = spreads(name, threads, folder)
        report(f"{name}, {threads} thread{'s'[: threads > 1]}: work differs by", work, "%", wanted)
        report("  critical path differs by", path, "%", wanted)


def spreads(name: str, threads: int, folder: Path) -> tuple[float, float]:
    """By how many percent the work and the critical path of an inference differ over some runs."""
    model = folder / name
    model.write_bytes(zoo.make(name))
    request = ProfileRequest(
        model=model, device="rpi4b", threads=threads, timeout_seconds=600, jobs=("latency",), inferences=(1, 1)
    )
    works: list[Work] = []
    for _ in range(_ROUNDS):
        run_dir = Path(tempfile.mkdtemp(dir=folder))
        with guard() as protector:
            plan = prepare(request, run_dir, _builder(cache_directory()), protector)
            (job,) = plan.jobs
            plan.engine.run(job, threading.Event())
        marks = read_marks(job.run_dir, rundir.read_runner_report(job.run_dir))
        if isinstance(marks, str):
            raise SystemExit(f"{name}: {marks}")
        works += counted_inferences(marks)
    return _spread([work.instructions for work in works]), _spread([work.critical_path for work in works])


def _spread(values: Sequence[int]) -> float:
    return 100 * (max(values) - min(values)) / statistics.median(values)


def report(what: str, value: float, unit: str, wanted: str) -> None:
    print(f"{what:<60} {value:8.2f} {unit:<2} (wanted {wanted})", flush=True)


def profile(model: Path, run_dir: Path) -> tuple[float, float]:
    """(seconds of the whole command, seconds of it in which no emulated process ran)."""
    argv = [_COMMAND, "profile", str(model), "--device", "rpi4b", "--quiet", "--run-dir", str(run_dir)]
    total = _seconds(argv)
    longest = max(rundir.read_outcome(run_dir / job).seconds for job in rundir.read_record(run_dir).jobs)
    return total, total - longest


def build(cache: Path) -> float:
    """Seconds to build from files that are already on this disk; the emulator included."""
    cache.mkdir()
    shutil.copytree(cache_directory() / "downloads", cache / "downloads", copy_function=os.link)
    started = time.monotonic()
    _builder(cache).build("bookworm-arm64")
    return time.monotonic() - started


def ratio(model: Path, folder: Path) -> float:
    """Median inference time in the sandbox over that of the same command under bare QEMU, taken in turns."""
    request = ProfileRequest(model=model, device="rpi4b", timeout_seconds=300)
    sandboxed: list[float] = []
    bare: list[float] = []
    for number in range(_ROUNDS):
        for isolated in (True, False):
            run_dir = folder / f"ratio-{number}-{isolated}"
            run_dir.mkdir()
            with guard() as protector:
                plan = prepare(request, run_dir, _builder(cache_directory()), protector)
                engine = (LocalEngine if isolated else UnisolatedEngine)(plan.emulator, protector)
                job = next(job for job in plan.jobs if job.name == "latency")
                engine.run(job, threading.Event())
                report_file = rundir.read_runner_report(job.run_dir)
                (sandboxed if isolated else bare).extend(report_file["latencies_ns"] if report_file else [])
    return statistics.median(sandboxed) / statistics.median(bare)


@dataclasses.dataclass(frozen=True)
class Runs:
    """Jobs of the model's profile, and scripts in their place, counted and uncounted in turns."""

    model: Path
    folder: Path

    def ratio(self, name: str, *, caches: bool = False) -> float:
        """Median seconds of a whole job, counted over uncounted."""
        seconds = [self._run(name, counted=counted, caches=caches) for counted in (True, False) * _ROUNDS]
        return statistics.median(seconds[::2]) / statistics.median(seconds[1::2])

    def script_ratio(self, code: str) -> float:
        """The same for Python code instead of the job, less what Python takes to start."""
        seconds = [
            self._run("operators", code, counted=counted) - self._run("operators", "pass", counted=counted)
            for counted in (True, False) * _ROUNDS
        ]
        return statistics.median(seconds[::2]) / statistics.median(seconds[1::2])

    def _run(self, name: str, code: str | None = None, *, counted: bool, caches: bool = False) -> float:
        run_dir = Path(tempfile.mkdtemp(dir=self.folder))
        request = ProfileRequest(model=self.model, device="rpi4b", timeout_seconds=600, caches=caches)
        with guard() as protector:
            plan = prepare(request, run_dir, _builder(cache_directory()), protector)
            job = next(job for job in plan.jobs if job.name == name)
            if code is not None:
                job = dataclasses.replace(job, argv=(job.argv[0], "-c", code))
            outcome = plan.engine.run(job if counted else _uncounted(job), threading.Event())
        if outcome.exit_code != 0:
            raise SystemExit(f"{name}: {outcome.stderr}")
        return outcome.seconds


def _uncounted(job: Job) -> Job:
    request = job.run_dir / "request.json"
    request.write_text(json.dumps({**json.loads(request.read_text()), "counted": False}))
    return dataclasses.replace(job, counting=None)


def _builder(cache: Path) -> ImageBuilder:
    return ImageBuilder(images=data_directory("images"), store=Store(cache), progress=Silent())


def _seconds(argv: Sequence[str]) -> float:
    done = process.run(argv, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}: exit {done.returncode}\n{done.stderr}")
    return done.seconds


if __name__ == "__main__":
    main()
