"""What the counter files of a killed run tell, and what they are not taken for."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import rundir
from sandbox.engines.base import Outcome
from sandbox.profilers.last_seen import LastSeen, last_seen
from tests.unit.profilers.count_files import counters, thread

KILLED = Outcome(
    exit_code=None,
    signal=9,
    out_of_memory=True,
    limit_mechanism="cgroup v1",
    isolation="bubblewrap",
    emulator="QEMU 7.2",
    seconds=1.0,
)
RUNNING = thread(9)[:200] + struct.pack("<II", 8, 0) + bytes(48)


def job(folder: Path, data: bytes, *, outcome: Outcome = KILLED, phase: str = "warmup") -> None:
    (folder / "counts").mkdir(parents=True)
    (folder / "counts" / "2.counts").write_bytes(data)
    (folder / "phases.jsonl").write_text(f'{{"phase": "{phase}", "monotonic_ns": 1}}\n')
    rundir.write_outcome(folder, outcome)


def test_both_runs_together(tmp_path: Path) -> None:
    job(tmp_path / "latency", counters(thread(5), asked_pages=100))
    job(tmp_path / "operators", counters(thread(5), RUNNING))
    (tmp_path / "latency" / "counts" / "17.counts").write_bytes(counters(thread(5), asked_pages=1))  # a child's
    assert last_seen(tmp_path, "warmup") == LastSeen(asked_bytes=409_600, operator=(0, 7))


@pytest.mark.parametrize(
    ("outcome", "phase"),
    [(KILLED, "allocate"), (replace(KILLED, out_of_memory=False), "warmup")],
    ids=["in another phase", "for another reason"],
)
def test_an_operator_run_that_ended_otherwise_says_nothing(outcome: Outcome, phase: str, tmp_path: Path) -> None:
    job(tmp_path / "operators", counters(RUNNING), outcome=outcome, phase=phase)
    assert last_seen(tmp_path, "warmup").operator is None


def test_between_two_operators(tmp_path: Path) -> None:
    job(tmp_path / "operators", counters(thread(5)))
    assert last_seen(tmp_path, "warmup") == LastSeen()


@pytest.mark.parametrize("data", [b"", b"\xff" * 300_000])
def test_whatever_the_guest_left(data: bytes, tmp_path: Path) -> None:
    assert last_seen(tmp_path, "warmup") == LastSeen(), "nothing at all"
    job(tmp_path / "latency", data)
    job(tmp_path / "operators", data)
    assert last_seen(tmp_path, "warmup") == LastSeen()
