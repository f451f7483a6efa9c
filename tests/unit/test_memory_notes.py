"""What is said about a limit that is not quite the device's."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.memory_notes import memory_notes
from sandbox.metrics import Unavailable
from sandbox.record import RunRecord
from sandbox.rundir import read_record
from tests.record_runs import RUNS

READY = read_record(RUNS / "ready")


def record(host: dict[str, Any] | None = None, **device: Any) -> RunRecord:
    changed = READY.device.model_copy(update={"memory_limit_bytes": 4 * 10**9, **device})
    return READY.model_copy(update={"device": changed, "host": host or {}})


def test_nothing_to_say() -> None:
    assert memory_notes(record(host={"memory_bytes": 8 * 10**9}), "cgroup v2") == ()


@pytest.mark.parametrize(
    ("about", "mechanism", "words"),
    [
        (record(), "watchdog", "a watchdog that reads memory every 10 ms"),
        (record(swap_bytes=10**8), "cgroup v1", "100 MB are the device's swap, counted as RAM"),
        (record(zram_left_out_bytes=2 * 10**9), "cgroup v2", "zram of 2.00 GB is not counted"),
        (record(host={"memory_bytes": 10**9}), "cgroup v2", "has 1.00 GB of memory, less than the limit of 4.00 GB"),
        (record(host={"memory_bytes": 10**10, "free_memory_bytes": 10**9}), "cgroup v1", "has 1.00 GB of free memory"),
        (record(available=Unavailable(unavailable="no source")), "cgroup v2", "no source"),
    ],
)
def test_one_sentence_for_each(about: RunRecord, mechanism: str, words: str) -> None:
    (note,) = memory_notes(about, mechanism)
    assert words in note
