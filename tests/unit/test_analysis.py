"""Run folder → result: every recorded run, and folders that are damaged or that a hostile guest has written into."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.analysis import analyse
from sandbox.errors import DataFileError, UsageError
from sandbox.metrics import Metric, Unavailable
from sandbox.profilers.ops import TICK_SOURCE
from sandbox.record import RunRecord
from sandbox.result import CheckId, CheckStatus, Result, VerdictStatus
from tests.record_runs import RUNS
from tests.unit.counted_runs import instructions_of, uncounted
from tests.unit.recorded import NAMES, copy, edit, result

ENDED = "the model did not run to its end"
EMULATED = "times are not calibrated: they show proportions, not the device's speed"
UNSEEN = "the run ended before this could be seen"


def refusal(folder: Path) -> DataFileError:
    with pytest.raises(DataFileError) as caught:
        analyse(folder)
    assert caught.value.hint
    return caught.value


def checks_of(found: Result) -> dict[CheckId, CheckStatus]:
    return {check.id: check.status for check in found.checks}


@pytest.mark.parametrize(
    ("name", "verdict", "failed", "reason"),
    [
        ("ready", "ready", None, "memory: peak "),
        (
            "out_of_memory",
            "not_ready",
            "memory",
            "memory: out of memory during warmup: the kernel killed it at the limit of 210 MB",
        ),
        ("missing_operator", "not_ready", "operators", "operators: RuntimeError during allocate: Select TensorFlow op"),
        ("illegal_instruction", "not_ready", "cpu", "cpu: illegal instruction during import: fmov v1.4h"),
        ("timed_out", "not_ready", "run", "run: did not finish: stopped during warmup after 20.1 s"),
    ],
)
def test_verdicts(name: str, verdict: VerdictStatus, failed: CheckId | None, reason: str) -> None:
    found = result(name)
    assert found.verdict.status == verdict
    assert len(found.verdict.reasons) == 1
    assert found.verdict.reasons[0].startswith(reason)
    assert checks_of(found) == {
        check: "pass" if failed is None else "fail" if check == failed else "unknown"
        for check in ("memory", "cpu", "abi", "operators", "run")
    }
    assert found.verdict.fix == next((check.fix for check in found.checks if check.id == failed), None)
    for check in found.checks:
        if check.status == "unknown" and check.id != "memory":
            assert check.reason == UNSEEN


@pytest.mark.parametrize("name", NAMES)
def test_what_was_run_is_named(name: str) -> None:
    found, record = result(name), RunRecord.model_validate_json((RUNS / name / "run.json").read_bytes())
    assert found.tool.version == record.tool_version
    assert (found.started, found.host) == (record.started, record.host)
    assert (found.model.path, found.model.sha256) == (record.model.path, record.model.sha256)
    assert (found.device.id, found.device.emulated_cpu, found.device.cores) == ("rpi4b", "cortex-a72", 4)
    assert (found.image.id, found.image.digest) == ("bookworm-arm64", record.image.digest)
    assert (found.runtime.name, found.runtime.version) == (record.runtime.name, record.runtime.version)
    assert (found.engine.name, found.engine.isolation) == ("local", "bubblewrap")
    assert found.engine.emulator is not None
    assert found.engine.emulator.startswith("QEMU ")
    assert found.engine.emulator_digest == record.engine.emulator_digest
    assert (EMULATED in found.warnings) == (found.latency.calibration is None)


def test_the_ready_run_in_figures() -> None:
    found = result("ready")
    peak, baseline = found.memory.peak_rss, found.memory.runtime_baseline
    available, headroom = found.memory.available, found.memory.headroom
    assert isinstance(peak, Metric)
    assert isinstance(baseline, Metric)
    assert isinstance(available, Metric)
    assert isinstance(headroom, Metric)
    assert 30e6 < baseline.value < peak.value < 50e6
    assert headroom.value == available.value - (peak.high or 0)
    assert (peak.mode, peak.unit) == ("emulated", "byte")
    assert [phase.name for phase in found.memory.phases] == [*("import", "load", "allocate", "warmup", "inference")]
    assert len(found.memory.timeline) > 10

    mean, path = found.latency.mean, found.latency.counts.critical_path
    assert isinstance(mean, Metric)
    assert isinstance(path, Metric)
    assert len(found.latency.samples) == 5
    assert mean.value == pytest.approx(sum(found.latency.samples) / 5)
    assert mean.value == pytest.approx(path.value * 2 / 3 * 1e-9, rel=1e-6), "a cycle of 1.5 GHz for each instruction"
    assert (mean.low, mean.high) == (min(found.latency.samples), max(found.latency.samples))
    assert (mean.mode, mean.source) == ("emulated", TICK_SOURCE)
    assert found.latency.p95 == Unavailable(unavailable="5 inferences are too few for a 95th percentile")
    throughput = found.latency.throughput
    assert isinstance(throughput, Metric)
    assert throughput.value == pytest.approx(1 / mean.value)
    assert throughput.low == pytest.approx(1 / max(found.latency.samples))

    assert len(found.ops) == 32
    assert {op.status for op in found.ops[:-1]} == {"native"}
    assert (found.ops[0].type, found.ops[0].name, found.ops[0].dtype) == ("CONV_2D", "conv", "int8")
    assert found.ops[0].shape == (1, 64, 64, 8)
    assert found.ops_unavailable is None
    assert found.runtime.python == "3.11.2"
    assert found.runtime.numpy == "1.24.2"


def test_the_ready_run_s_instructions() -> None:
    found = result("ready")
    whole = found.latency.counts.instructions
    assert isinstance(whole, Metric)
    assert (whole.unit, whole.mode) == ("instruction", "emulated")
    assert str(whole.source).endswith(", counting plugin")
    assert whole.low is not None
    assert whole.high is not None
    assert whole.low <= whole.value <= whole.high <= whole.low * 1.02
    assert [work.thread for work in found.latency.counts.threads] == [0]
    assert sum(found.latency.counts.classes.values()) == pytest.approx(whole.value, rel=0.02)

    outside = found.ops[-1]
    assert (outside.status, outside.type) == ("outside", "(outside operators)")
    assert sum(map(instructions_of, found.ops)) == pytest.approx(whole.value, rel=0.02)
    assert instructions_of(outside) < 0.05 * whole.value
    for op in found.ops:
        assert sum(op.classes.values()) == pytest.approx(instructions_of(op), abs=20)
        assert isinstance(op.lines_from_l2, Unavailable)
    conv, depthwise = found.ops[0], found.ops[1]
    assert {kernel.library for kernel in conv.kernels} >= {"gemmlowp"}
    assert depthwise.kernels[0].library == "TFLite optimised kernels"
    assert "DepthwiseConv" in str(depthwise.kernels[0].function)


def test_the_ready_run_s_heap() -> None:
    found = result("ready")
    heap = found.heap
    assert isinstance(heap.peak, Metric)
    assert 8e6 < heap.peak.value < 9e6
    assert (heap.peak.mode, heap.peak.source) == ("emulated", f"valgrind massif in {found.engine.emulator}")
    assert heap.sites_unavailable is None
    assert [site.library for site in heap.by_library[:2]] == [
        "python3.11",
        "_multiarray_umath.cpython-311-aarch64-linux-gnu.so",
    ]
    assert len(heap.sites) == 12
    assert heap.timeline_unit == "i"
    assert max(size for _time, size in heap.timeline) == heap.peak.value


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"ready", "calibrated"}])
def test_what_a_failed_run_cannot_say(name: str) -> None:
    found = result(name)
    nothing = Unavailable(unavailable=ENDED)
    assert found.latency.mean == found.latency.p95 == found.latency.throughput == nothing
    assert found.latency.samples == ()
    assert (found.heap.peak, found.heap.sites, found.heap.sites_unavailable) == (nothing, (), ENDED)
    assert found.ops_unavailable == ENDED
    missing = [(op.type, op.status) for op in found.ops if op.status != "not_run"]
    assert missing == ([("FlexRFFT", "missing")] if name == "missing_operator" else [])
    assert len(found.ops) > 0


def test_the_missing_operator_is_named_with_its_reason() -> None:
    op = result("missing_operator").ops[0]
    assert op.detail is not None
    assert op.detail.endswith("Node number 0 (FlexRFFT) failed to prepare.")
    assert result("missing_operator").verdict.fix == (
        "convert with TFLITE_BUILTINS only, or replace FlexRFFT: this build has no Flex delegate"
    )


def test_no_recording_names_a_folder_of_the_machine_that_made_it() -> None:
    for path in RUNS.rglob("*"):
        if path.is_file() and path.suffix != ".out":
            text = path.read_bytes().decode(errors="replace")
            assert not [word for word in ("/tmp/", "/home/", "/root/", os.getcwd()) if word in text], path  # noqa: PTH109


# Damaged folders


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"schema_version": 2}', b"[" * 10**5]
)
@pytest.mark.parametrize("name", ["run.json", "latency/outcome.json"])
def test_a_missing_or_garbled_file(tmp_path: Path, name: str, content: bytes | None) -> None:
    folder = copy("ready", tmp_path)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    assert Path(name).name in refusal(folder).message


def test_a_record_of_another_version_is_refused(tmp_path: Path) -> None:
    folder = copy("ready", tmp_path)
    edit(folder / "run.json", lambda record: record.update(schema_version=2))
    assert "schema_version" in refusal(folder).message
    edit(folder / "run.json", lambda record: record.update(schema_version=1, surprise=1))
    assert "surprise" in refusal(folder).message


def test_an_empty_or_missing_folder(tmp_path: Path) -> None:
    assert "is not a run folder: run.json is missing" in refusal(tmp_path).message
    assert "is not a run folder" in refusal(tmp_path / "nowhere").message


def test_numbers_that_make_no_result(tmp_path: Path) -> None:
    folder = copy("ready", tmp_path)
    outcome = folder / "latency" / "outcome.json"
    edit(outcome, lambda told: told["memory"].update(guest_peak_bytes=10**400))
    assert "Metric.value: Input should be a valid number" in refusal(folder).message
    shutil.copyfile(RUNS / "ready" / "latency" / "outcome.json", outcome)
    edit(outcome, lambda told: told["memory"].update(started_seconds=float("nan")))
    error = refusal(folder)
    assert "Metric.value: Input should be a finite number" in error.message
    assert error.hint == "run the profile again"


@pytest.mark.parametrize(
    ("job", "change", "reason"),
    [
        ("heap", lambda folder: (folder / "massif.out").unlink(), "massif left no file"),
        ("heap", lambda folder: (folder / "massif.out").write_text("x\n"), "massif's output has no time_unit line"),
        (
            "heap",
            lambda folder: (folder / "outcome.json").unlink(),
            "the heap run was not made, for the model had failed by then",
        ),
        (
            "heap",
            lambda folder: edit(folder / "outcome.json", lambda told: told.update(exit_code=None, signal=11)),
            "the heap run failed: crashed during done (signal 11, SIGSEGV)",
        ),
    ],
)
def test_a_heap_run_that_gave_nothing_costs_the_heap_alone(
    tmp_path: Path, job: str, change: Callable[[Path], object], reason: str
) -> None:
    folder = copy("ready", tmp_path)
    (folder / job / "massif.out").touch()
    change(folder / job)
    found = analyse(folder)
    assert found.heap.peak == Unavailable(unavailable=reason)
    assert found.heap.sites_unavailable == reason
    assert found.verdict.status == "ready"


def test_a_heap_run_that_was_not_asked_for(tmp_path: Path) -> None:
    folder = copy("ready", tmp_path)
    edit(folder / "run.json", lambda record: record.update(jobs=["latency", "operators"]))
    assert analyse(folder).heap.sites_unavailable == "the heap run was not asked for"


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (None, "the operators run failed: ended with status 0 during done: it wrote nothing to stderr"),
        ({}, "the runtime's profiler gave no rows"),
        ({"operators": []}, "the runtime's profiler gave no rows"),
        ({"operators": {"0": {}}, "operators_unavailable": "no rows\x1b"}, "no rows\x1b"),
        (
            {"error": {"phase": "load", "type": "E", "message": "no"}},
            "the operators run failed: E during load: no",
        ),
    ],
)
def test_an_operator_run_that_gave_nothing_costs_the_operators_alone(
    tmp_path: Path, report: object, reason: str
) -> None:
    folder = copy("ready", tmp_path)
    path = folder / "operators" / "runner.json"
    path.unlink() if report is None else path.write_text(json.dumps(report))
    found = analyse(folder)
    assert found.ops_unavailable == reason
    assert len(found.ops) == 31
    assert {op.status for op in found.ops} == {"not_run"}
    assert found.ops[0].time == Unavailable(unavailable=reason)
    assert found.verdict.status == "ready"


def test_rows_with_a_note_are_kept(tmp_path: Path) -> None:
    folder = copy("ready", tmp_path)
    edit(folder / "operators" / "runner.json", lambda report: report.update(operators_unavailable="clock is coarse"))
    found = analyse(folder)
    assert found.ops_unavailable == "clock is coarse"
    assert {op.status for op in found.ops} - {"outside"} == {"native"}


def test_inputs_that_cannot_be_fed_are_a_wrong_call(tmp_path: Path) -> None:
    folder = copy("ready", tmp_path)
    error = {"phase": "allocate", "type": "InputError", "message": "input is float32 [1], not int8"}
    edit(folder / "latency" / "runner.json", lambda report: report.update(error=error))
    with pytest.raises(UsageError, match=r"inputs cannot be fed: input is float32 \[1\], not int8") as caught:
        analyse(folder)
    assert caught.value.hint == "see --input and --shape"


@pytest.mark.parametrize(
    ("values", "samples"),
    [
        ([1e6, 2e6], (0.001, 0.002)),
        ([1e6, -1, 0, 0.5, 1e15, "3", None, [], float("nan"), float("inf")], (0.001,)),
        ([5e-324], ()),
        ([10**300], ()),
        ({"0": 1e6}, ()),
        ("123", ()),
        (None, ()),
    ],
)
def test_hostile_latencies(tmp_path: Path, values: object, samples: tuple[float, ...]) -> None:
    folder = uncounted(tmp_path)
    edit(folder / "latency" / "runner.json", lambda report: report.update(latencies_ns=values))
    latency = analyse(folder).latency
    assert latency.samples == samples
    if not samples:
        assert latency.mean == Unavailable(unavailable="the run timed no inference")


def test_enough_inferences_have_a_95th_percentile(tmp_path: Path) -> None:
    folder = uncounted(tmp_path)
    times = [n * 1_000_000 for n in range(1, 101)]
    edit(folder / "latency" / "runner.json", lambda report: report.update(latencies_ns=times))
    p95 = analyse(folder).latency.p95
    assert isinstance(p95, Metric)
    assert (p95.value, p95.unit) == (0.095, "second")


def test_what_the_runtime_says_of_itself(tmp_path: Path) -> None:
    folder = copy("ready", tmp_path)
    path = folder / "latency" / "runner.json"
    edit(path, lambda report: report.update(runtime={"delegates": ["XNNPACK", 3], "python": 3.11, "numpy": None}))
    runtime = analyse(folder).runtime
    assert (runtime.kernels, runtime.python, runtime.numpy) == (("XNNPACK", "3"), "3.11", None)
    edit(path, lambda report: report.update(runtime={"providers": ["CPUExecutionProvider"]}))
    assert analyse(folder).runtime.kernels == ("CPUExecutionProvider",)
    for nonsense in ("x", [1], None, {"delegates": "XNNPACK"}):
        path.write_text(json.dumps({"runtime": nonsense}))
        assert analyse(folder).runtime.kernels == ()


def test_warnings_say_what_was_not_as_on_the_device(tmp_path: Path) -> None:
    folder = copy("ready", tmp_path)
    edit(
        folder / "latency" / "outcome.json",
        lambda told: told.update(isolation="none", limit_mechanism="watchdog", emulator=None),
    )
    edit(
        folder / "run.json",
        lambda record: record["device"].update(page_size_bytes=16384, available={"unavailable": "nobody measured it"}),
    )
    found = analyse(folder)
    assert found.warnings == (
        "the model ran without isolation, as asked: it could reach this host's files and network",
        "the memory limit was kept by a watchdog that reads memory every 10 ms, not by the kernel",
        "nobody measured it",
        "the heap run used pages of 4096 bytes: valgrind starts with no others here",
    )
    assert found.memory.headroom == Unavailable(unavailable="the peak or the available memory is not known")
    assert found.engine.emulator is None
    assert found.engine.emulator_digest is None
    assert found.latency.mean.mode == "measured"  # type: ignore[union-attr]
