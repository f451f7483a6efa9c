"""Judging a model by its file: the sum, the verdict, and every reason for which there is none."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jsonschema
import pytest

from sandbox.check import CheckRequest, check
from sandbox.check_result import CheckResult, schema
from sandbox.errors import DataFileError, UsageError
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.reports import json as json_report
from tests import renew, zoo
from tests.record_runs import PROJECT

EXAMPLE = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
EXAMPLE_ONNX = PROJECT / "examples" / "mobilenet_v1_0.25_128_fp32.onnx"


def number(quantity: Quantity) -> float:
    assert isinstance(quantity, Metric), quantity
    assert (quantity.unit, quantity.mode) in {("byte", "predicted"), ("byte", "measured")}
    return quantity.value


def checked(model: Path = EXAMPLE, device: str = "rpi4b", **options: object) -> CheckResult:
    return check(CheckRequest(model=model, device=device, **options))  # type: ignore[arg-type]


def test_the_peak_is_the_sum_of_its_parts() -> None:
    memory = checked().memory
    assert number(memory.peak) == sum(number(part.size) for part in memory.parts)
    assert memory.parts[0].name == "runtime"
    assert memory.parts[0].size == memory.runtime_baseline
    assert number(memory.headroom) == number(memory.available) - number(memory.peak)
    assert memory.peak_operator == memory.operators[0]


@pytest.mark.parametrize(
    ("memory", "status", "check_status"),
    [("256M", "ready", "pass"), ("39M", "marginal", "warn"), ("30M", "not_ready", "fail")],
)
def test_the_verdict(memory: str, status: str, check_status: str) -> None:
    result = checked(memory_bytes=int(memory[:-1]) << 20)
    assert (result.verdict.status, result.checks[0].status) == (status, check_status)
    assert result.checks[0].id == "memory"
    assert (result.verdict.fix is None) == (status == "ready")


def test_every_shipped_image_of_a_device_predicts_its_own_peak() -> None:
    peaks = {os: number(checked(EXAMPLE_ONNX, os=os).memory.peak) for os in ("bookworm-arm64", "trixie-arm64")}
    peaks["bullseye-arm64"] = number(checked(EXAMPLE_ONNX, "rpi4b", os="bullseye-arm64").memory.peak)
    assert len(set(peaks.values())) == 3
    assert number(checked(os="bookworm-armhf").memory.peak) < number(checked().memory.peak)


def test_a_version_that_nobody_has_measured_is_no_number() -> None:
    result = checked(EXAMPLE_ONNX, runtime="onnxruntime@1.20.1")
    assert isinstance(result.memory.peak, Unavailable)
    assert "onnxruntime 1.20.1" in result.memory.peak.unavailable
    assert result.verdict.status == "unknown"
    assert number(result.memory.activations) > 0


def test_a_dynamic_input_wants_its_shape(tmp_path: Path) -> None:
    path = tmp_path / "dynamic_batch.onnx"
    path.write_bytes(zoo.make(path.name))
    with pytest.raises(UsageError, match="only known at run time"):
        checked(path)
    assert number(checked(path, shapes={"input": (2, 3, 8, 8)}).memory.inputs) == 2 * 3 * 8 * 8 * 4


def test_an_open_plan_is_an_unknown_verdict_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "dynamic.tflite"
    path.write_bytes(zoo.make(path.name))
    result = checked(path, shapes={"input": (4, 16)})
    assert result.verdict.status == "unknown"
    assert "only the run time knows" in result.verdict.reasons[0]
    assert (result.memory.operators, result.memory.peak_operator) == ((), None)
    assert number(result.memory.inputs) == 4 * 16 * 4


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="does not exist"):
        checked(tmp_path / "missing.tflite")
    with pytest.raises(UsageError, match="unknown device"):
        checked(device="rpi9")
    with pytest.raises(UsageError, match="does not run the OS image"):
        checked(os="windows")
    with pytest.raises(UsageError, match="does not run tflite"):
        checked(runtime="onnxruntime")


def test_it_takes_no_time() -> None:
    started = time.monotonic()
    checked()
    assert time.monotonic() - started < 2


def test_the_document_keeps_to_the_published_schema() -> None:
    published = json.loads(renew.CHECK_SCHEMA.read_text(encoding="utf-8"))
    assert published == schema(), "run python -m tests.renew"
    jsonschema.Draft202012Validator.check_schema(published)
    document = json.loads(json_report.render(checked()))
    jsonschema.Draft202012Validator(published).validate(document)
    assert CheckResult.model_validate(document) == checked()
