"""A job's counter files → the figures of an inference, or the reason why there are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sandbox.metrics import Metric, Unavailable
from sandbox.profilers import inference
from sandbox.profilers.counts import Marks, Work, parse_marks
from tests.unit.profilers.count_files import INFERENCE, block, delta

NO_PLUGINS = "the run left no counts: its emulator loads no plugins"
ENDED = "the run ended before it could say what was counted"
RUN = block(0, 0x1000, integer=2) + delta((0, 0, 5), token=INFERENCE, since=0, time=10)
REPORT = {"pid": 7}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "counts").mkdir()
    return tmp_path


def marks_of(folder: Path, content: bytes, report: dict[str, Any] | None = None) -> Marks | str:
    (folder / "counts" / "7.marks").write_bytes(content)
    return inference.read_marks(folder, REPORT if report is None else report)


def test_the_marks_of_the_runner_s_process(folder: Path) -> None:
    (folder / "counts" / "8.marks").write_bytes(b"another process")
    found = marks_of(folder, RUN)
    assert isinstance(found, Marks)
    assert found.addresses.tolist() == [0x1000]


@pytest.mark.parametrize(
    "report",
    [
        None,
        {},
        {"pid": None},
        {"pid": True},
        {"pid": "7"},
        {"pid": [7]},
        {"pid": 7.0},
        {"pid": -1},
        {"pid": 0},
        {"pid": 10**4000},
    ],
)
def test_a_run_that_did_not_say_which_process_it_was(folder: Path, report: dict[str, Any] | None) -> None:
    (folder / "counts" / "7.marks").write_bytes(RUN)
    assert inference.read_marks(folder, report) == ENDED


def test_a_process_that_left_nothing(folder: Path) -> None:
    assert marks_of(folder, RUN, {"pid": 8}) == NO_PLUGINS
    assert inference.read_marks(folder / "elsewhere", {"pid": 8}) == NO_PLUGINS


def test_the_plugin_s_own_word_for_it(folder: Path) -> None:
    said = "qemu: hello\nedge-sandbox counting plugin: /edge/run/counts: Permission denied\nmore\n"
    assert inference.read_marks(folder, REPORT, said) == "/edge/run/counts: Permission denied"
    assert len(str(inference.read_marks(folder, REPORT, f"edge-sandbox counting plugin: {'x' * 10_000}"))) == 200


def test_damaged_marks(folder: Path) -> None:
    assert marks_of(folder, RUN + b"\xff" * 4) == f"the file of marks is damaged at byte {len(RUN)}"


@pytest.mark.parametrize("content", [b"", RUN[:64], RUN[:-1]])
def test_marks_without_an_inference(folder: Path, content: bytes) -> None:
    assert marks_of(folder, content) == "the run counted no inference"


@pytest.mark.timeout(10)
def test_links_and_pipes_are_not_followed(folder: Path) -> None:
    secret = folder / "secret"
    secret.write_bytes(RUN)
    place = folder / "counts" / "7.marks"
    place.symlink_to(secret)
    assert "cannot be read" in str(inference.read_marks(folder, REPORT))
    place.unlink()
    os.mkfifo(place)
    assert "cannot be read" in str(inference.read_marks(folder, REPORT))


def test_counted_inferences() -> None:
    marks = parse_marks(
        block(0, 0x1000, integer=2)
        + delta((0, 0, 1), token=0, since=0, time=3)
        + delta((0, 0, 4), token=INFERENCE, since=3, time=12)
        + delta((0, 0, 6), token=INFERENCE, since=50, time=62)
        + delta((0, 0, 9), token=3, since=70, time=99)
    )
    found = inference.counted_inferences(marks)
    assert [(each.instructions, each.critical_path) for each in found] == [(10, 12), (12, 12)]
    assert [segment.token for segment in inference.in_order(marks)] == [INFERENCE]
    assert inference.in_order(parse_marks(delta(token=1))) == ()


def a_work(by_thread: dict[int, int], path: int) -> Work:
    total = sum(by_thread.values())
    return Work(
        instructions=total, critical_path=path, classes={"integer": total}, by_thread=by_thread, l2_lines=0,
        dram_lines=0, addresses={},
    )  # fmt: skip


def metric(value: float, low: float, high: float) -> Metric:
    return Metric(value=value, unit="instruction", mode="emulated", low=low, high=high, source="QEMU")


def test_counts_of_an_inference_are_the_mean_of_all() -> None:
    works = (a_work({0: 100, 1: 50}, 110), a_work({1: 60, 0: 100}, 112), a_work({0: 101, 1: 70}, 111))
    found = inference.inference_counts(works, "QEMU")
    assert found.instructions == metric(160, 150, 171)
    assert found.critical_path == metric(111, 110, 112)
    assert found.classes == {"integer": 171}
    assert [(each.thread, each.instructions) for each in found.threads] == [
        (0, metric(100, 100, 101)),
        (1, metric(60, 50, 70)),
    ]


def test_helpers_of_the_runtime_are_no_workers() -> None:
    found = inference.inference_counts((a_work({0: 998_990, 3: 1000, 4: 10, 5: 0}, 1),), "QEMU")
    assert [each.thread for each in found.threads] == [0, 3]


def test_a_worker_that_was_not_there_in_the_first_inference() -> None:
    found = inference.inference_counts((a_work({0: 100}, 100), a_work({0: 50, 1: 50}, 60)), "QEMU")
    assert found.threads[1].instructions == metric(25, 0, 50)


@pytest.mark.parametrize(("works", "reason"), [("no plugin", "no plugin"), ((), "the run counted no inference")])
def test_no_counts_have_a_reason(works: str | tuple[Work, ...], reason: str) -> None:
    found = inference.inference_counts(works, "QEMU")
    assert found.instructions == found.critical_path == Unavailable(unavailable=reason)
    assert (found.classes, found.threads) == ({}, ())


def test_time_of_instructions() -> None:
    assert inference.seconds(3_000_000_000, (2, 3)) == pytest.approx(2.0)
    assert inference.seconds(0, (1000, 1)) == 0
    assert inference.instructions(5, "QEMU") == Metric(value=5, unit="instruction", mode="emulated", source="QEMU")
