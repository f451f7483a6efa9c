"""Measurements of a board: rows come out as they went in, and throttled, busy or unsteady ones are flagged."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.board import condition, require_core
from sandbox.device import load_device
from sandbox.errors import DataFileError, UsageError
from sandbox.measurement import SUITE, Measurement, doubts, read_measurement
from sandbox.zoo.classifiers import classifier

PROJECT = Path(__file__).parents[2]
QUIET = {"clock_hz": 1_500_000_000, "temperature_celsius": 50.0, "load": 0.1, "throttled": False}


def measurement(**changes: Any) -> Measurement:
    timing = {
        "model": "mobilenet_v1_0.25_128",
        "dtype": "fp32",
        "cold_seconds": 0.02,
        "samples": [0.0101, 0.01, 0.0102, 0.01, 0.0099],
        "before": QUIET,
        "after": QUIET,
    }
    document = {
        "tool_version": "0.1",
        "started": "2026-01-01T00:00:00+00:00",
        "device": "rpi4b",
        "core": "cortex-a72",
        "soc": "Broadcom BCM2711",
        "os": "bookworm-arm64",
        "runtime": "tflite-runtime",
        "runtime_version": "2.14.0",
        "delegates": True,
        "threads": 1,
        "host": {},
        "timings": [{**timing, **changes}],
    }
    return Measurement.model_validate_json(json.dumps(document))


def test_a_timing_becomes_a_row() -> None:
    (row,) = measurement().rows()
    assert (row.model, row.dtype, row.threads, row.device) == ("mobilenet_v1_0.25_128", "fp32", 1, "rpi4b")
    assert row.p50_ms == pytest.approx(10.0)
    assert row.p95_ms == pytest.approx(10.2)


def test_a_quiet_board_leaves_no_doubt() -> None:
    assert doubts(measurement()) == ()


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"after": {**QUIET, "throttled": True}}, "throttled"),
        ({"before": {**QUIET, "load": 0.9}}, "90% busy"),
        ({"samples": [0.01, 0.01, 0.02, 0.03, 0.04]}, "vary by more than"),
    ],
)
def test_a_disturbed_board_is_flagged(changes: dict[str, Any], doubt: str) -> None:
    (found,) = doubts(measurement(**changes))
    assert doubt in found


def test_throttling_that_came_and_went_is_flagged() -> None:
    """The firmware keeps it in mind since boot, so that only what is new is of this model."""
    old, new = {**QUIET, "was_throttled": True}, {**QUIET, "was_throttled": False}
    assert "throttled" in doubts(measurement(before=new, after=old))[0]
    assert doubts(measurement(before=old, after=old)) == doubts(measurement(before=old, after=new)) == ()


@pytest.mark.parametrize(
    ("cpuinfo", "refused"),
    [
        ("processor\t: 0\nCPU part\t: 0xd08\n", None),
        ("CPU part\t: 0xd03\nCPU part\t: 0xd08\n", None),
        ("vendor_id\t: GenuineIntel\n", None),
        ("", None),
        ("CPU part\t: 0xd0b\n", "its CPU part is 0xd0b, that of a cortex-a72 is 0xd08"),
    ],
)
def test_another_board_is_not_measured_under_this_one_s_name(cpuinfo: str, refused: str | None) -> None:
    spec = load_device("rpi4b", PROJECT / "device_specs")
    if refused is None:
        require_core(spec, cpuinfo)
    else:
        with pytest.raises(UsageError, match=refused):
            require_core(spec, cpuinfo)


def test_a_clock_that_falls_is_flagged() -> None:
    first = measurement()
    (timing,) = first.timings
    slow = timing.model_copy(update={"after": timing.after.model_copy(update={"clock_hz": 600_000_000})})
    (found,) = doubts(first.model_copy(update={"timings": (timing, slow)}))
    assert "fell from 1500 to 600 MHz" in found


@pytest.mark.parametrize("value", [0, -1.0, 1e9, None, "fast"])
def test_a_time_that_is_none_is_refused(tmp_path: Path, value: object) -> None:
    document = json.loads(measurement().model_dump_json())
    document["timings"][0]["samples"] = [value]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataFileError, match=r"mine\.json: timings\.0\.samples"):
        read_measurement(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_one_clear_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.json"
        path.write_bytes(content)
        with pytest.raises(DataFileError, match=r"mine\.json"):
            read_measurement(path)


def test_the_board_s_own_words_are_read(tmp_path: Path) -> None:
    for name, text in (("clock", "1500000\n"), ("heat", "48312\n"), ("firmware", "50005\n")):
        (tmp_path / name).write_text(text)
    found = condition(clock=tmp_path / "clock", temperature=tmp_path / "heat", firmware=tmp_path / "firmware")
    assert (found.clock_hz, found.temperature_celsius, found.throttled) == (1_500_000_000, 48.312, True)
    assert found.was_throttled
    nothing = condition(clock=tmp_path / "no", temperature=tmp_path / "no", firmware=tmp_path / "no")
    assert (nothing.clock_hz, nothing.temperature_celsius, nothing.throttled) == (None, None, None)


@pytest.mark.parametrize("model", SUITE)
def test_every_model_of_the_suite_can_be_made(model: str) -> None:
    assert len(classifier(model, "float32")) > 1000
