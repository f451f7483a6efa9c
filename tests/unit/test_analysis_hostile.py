"""Run folder → result, where the guest is hostile: whatever it writes, a result comes of it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.analysis import analyse
from sandbox.result import Result
from tests.unit.counted_runs import count, operators, uncounted
from tests.unit.recorded import copy, edit

WORDS = st.sampled_from(
    [
        "schema",
        "runtime",
        "error",
        "operators",
        "latencies_ns",
        "type",
        "message",
        "phase",
        "name",
        "time_ns",
        "dtype",
        "operators_unavailable",
        "delegates",
        "python",
        "delegate",
        "resolution_ns",
        "cause",
        "pid",
        "marks",
        "reported",
        "spans_us",
        "shape",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, 0, -1, 5e-324, 1e308])
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud800", "InputError!", "\x1b[2J", "Encountered unresolved custom op: X"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(), inner, max_size=6)
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("type", "name", "dtype", "delegate", "time_ns", "marks", "reported", "spans_us", "shape"), VALUES
        ),
    )
)
REPORTS = st.fixed_dictionaries(
    {},
    optional={
        "operators": ROWS | VALUES,
        "error": st.dictionaries(st.sampled_from(["phase", "type", "message", "cause"]), VALUES) | VALUES,
        "latencies_ns": st.lists(SCALARS) | VALUES,
        "runtime": VALUES,
        "operators_unavailable": VALUES,
        "pid": st.just(7) | VALUES,
    },
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = uncounted(tmp_path_factory.mktemp("hostile"))
    operators(folder)
    shutil.copytree(folder / "operators" / "counts", folder / "latency" / "counts")
    return folder


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A run with two operators, and the marks of both its jobs."""
    folder = uncounted(tmp_path_factory.mktemp("counted"))
    operators(folder)
    good = (folder / "operators" / "counts" / "7.marks").read_bytes()
    count(folder / "latency").write_bytes(good)
    return folder, good


def assert_sane(folder: Path) -> None:
    """A result that can be written and read again."""
    found = analyse(folder)
    assert Result.model_validate_json(found.model_dump_json()) == found
    assert found.verdict.status in {"ready", "not_ready"}


@given(report=REPORTS | VALUES)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_guest_reports(hostile: Path, report: Any) -> None:
    for job in ("latency", "operators"):
        (hostile / job / "runner.json").write_text(json.dumps(report))
    assert_sane(hostile)


@given(content=st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_whatever_bytes_the_guest_writes(hostile: Path, content: bytes) -> None:
    for job in ("latency", "operators"):
        for name in ("runner.json", "phases.jsonl", "code.json"):
            (hostile / job / name).write_bytes(content)
    (hostile / "heap" / "massif.out").write_bytes(content)
    assert_sane(hostile)


@given(place=st.integers(0, 400), change=st.binary(min_size=1, max_size=80))
@settings(max_examples=100, deadline=None)
def test_whatever_the_guest_writes_over_its_counts(counted: tuple[Path, bytes], place: int, change: bytes) -> None:
    folder, good = counted
    for job in ("latency", "operators"):
        marks = folder / job / "counts" / "7.marks"
        marks.write_bytes(good[:place] + change + good[place + len(change) :])
    assert_sane(folder)


@pytest.mark.parametrize("depth", [10, 20, 900, 100_000])
def test_a_report_nested_beyond_reason(tmp_path: Path, depth: int) -> None:
    folder = copy("ready", tmp_path)
    nested = "[" * depth + "]" * depth
    (folder / "latency" / "runner.json").write_text(f'{{"error": {{"message": {nested}}}}}')
    found = analyse(folder)
    if depth < 16:
        assert found.verdict.reasons == (f"run:  during : {nested}",)
    else:
        assert found.verdict.reasons == ("run: ended with status 0 during done: it wrote nothing to stderr",)


def test_half_characters_are_replaced(tmp_path: Path) -> None:
    folder = copy("ready", tmp_path)
    rows = [{"type": "CONV\ud800", "name": "\udfff", "time_ns": 5}]
    edit(folder / "operators" / "runner.json", lambda report: report.update(operators=rows))
    (folder / "latency" / "phases.jsonl").write_text('{"phase": "im\\ud800port", "monotonic_ns": 1}\n')
    found = analyse(folder)
    assert (found.ops[0].type, found.ops[0].name) == ("CONV?", "?")
    assert found.memory.phases[0].name == "im?port"


def test_a_link_or_a_pipe_in_place_of_a_report_is_not_followed(tmp_path: Path) -> None:
    folder = copy("ready", tmp_path)
    report = folder / "latency" / "runner.json"
    secret = tmp_path / "secret.json"
    report.rename(secret)
    report.symlink_to(secret)
    assert analyse(folder).verdict.reasons[0].startswith("run: ended with status 0")
    report.unlink()
    os.mkfifo(report)
    assert analyse(folder).verdict.reasons[0].startswith("run: ended with status 0")
