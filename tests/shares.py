"""``python -m tests.shares``: the part of an inference that each type of operator takes, by instructions and by the
emulator's wall clock, and how much both differ from run to run.

Prints the table of docs/clock.md; ``--write`` puts it there. Takes some ten minutes.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sandbox import rundir
from sandbox.analysis import analyse
from sandbox.engines.guard import Guard, guard
from sandbox.metrics import Metric
from sandbox.pipeline import Plan, prepare, record_of, run_jobs
from sandbox.plan import JobName, ProfileRequest
from sandbox.progress import Silent
from sandbox.zoo.classifiers import classifier
from sandbox.zoo.network import Precision

from . import host
from .record_runs import PROJECT

PAGE = PROJECT / "docs" / "clock.md"
BEGIN, END = "<!-- python -m tests.shares --write: begin -->\n", "<!-- end -->\n"

_MODELS = ("mobilenet_v1_0.5_160", "mobilenet_v2_0.5_160", "mobilenet_v3_small_1.0_224")
_DTYPES: tuple[Precision, ...] = ("float32", "int8")
_ROUNDS = 3
_BUSY_ROUND = 2
_TIMED = 5
"""Inferences over which the wall clock is taken: one alone would differ even more."""
_LEAST = 0.02
"""Types with less of an inference than this, by both measures, share a row."""
_OTHERS = "others"

Shares = Mapping[str, float]


def main() -> None:
    table = "\n".join(("| model | operators | instructions | differ by | wall clock | differ by |", "| --- " * 6 + "|"))
    table += "\n" + "".join(_rows(name, dtype) for name in _MODELS for dtype in _DTYPES)
    if sys.argv[1:] == ["--write"]:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(before + BEGIN + table + END + rest.split(END, 1)[1])
    sys.stdout.write(table)


def _rows(name: str, dtype: Precision) -> str:
    """The table's rows of one model."""
    counted, timed = [], []
    for number in range(_ROUNDS):
        loops = [subprocess.Popen((sys.executable, "-c", "while True: pass")) for _ in range(2)]
        try:
            if number != _BUSY_ROUND:
                _end(loops)
            with tempfile.TemporaryDirectory(prefix="edge-sandbox-shares-") as folder, guard() as protector:
                model = Path(folder) / f"{name}_{dtype}.tflite"
                model.write_bytes(classifier(name, dtype))
                counted.append(by_instructions(model, Path(folder) / "counted", protector))
                timed.append(by_wall_clock(model, Path(folder) / "timed", protector))
        finally:
            _end(loops)
    types = _ranked(counted, timed)
    columns = [[_gathered(shares, types) for shares in measure] for measure in (counted, timed)]
    rows = []
    for kind in (*types, _OTHERS):
        cells = [f"{statistics.median(v):.1%} | {100 * (max(v) - min(v)):.2f}" for v in _values(columns, kind)]
        rows.append(f"| {name} {dtype} | {kind} | {' | '.join(cells)} |\n")
    return "".join(rows)


def by_instructions(model: Path, folder: Path, protector: Guard) -> Shares:
    """From a counted profile, without its last row: what ran outside of operators."""
    plan = _plan(model, folder, protector, ("latency", "operators"))
    rundir.write_record(folder, record_of(plan))
    run_jobs(plan, Silent())
    *operators, _outside = analyse(folder).ops
    return _shares((op.type, op.instructions.value) for op in operators if isinstance(op.instructions, Metric))


def by_wall_clock(model: Path, folder: Path, protector: Guard) -> Shares:
    """From the runtime's own profiler on the host's clock, under the same emulator without the plugin."""
    plan = _plan(model, folder, protector, ("operators",))
    (job,) = (dataclasses.replace(job, counting=None) for job in plan.jobs)
    request = json.loads((job.run_dir / "request.json").read_text())
    (job.run_dir / "request.json").write_text(json.dumps({**request, "counted": False, "repeat": _TIMED}))
    outcome = plan.engine.run(job, threading.Event())
    report = rundir.read_runner_report(job.run_dir)
    if outcome.exit_code != 0 or report is None:
        raise SystemExit(f"{model.name}: {outcome.stderr}")
    return _shares((str(row["type"]), float(row["time_ns"])) for row in report["operators"])


def _plan(model: Path, folder: Path, protector: Guard, jobs: tuple[JobName, ...]) -> Plan:
    folder.mkdir()
    request = ProfileRequest(model=model, device="rpi4b", timeout_seconds=600, jobs=jobs)
    return prepare(request, folder, host.builder(), protector)


def _shares(costs: Iterable[tuple[str, float]]) -> Shares:
    sums: dict[str, float] = {}
    for kind, cost in costs:
        sums[kind] = sums.get(kind, 0.0) + cost
    whole = sum(sums.values())
    return {kind: cost / whole for kind, cost in sums.items()}


def _ranked(*measures: Sequence[Shares]) -> list[str]:
    """Types with a row of their own, the most instructions first."""
    medians = [
        {kind: statistics.median(run.get(kind, 0) for run in runs) for run in runs for kind in run} for runs in measures
    ]
    own = [kind for kind in medians[0] if max(median.get(kind, 0) for median in medians) >= _LEAST]
    return sorted(own, key=lambda kind: -medians[0][kind])


def _gathered(shares: Shares, types: Sequence[str]) -> Shares:
    own = {kind: shares.get(kind, 0.0) for kind in types}
    return {**own, _OTHERS: 1 - sum(own.values())}


def _values(columns: Sequence[Sequence[Shares]], kind: str) -> list[list[float]]:
    return [[shares[kind] for shares in column] for column in columns]


def _end(loops: Sequence[subprocess.Popen[bytes]]) -> None:
    for loop in loops:
        loop.kill()
        loop.wait()


if __name__ == "__main__":
    main()
