"""Several threads: the count of one thread beside them reaches the result, and a run without it stays readable."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sandbox.analysis import analyse
from sandbox.metrics import Metric
from sandbox.plan import ONE_THREAD
from tests.unit.recorded import copy, edit


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A recorded run as if of four threads, its count of one being the same."""
    made = copy("ready", tmp_path)
    shutil.copytree(made / "latency", made / ONE_THREAD)

    def of_four(record: dict[str, object]) -> None:
        jobs = record["jobs"]
        assert isinstance(jobs, list)
        record["jobs"] = [*jobs, ONE_THREAD]

    edit(made / "run.json", of_four)
    return made


def test_the_count_of_one_thread_is_in_the_result(run: Path) -> None:
    found = analyse(run).latency
    assert found.work is not None
    assert isinstance(found.work.instructions, Metric)
    assert found.work.classes == found.counts.classes


def test_without_it_there_is_none(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / ONE_THREAD)
    assert analyse(run).latency.work is None
    other = tmp_path / "other"
    other.mkdir()
    assert analyse(copy("ready", other)).latency.work is None


def test_a_damaged_one_is_none(run: Path) -> None:
    for path in (run / ONE_THREAD / "counts").glob("*.marks"):
        path.write_bytes(b"nothing")
    assert analyse(run).latency.work is None
