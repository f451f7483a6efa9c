"""A memory trace and the phases of a run → what was held when."""

from __future__ import annotations

import dataclasses

import pytest

from sandbox.engines.base import MemoryTrace
from sandbox.measurements import Phase
from sandbox.metrics import Metric, Unavailable
from sandbox.profilers.memory import emulator_overhead, peak_rss, peak_shares, phase_memory, runtime_baseline

GUEST = "resident pages of the guest, read from outside the emulator"
TRACE = MemoryTrace(
    samples=((0.5, 10, 100), (1.0, 20, 110), (2.0, 50, 120), (3.0, 30, 120)),
    started_seconds=1000.0,
    guest_peak_bytes=50,
    guest_peak_high_bytes=55,
    emulator_bytes=120,
)
PHASES = (("import", 1000.2), ("load", 1001.5), ("warmup", 1002.5))
NOTHING = MemoryTrace(unavailable="no cgroup here")


def held(value: float, *, mode: str = "emulated") -> Metric:
    return Metric.model_validate({"value": value, "unit": "byte", "mode": mode, "source": GUEST})


def test_peak() -> None:
    assert peak_rss(TRACE, emulated=True) == Metric(
        value=50, unit="byte", mode="emulated", low=50, high=55, source=GUEST
    )
    measured = peak_rss(TRACE, emulated=False)
    assert isinstance(measured, Metric)
    assert measured.mode == "measured"


def test_no_peak() -> None:
    assert peak_rss(NOTHING, emulated=True) == Unavailable(unavailable="no cgroup here")
    assert peak_rss(MemoryTrace(), emulated=True) == Unavailable(unavailable="the run left no memory reading")


def test_the_emulator_s_own() -> None:
    assert emulator_overhead(TRACE, emulated=True) == Metric(
        value=120, unit="byte", mode="measured", source="emulator's pages on this host"
    )
    assert emulator_overhead(TRACE, emulated=False) == Unavailable(unavailable="no emulator ran")
    assert emulator_overhead(NOTHING, emulated=True) == Unavailable(unavailable="no cgroup here")
    assert emulator_overhead(MemoryTrace(), emulated=True) == Unavailable(unavailable="the run left no memory reading")


def test_each_phase_has_the_last_reading_before_the_next() -> None:
    rows = phase_memory(TRACE, PHASES, emulated=True)
    assert [(row.name, row.rss_at_end) for row in rows] == [
        ("import", held(20)),
        ("load", held(50)),
        ("warmup", held(30)),
    ]
    starts = [row.start for row in rows]
    assert [start.value for start in starts if isinstance(start, Metric)] == pytest.approx([0.2, 1.5, 2.5])
    assert {(start.unit, start.mode) for start in starts if isinstance(start, Metric)} == {("second", "measured")}
    assert phase_memory(TRACE, PHASES, emulated=False)[0].rss_at_end == held(20, mode="measured")


def test_a_reading_at_the_very_end_of_a_phase_is_its_own() -> None:
    rows = phase_memory(TRACE, (("import", 1000.0), ("load", 1001.0)), emulated=True)
    assert rows[0].rss_at_end == held(20)


def test_a_phase_before_the_first_reading() -> None:
    rows = phase_memory(TRACE, (("import", 1000.1), ("load", 1000.3)), emulated=True)
    assert rows[0].rss_at_end == Unavailable(unavailable="no memory reading before the end of this phase")
    assert rows[1].rss_at_end == held(30)


def test_a_phase_from_before_the_start_starts_at_0() -> None:
    """Nothing runs before the start; a clock in the guest that says so is wrong."""
    (row,) = phase_memory(TRACE, (("import", 3.0),), emulated=True)
    assert row.start == Metric(value=0, unit="second", mode="measured")


def test_no_readings_no_phases() -> None:
    assert phase_memory(TRACE, (), emulated=True) == ()
    (row,) = phase_memory(NOTHING, (("import", 0.0),), emulated=True)
    assert isinstance(row.rss_at_end, Unavailable)


def test_baseline() -> None:
    rows = phase_memory(TRACE, PHASES, emulated=True)
    assert runtime_baseline(rows) == held(20)
    gone = Unavailable(unavailable="no memory reading before the end of this phase")
    start = Metric(value=0, unit="second", mode="measured")
    assert runtime_baseline([Phase(name="import", start=start, rss_at_end=gone, peak_rss=gone)]) == gone
    assert runtime_baseline(rows[1:]) == Unavailable(unavailable="the run ended before the runtime was imported")
    assert runtime_baseline([]) == Unavailable(unavailable="the run ended before the runtime was imported")


def test_each_phase_has_its_own_peak() -> None:
    rows = phase_memory(TRACE, (*PHASES[:2], ("warmup", 1001.8), ("report", 1002.8)), emulated=True)
    assert [(row.name, row.peak_rss) for row in rows] == [
        ("import", held(20)),
        ("load", held(20)),  # no reading of its own: what the one before left
        ("warmup", held(50)),
    ], "our report is no phase of the model"


def test_the_shares_of_the_peak() -> None:
    trace = dataclasses.replace(TRACE, guest_files_bytes=15)
    assert peak_shares(trace, emulated=True) == (held(15), held(35))
    assert peak_shares(TRACE, emulated=True)[0] == Unavailable(unavailable="the run did not tell pages of files apart")
    assert peak_shares(NOTHING, emulated=True)[1] == Unavailable(unavailable="no cgroup here")
