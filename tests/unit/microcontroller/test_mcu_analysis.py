"""From a record to the document: checks, verdict, what is unavailable, and reports. Nothing is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox import rundir
from sandbox.check import CheckRequest
from sandbox.check import check as run_check
from sandbox.engines.base import Outcome
from sandbox.errors import DataFileError, UsageError
from sandbox.metrics import Metric, Unavailable
from sandbox.microcontroller.analysis import analyse, assemble
from sandbox.microcontroller.board import Ram, load_board
from sandbox.microcontroller.flash import predicted_flash
from sandbox.microcontroller.host import read_arena, read_outputs
from sandbox.microcontroller.profile import read_request, record_of
from sandbox.microcontroller.record import ARENA_JOB, RECORD, MicrocontrollerRecord, read_record, write_record
from sandbox.plan import ProfileRequest
from sandbox.record import EngineRecord
from sandbox.reports import check_terminal, terminal
from sandbox.resources import data_directory
from sandbox.result import Check, Result, parse_result
from tests import zoo

from .models import EXAMPLE

SPECS = data_directory("device_specs")
RAN: dict[str, Any] = {
    "schema": 1,
    "runtime": {
        "python": "3.11.2",
        "numpy": "1.24.2",
        "arena": {"enough": 262144, "minimum": 169040, "total": 169040, "head": 131072, "tail": 37968},
    },
    "outputs": [{"name": "y", "dtype": "int8", "shape": [1, 1001], "sha256": "ab" * 32}],
    "error": None,
}


def record(board: str = "nucleo-l4r5zi", model: Path = EXAMPLE, **changes: Any) -> MicrocontrollerRecord:
    request = ProfileRequest(model=model, device=board, **changes)
    graph, spec = read_request(request)
    return record_of(request, graph, spec)


def folder(tmp_path: Path, report: dict[str, Any], *, board: str = "nucleo-l4r5zi", **outcome: Any) -> Path:
    """A run folder as the run on this host leaves it."""
    engine = EngineRecord(name="native", emulator_digest="d", isolated=True)
    write_record(tmp_path, record(board).model_copy(update={"engine": engine}))
    job = tmp_path / ARENA_JOB
    job.mkdir()
    (job / rundir.RUNNER_REPORT).write_text(json.dumps(report))
    (job / rundir.PHASES).write_text('{"phase": "load", "t_ns": 1}\n')
    given = {"exit_code": 0, "limit_mechanism": "none", "isolation": "bubblewrap", "emulator": None, "seconds": 0.5}
    rundir.write_outcome(job, Outcome(**{**given, **outcome}))
    return tmp_path


def the(result: Result, check: str) -> Check:
    return next(each for each in result.checks if each.id == check)


def test_a_run_folder_says_no_path_of_the_spec(tmp_path: Path) -> None:
    spec = tmp_path / "door-camera.toml"
    spec.write_bytes((data_directory("device_specs") / "nucleo-l4r5zi.toml").read_bytes())
    assert record(str(spec)).board.origin == Path("door-camera.toml")


def test_a_run_on_this_host(tmp_path: Path) -> None:
    result = analyse(folder(tmp_path, RAN))
    part = result.microcontroller
    assert part is not None
    assert (part.level, part.core, result.verdict.status) == ("host", "cortex-m4", "ready")
    assert [(each.where, each.kernels) for each in part.arenas] == [
        ("device", "cmsis-nn"), ("device", "reference"), ("host", "reference"),
    ]  # fmt: skip
    host = part.arenas[2]
    assert isinstance(host.minimum, Metric)
    assert (host.minimum.value, host.minimum.mode) == (169040, "measured")
    assert part.outputs[0].sha256 == "ab" * 32
    assert {check.id: check.status for check in result.checks} == dict.fromkeys(
        ("memory", "flash", "operators", "cpu", "run"), "pass"
    )


def test_what_only_linux_has_is_unavailable_and_says_so(tmp_path: Path) -> None:
    result = analyse(folder(tmp_path, RAN))
    for quantity in (result.memory.peak_rss, result.memory.available, result.heap.peak):
        assert isinstance(quantity, Unavailable)
        assert "not a Linux device" in quantity.unavailable
    assert result.device.page_size_bytes is None


def test_the_document_can_be_read_again(tmp_path: Path) -> None:
    result = analyse(folder(tmp_path, RAN))
    assert parse_result(result.model_dump_json(), tmp_path) == result


def test_a_board_too_small_in_ram(tmp_path: Path) -> None:
    result = analyse(folder(tmp_path, RAN, board="nucleo-f446re"))
    check = the(result, "memory")
    assert (check.status, result.verdict.status) == ("fail", "not_ready")
    assert "131 kB of RAM" in check.reason
    assert check.fix


def test_what_tflm_says_of_too_small_an_arena(tmp_path: Path) -> None:
    """People met these words on the board; and what TFLM reports may be less than it needs (tflite-micro #2738)."""
    said = "Failed to allocate tail memory. Requested: 24,\n available 16, missing: 8"
    figures = {"enough": 262144, "minimum": 169040, "total": 160000, "head": 122032, "tail": 37968, "refusal": said}
    ran = {**RAN, "runtime": {**RAN["runtime"], "arena": figures}}
    reason = the(analyse(folder(tmp_path, ran, board="nucleo-f446re")), "memory").reason
    assert "of too small an arena TFLM says: Failed to allocate tail memory. Requested: 24, available 16" in reason
    assert "do not size it by what TFLM reports to have used: that is 160 kB on this host" in reason
    assert "where it works from 169 kB" in reason
    for odd in (None, 3, ["x"]):
        found = read_arena({"runtime": {"arena": {**figures, "refusal": odd}}}, "1")
        assert not isinstance(found, Unavailable)
        assert found.refusal is None


def test_an_arena_must_fit_into_one_block() -> None:
    """Two banks of 128 KiB with a gap hold no arena of 165 kB, though it is less than both together."""
    whole = load_board("nucleo-f446re", SPECS)
    banks = tuple(Ram(name=f"r{i}", base=0x2000_0000 + i * 0x100_0000, size_bytes=131072, kind="sram") for i in (0, 1))
    engine = EngineRecord(name="native", emulator_digest="d", isolated=True)
    split = record("nucleo-f446re").model_copy(
        update={"board": whole.model_copy(update={"ram": banks}), "engine": engine}
    )
    assert the(assemble(split, None), "memory").status == "fail"
    joined = tuple(bank.model_copy(update={"base": 0x2000_0000 + i * 131072}) for i, bank in enumerate(banks))
    one_block = split.model_copy(update={"board": whole.model_copy(update={"ram": joined})})
    assert the(assemble(one_block, None), "memory").status == "pass"


@pytest.mark.parametrize(
    ("memory", "reserve", "status"), [(None, 0, "pass"), (170 << 10, 0, "warn"), (170 << 10, 20 << 10, "fail")]
)
def test_a_limit_and_a_reserve_of_the_user_s(memory: int | None, reserve: int, status: str) -> None:
    made = assemble(record(memory_bytes=memory, reserve_bytes=reserve), None)
    assert the(made, "memory").status == status


def test_a_board_too_small_in_flash() -> None:
    result = assemble(record("nucleo-f103rb"), None)
    check = the(result, "flash")
    assert check.status == "fail"
    assert "131 kB of flash" in check.reason


def test_flash_is_known_within_bounds() -> None:
    """Two builds for Cortex-M4F: 6 kinds of operators took 60 and 106 kB, all 118 took 395 and 459 kB."""
    board = load_board("nucleo-l4r5zi", SPECS)
    for kernels, kinds, code in (("reference", 6, 60e3), ("cmsis-nn", 6, 106e3), ("reference", 118, 395e3)):
        flash = predicted_flash(board, kernels, 1000, kinds)  # type: ignore[arg-type]
        assert isinstance(flash.code, Metric)
        assert isinstance(flash.total, Metric)
        assert flash.code.value == pytest.approx(code, rel=0.01)
        assert flash.total.value == flash.code.value + 1000
        assert (flash.code.low or 0) < code < (flash.code.high or 0)


def test_a_missing_operator_is_named(tmp_path: Path) -> None:
    model = tmp_path / "custom.tflite"
    model.write_bytes(zoo.make("custom_op_FlexRFFT.tflite"))
    result = assemble(record(model=model), None)
    check = the(result, "operators")
    assert (check.status, check.reason) == ("fail", "TFLM has no FlexRFFT")
    assert result.ops[0].status == "missing"
    assert result.verdict.status == "not_ready"


def test_what_tflm_refuses_is_a_matter_of_operators(tmp_path: Path) -> None:
    said = "Hybrid models are not supported on TFLite Micro.; Node CONV_2D (number 0) failed to prepare"
    error = {"phase": "load", "type": "TflmError", "message": said, "cause": None}
    result = analyse(folder(tmp_path, {**RAN, "error": error}, exit_code=1))
    check = the(result, "operators")
    assert check.status == "fail"
    assert "Hybrid models" in check.reason
    assert "int8" in (check.fix or "")
    assert the(result, "memory").status == "unknown"
    assert result.microcontroller is not None
    assert result.microcontroller.arenas == ()


def test_an_arena_that_no_board_has_is_a_matter_of_memory(tmp_path: Path) -> None:
    error = {
        "phase": "load",
        "type": "TflmError",
        "message": "Failed to allocate tail memory. Requested: 2088, available 1552, missing: 536",
        "cause": None,
    }
    result = analyse(folder(tmp_path, {**RAN, "error": error}, exit_code=1))
    assert the(result, "memory").status == "fail"


def test_a_crash_of_tflm_is_a_verdict(tmp_path: Path) -> None:
    result = analyse(folder(tmp_path, {**RAN, "error": None}, exit_code=None, signal=11))
    assert the(result, "run").status == "fail"
    assert "signal 11" in the(result, "run").reason


def test_a_float_model_without_an_fpu_runs_but_slowly(tmp_path: Path) -> None:
    model = tmp_path / "tiny.tflite"
    model.write_bytes(zoo.make("tiny_conv_fp32.tflite"))
    result = assemble(record("nucleo-g0b1re", model), None)
    assert the(result, "cpu").status == "warn"
    assert result.verdict.status == "marginal"
    assert the(assemble(record("nucleo-l4r5zi", model), None), "cpu").status == "pass"


@pytest.mark.parametrize(("budget", "status"), [(60.0, "pass"), (0.001, "fail"), (0.35, "warn")])
def test_a_latency_budget(budget: float, status: str) -> None:
    assert the(assemble(record("ek-ra6m4", latency_budget_seconds=budget), None), "latency").status == status


def test_a_budget_without_an_estimate_is_unknown(tmp_path: Path) -> None:
    model = tmp_path / "tiny.tflite"
    model.write_bytes(zoo.make("tiny_conv_int8.tflite"))
    made = assemble(record("corstone-300", model, latency_budget_seconds=1.0), None)
    assert (the(made, "latency").status, made.verdict.status) == ("unknown", "unknown")


@pytest.mark.parametrize(
    "arena",
    [
        None,
        [],
        {},
        {"minimum": -1, "total": 1, "head": 0, "tail": 1},
        {"minimum": 1 << 40, "total": 3, "head": 1, "tail": 2},
        {"minimum": 3.5, "total": 3, "head": 1, "tail": 2},
        {"minimum": True, "total": 3, "head": 1, "tail": 2},
        {"minimum": 3, "total": 3, "head": 1, "tail": 1},
    ],
)
def test_the_child_s_figures_are_checked(arena: Any) -> None:
    assert isinstance(read_arena({"runtime": {"arena": arena}}, "1"), Unavailable)


@pytest.mark.parametrize("outputs", [None, 3, ["x"], [{"name": 1}], [{"shape": [None], "sha256": "x"}]])
def test_the_child_s_outputs_are_checked(outputs: Any) -> None:
    assert read_outputs({"outputs": outputs}) == ()


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=f"{RECORD} is missing"):
        read_record(tmp_path)
    (tmp_path / RECORD).write_text('{"schema_version": 1}')
    with pytest.raises(DataFileError, match="tool_version"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"os": "bookworm-arm64"},
        {"threads": 2},
        {"swap": True},
        {"caches": True},
        {"delegates": False},
        {"engine": "docker"},
        {"runtime": "onnxruntime"},
        {"shapes": {"input": (1, 2)}},
    ],
)
def test_options_of_linux_devices_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="nucleo-l4r5zi is a microcontroller"):
        record(**changes)


def test_an_onnx_model_is_refused() -> None:
    with pytest.raises(UsageError, match=r"TFLM runs \.tflite files"):
        record(model=EXAMPLE.with_name("mobilenet_v1_0.25_128_fp32.onnx"))


def test_the_static_check_and_its_report() -> None:
    made = run_check(CheckRequest(model=EXAMPLE, device="nucleo-l4r5zi"))
    assert made.microcontroller is not None
    assert made.microcontroller.level == "static"
    assert made.verdict.status == "ready"
    text = check_terminal.render(made)
    for words in ("nothing was run", "arena", "CMSIS-NN", "on this 64-bit host", "multiply-accumulates", "READY"):
        assert words in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_report_for_people(tmp_path: Path) -> None:
    text = terminal.render(analyse(folder(tmp_path, RAN)))
    for words in ("169,040 B measured", "predicted", "head 131,072 B", "TFLM has", "31 of 31", "READY"):
        assert words in text
    assert all(len(line) <= 80 for line in text.splitlines())
