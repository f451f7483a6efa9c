"""Runs whose counts are written by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

from sandbox.measurements import Op
from sandbox.metrics import Metric
from tests.unit.profilers.count_files import INFERENCE, block, delta
from tests.unit.recorded import copy, edit


def instructions_of(op: Op) -> float:
    assert isinstance(op.instructions, Metric)
    return op.instructions.value


def uncounted(tmp_path: Path) -> Path:
    """The ready run as of an emulator that loads no plugins."""
    folder = copy("ready", tmp_path)
    for job in ("latency", "operators"):
        shutil.rmtree(folder / job / "counts", ignore_errors=True)
        (folder / job / "code.json").unlink(missing_ok=True)
    return folder


def count(job_dir: Path, *, pid: object = 7) -> Path:
    """Where the marks of this job belong."""
    (job_dir / "counts").mkdir(exist_ok=True)
    edit(job_dir / "runner.json", lambda report: report.update(pid=pid))
    return job_dir / "counts" / "7.marks"


BLOCKS = block(0, 0x1000, vector_fma=10) + block(1, 0x2000, integer=1)


def operators(folder: Path) -> None:
    """Two operators in place of the run's own."""
    place = count(folder / "operators")
    place.write_bytes(
        BLOCKS
        + delta(token=0, since=0, time=5)
        + delta((0, 0, 30), token=1, since=5, time=305)
        + delta((1, 0, 40), token=INFERENCE, since=305, time=345)
    )
    (folder / "operators" / "code.json").write_text('{"1000": ["xnn_gemm", "XNNPACK", "lib.so+1000"]}')
    rows = [{"type": "CONV_2D", "name": "conv", "delegate": "XNNPACK", "marks": [[0, 1]], "time_ns": 5}]
    edit(folder / "operators" / "runner.json", lambda report: report.update(operators=rows))
