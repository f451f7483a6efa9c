"""Run folder → result: what the plugin counted, and where it could not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.analysis import analyse
from sandbox.metrics import Metric, Unavailable
from sandbox.profilers.ops import TICK_SOURCE
from sandbox.result import Result
from tests.unit.counted_runs import BLOCKS, count, instructions_of, operators, uncounted
from tests.unit.profilers.count_files import INFERENCE, block, delta
from tests.unit.recorded import copy, edit


def test_times_are_those_of_the_counted_inferences(tmp_path: Path) -> None:
    folder = uncounted(tmp_path)
    count(folder / "latency").write_bytes(
        BLOCKS
        + delta((0, 0, 300), token=INFERENCE, since=1000, time=4000)
        + delta((0, 0, 300), (1, 2, 600), token=INFERENCE, since=9000, time=15_000)
    )
    latency = analyse(folder).latency
    assert latency.samples == pytest.approx((2e-6, 4e-6))
    assert isinstance(latency.mean, Metric)
    assert latency.mean.value == pytest.approx(3e-6)
    assert (latency.mean.mode, latency.mean.source) == ("emulated", TICK_SOURCE)
    assert isinstance(latency.counts.instructions, Metric)
    assert (latency.counts.instructions.value, latency.counts.instructions.high) == (3300, 3600)
    assert latency.counts.classes == {"vector_fma": 3000, "integer": 600}
    assert [work.thread for work in latency.counts.threads] == [0, 2]


def test_without_counts_times_are_the_runner_s_and_the_reason_is_told(tmp_path: Path) -> None:
    folder = uncounted(tmp_path)
    report = json.loads((folder / "latency" / "runner.json").read_text())
    found = analyse(folder)
    why = Unavailable(unavailable="the run left no counts: its emulator loads no plugins")
    assert found.latency.counts.instructions == found.latency.counts.critical_path == why
    assert found.latency.samples == tuple(ns / 1e9 for ns in report["latencies_ns"])
    assert isinstance(found.latency.mean, Metric)
    assert str(found.latency.mean.source).endswith(", wall time on this host")
    assert len(found.ops) == 31
    assert {op.instructions for op in found.ops} == {why}
    assert isinstance(found.ops[0].time, Metric)
    assert found.verdict.status == "ready"


def test_what_the_plugin_could_not_do_is_the_reason(tmp_path: Path) -> None:
    folder = uncounted(tmp_path)
    said = "edge-sandbox counting plugin: cannot write /edge/run/counts: No space left on device\n"
    edit(folder / "latency" / "outcome.json", lambda told: told.update(stderr=said))
    assert analyse(folder).latency.counts.instructions == Unavailable(
        unavailable="cannot write /edge/run/counts: No space left on device"
    )


def test_the_host_s_own_core_counts_nothing(tmp_path: Path) -> None:
    folder = copy("ready", tmp_path)
    for job in ("latency", "operators"):
        edit(folder / job / "outcome.json", lambda told: told.update(emulator=None))
    found = analyse(folder)
    why = "the native engine runs on this host's own core: instructions are counted under emulation only"
    assert found.latency.counts.instructions == Unavailable(unavailable=why)
    assert {op.instructions for op in found.ops} == {Unavailable(unavailable=why)}
    assert isinstance(found.latency.mean, Metric)
    assert (found.latency.mean.mode, found.latency.mean.source) == ("measured", "wall time on this host's own core")


def test_operators_have_their_instructions(tmp_path: Path) -> None:
    folder = uncounted(tmp_path)
    operators(folder)
    conv, outside = analyse(folder).ops
    assert (conv.status, conv.kernels[0].function, conv.kernels[0].library) == ("delegated", "xnn_gemm", "XNNPACK")
    assert (instructions_of(conv), instructions_of(outside)) == (300, 40)
    assert isinstance(conv.lines_from_l2, Unavailable)
    assert outside.kernels[0].library == "unknown"
    edit(folder / "run.json", lambda record: record.update(caches=True))
    assert isinstance(analyse(folder).ops[0].lines_from_l2, Metric)


def test_what_lies_outside_operators_is_none_of_them(tmp_path: Path) -> None:
    folder = uncounted(tmp_path)
    operators(folder)
    (check,) = (check for check in analyse(folder).checks if check.id == "operators")
    assert check.reason.endswith("(0 native, 1 delegated after fusing)")


def test_the_profiler_s_own_work_is_taken_off_by_the_latency_run(tmp_path: Path) -> None:
    """Where the same file was mapped elsewhere: code is known by its place in the file."""
    folder = uncounted(tmp_path)
    operators(folder)
    code = {"1000": ["xnn_gemm", "XNNPACK", "lib.so+1000"], "2000": [None, "python3.11", "python3.11+20"]}
    (folder / "operators" / "code.json").write_text(json.dumps(code))
    moved = {"5000": code["1000"], "6000": code["2000"]}
    (folder / "latency" / "code.json").write_text(json.dumps(moved))
    count(folder / "latency").write_bytes(
        block(0, 0x5000, vector_fma=10)
        + block(1, 0x6000, integer=1)
        + delta((0, 0, 30), (1, 0, 10), token=INFERENCE, time=310)
    )
    conv, outside = analyse(folder).ops
    assert (instructions_of(conv), instructions_of(outside)) == (300, 10)


@pytest.mark.parametrize("since", [10, 2**64 - 1])
def test_an_inference_that_took_no_time(tmp_path: Path, since: int) -> None:
    """No run has one; a guest that writes over its counts may."""
    folder = uncounted(tmp_path)
    count(folder / "latency").write_bytes(BLOCKS + delta((0, 0, 3), token=INFERENCE, since=since, time=10))
    found = analyse(folder)
    assert Result.model_validate_json(found.model_dump_json()) == found
    assert not [sample for sample in found.latency.samples if sample <= 0]
