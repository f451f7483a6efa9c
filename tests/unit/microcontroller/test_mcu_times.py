"""Times where an emulated core counted: of the whole, of each operator, and which calibration stands behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.graph import read_model
from sandbox.metrics import Metric, Unavailable
from sandbox.microcontroller.analysis import analyse, assemble
from sandbox.microcontroller.board import load_board
from sandbox.microcontroller.outcome import Kernels, MicrocontrollerPart
from sandbox.microcontroller.profile import record_of
from sandbox.microcontroller.record import MicrocontrollerRecord, write_record
from sandbox.microcontroller.runner_record import OperatorCount, RunnerRecord, write_runner
from sandbox.microcontroller.times import with_times
from sandbox.plan import ProfileRequest
from sandbox.reports import html, terminal
from sandbox.resources import data_directory
from sandbox.result import Result, parse_result

from .models import EXAMPLE

OPERATORS = tuple(operator.type for operator in read_model(EXAMPLE).operators)
EACH, BETWEEN = 1_000_000, 50_000


def record(board: str = "nucleo-l4r5zi", **changes: Any) -> MicrocontrollerRecord:
    request = ProfileRequest(model=EXAMPLE, device=board, **changes)
    return record_of(request, read_model(EXAMPLE), load_board(board, data_directory("device_specs")))


def counted(kernels: Kernels = "cmsis-nn", **changes: Any) -> RunnerRecord:
    size = Metric(value=60_000, unit="byte", mode="measured")
    given: dict[str, Any] = {
        "library": "library abc",
        "kernels": kernels,
        "architecture": "Armv7E-M, hard-float ABI",
        "emulator": "QEMU 7.2",
        "engine": "qemu-system",
        "machine": "mps2-an386",
        "differs": (),
        "failure": None,
        "minimum_bytes": 169_040,
        "used_bytes": 169_040,
        "instructions": EACH * len(OPERATORS) + BETWEEN,
        "operators": tuple(OperatorCount(type=kind, instructions=EACH) for kind in OPERATORS),
        "outputs": (),
        "own_flash": size,
        "all_flash": size,
        "ram_without_arena_bytes": 20_000,
        "stack_bytes": 1000,
    }
    return RunnerRecord(**{**given, **changes})


def result(tmp_path: Path, ran: RunnerRecord, board: str = "nucleo-l4r5zi") -> Result:
    write_record(tmp_path, record(board))
    write_runner(tmp_path, ran)
    return analyse(tmp_path)


def part_of(found: Result) -> MicrocontrollerPart:
    assert found.microcontroller is not None
    return found.microcontroller


def value(quantity: object) -> float:
    assert isinstance(quantity, Metric), quantity
    return quantity.value


def test_counted_instructions_make_the_time(tmp_path: Path) -> None:
    found = result(tmp_path, counted())
    latency, mean = found.latency, found.latency.mean
    assert latency.calibration is not None
    assert latency.calibration.id == "nucleo-l4r5zi/tflm-2.3.1-cmsis-nn-int8-instructions"
    assert isinstance(mean, Metric)
    assert mean.mode == "calibrated"
    cycles = mean.value * 120e6 / value(latency.counts.instructions)
    assert 1.6 < cycles < 1.75, "cycles an instruction of the measured models"
    assert mean.low is not None
    assert mean.high is not None
    assert mean.high / mean.value > 1.25, "another build's mix of instructions may cost a quarter more"
    assert mean.value / mean.low == pytest.approx(mean.high / mean.value)
    assert parse_result(found.model_dump_json(), tmp_path).latency == latency


def test_the_operators_and_what_lies_between_are_the_whole(tmp_path: Path) -> None:
    found = result(tmp_path, counted())
    part, mean = part_of(found), value(found.latency.mean)
    times = [value(work.time) for work in part.operators]
    assert sum(times) + value(part.interpreter_time) == pytest.approx(mean)
    assert value(part.interpreter_time) == pytest.approx(mean * BETWEEN / (EACH * len(OPERATORS) + BETWEEN))
    assert len(set(times)) == 1
    shares = [work.time for work in part.operators if isinstance(work.time, Metric)]
    assert all(share.low is None and share.mode == "calibrated" for share in shares), "no interval of an operator"


def test_without_times_over_instructions_those_over_multiply_accumulates_stay(tmp_path: Path) -> None:
    found = result(tmp_path, counted(), "nucleo-h743zi")
    assert found.latency.calibration is not None
    assert found.latency.calibration.id == "stm32h743/tflm-713b6ed-cmsis-nn-int8"
    assert isinstance(found.latency.mean, Metric)
    assert found.latency.mean.mode == "predicted"
    assert value(found.latency.counts.instructions) == EACH * len(OPERATORS) + BETWEEN
    assert value(part_of(found).operators[0].time) > 0


def test_the_library_s_kernels_decide_not_the_board_s(tmp_path: Path) -> None:
    """A library with reference kernels on a core for which people build CMSIS-NN's: nobody published such times."""
    found = result(tmp_path, counted("reference"))
    assert isinstance(found.latency.mean, Unavailable)
    assert "reference kernels on a cortex-m4" in found.latency.mean.unavailable
    assert found.latency.calibration is None
    part = part_of(found)
    assert part.operators[0].time == found.latency.mean
    assert part.interpreter_time == found.latency.mean


def test_operators_that_were_not_counted_have_no_time(tmp_path: Path) -> None:
    found = result(tmp_path, counted(operators=()))
    assert isinstance(found.latency.mean, Metric)
    time = part_of(found).operators[0].time
    assert isinstance(time, Unavailable)
    assert "not counted one by one" in time.unavailable


def test_a_run_that_failed_has_no_count(tmp_path: Path) -> None:
    failed = counted(instructions=None, operators=(), failure="TFLM failed while allocating tensors: too small")
    found = result(tmp_path, failed)
    instructions = found.latency.counts.instructions
    assert isinstance(instructions, Unavailable)
    assert "allocating tensors" in instructions.unavailable
    assert found.verdict.status == "not_ready"


def test_a_budget_is_judged_by_the_time_that_is_shown(tmp_path: Path) -> None:
    seconds = value(result(tmp_path, counted()).latency.mean)
    statuses = []
    for budget in (seconds * 2, seconds / 2):
        asked = record(latency_budget_seconds=budget)
        made = with_times(assemble(asked, None), asked, counted(), "int8", data_directory("calibration"))
        checks = [check for check in made.checks if check.id == "latency"]
        assert len(checks) == 1
        statuses.append(checks[0].status)
        assert made.verdict.status == ("not_ready" if checks[0].status == "fail" else made.verdict.status)
    assert statuses == ["pass", "fail"]


def test_reports_show_the_slowest(tmp_path: Path) -> None:
    found = result(tmp_path, counted())
    text = terminal.render(found)
    assert "slowest" in text
    assert "between operators" in text
    assert "calibrated" in text
    assert "nucleo-l4r5zi/tflm-2.3.1-cmsis-nn-int8-instructions" in text
    page = html.render(found)
    assert "time between operators" in page
