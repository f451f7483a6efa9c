"""``python -m tests.bench``: how fast the tool itself is. Figures for people, not a timed test.

Seconds depend on this host; the ratio at the end does not.
"""

from __future__ import annotations

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
from sandbox.engines.guard import guard
from sandbox.engines.local import LocalEngine
from sandbox.engines.unisolated import UnisolatedEngine
from sandbox.image.build import ImageBuilder
from sandbox.image.store import Store
from sandbox.pipeline import prepare
from sandbox.plan import ProfileRequest
from sandbox.progress import Silent
from sandbox.resources import cache_directory, data_directory

from . import zoo

_COMMAND = str(Path(sys.executable).with_name("edge-sandbox"))
_ROUNDS = 3


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-bench-") as scratch:
        folder = Path(scratch)
        model = folder / "mobilenet_v1_1.0_224_int8.tflite"
        model.write_bytes(zoo.make(model.name))
        builder = _builder(cache_directory())
        builder.build("bookworm-arm64")
        report("CLI start", statistics.median(_seconds([_COMMAND, "--version"]) for _ in range(7)), "s", "≤ 0.3")
        total, outside = profile(model, folder / "run")
        report("profile of MobileNet v1 1.0/224 int8 on rpi4b, warm cache", total, "s", "≤ 60")
        report("  of which outside emulated processes", outside, "s", "≤ 2")
        report("first build of bookworm-arm64 from local archives", build(folder / "cache"), "s", "≤ 30")
        report("emulated inference, sandbox over bare QEMU", ratio(model, folder), "×", "≤ 1.05")


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


def _builder(cache: Path) -> ImageBuilder:
    return ImageBuilder(images=data_directory("images"), store=Store(cache), progress=Silent())


def _seconds(argv: Sequence[str]) -> float:
    done = process.run(argv, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}: exit {done.returncode}\n{done.stderr}")
    return done.seconds


if __name__ == "__main__":
    main()
