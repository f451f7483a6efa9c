"""The runner as the host starts it: a process, a request file, and what it leaves in the run folder.

The runtimes are stand-ins from ``fakes``; the real ones run in the emulated guests.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox.image.emulator import host_architecture
from sandbox.resources import data_directory
from tests.unit.guest.guest_modules import GUEST, load

FAKES = Path(__file__).resolve().parent / "fakes"


class Run:
    """A finished run and its files."""

    def __init__(self, folder: Path, request: dict[str, Any]) -> None:
        self.folder = folder
        path = folder / "request.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        argv = [sys.executable, "-B", str(GUEST / "runner.py"), str(path)]
        environment = {**os.environ, "PYTHONPATH": str(FAKES)}
        self.process = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)

    @property
    def report(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "runner.json").read_text(encoding="utf-8"))
        return document

    @property
    def phases(self) -> list[str]:
        lines = (self.folder / "phases.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["phase"] for line in lines]


def onnx(tmp_path: Path, model: dict[str, Any], **changes: Any) -> Run:
    (tmp_path / "model.onnx").write_text(json.dumps({"shape": [1, 3], **model}), encoding="utf-8")
    request = {"schema": 1, "model": str(tmp_path / "model.onnx"), "format": "onnx", "runtime": "onnxruntime"}
    return Run(tmp_path, {**request, "repeat": 2, "run_dir": str(tmp_path), **changes})


def tflite(tmp_path: Path, **changes: Any) -> Run:
    request = {"schema": 1, "model": "model.tflite", "format": "tflite", "runtime": "tflite-runtime"}
    return Run(tmp_path, {**request, "repeat": 2, "run_dir": str(tmp_path), **changes})


ALL_PHASES = ["import", "load", "allocate", "warmup", "inference", "report", "done"]


def test_a_good_run(tmp_path: Path) -> None:
    run = onnx(tmp_path, {})
    assert (run.process.returncode, run.process.stderr, run.process.stdout) == (0, "", "")
    assert run.phases == ALL_PHASES
    report = run.report
    assert report["error"] is None
    assert report["runtime"]["name"] == "onnxruntime"
    assert report["runtime"]["version"] == "9.9.9"
    assert report["runtime"]["numpy"] == np.__version__
    assert report["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 3]}]
    assert len(report["latencies_ns"]) == 2
    assert min(report["latencies_ns"]) > 0
    assert report["outputs"][0]["name"] == "file"
    with np.load(tmp_path / "outputs.npz") as outputs:
        assert outputs["file"].shape == (1, 3)


def test_the_same_request_gives_the_same_bytes(tmp_path: Path) -> None:
    archives = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        onnx(tmp_path / name, {})
        archives.append((tmp_path / name / "outputs.npz").read_bytes())
    assert archives[0] == archives[1]


def test_operators_of_onnx(tmp_path: Path) -> None:
    (row,) = onnx(tmp_path, {}, profile="operators").report["operators"]
    assert (row["type"], row["name"], row["calls"], row["time_ns"]) == ("Mul", "double", 2, 7000)


def test_who_the_plugin_counted_is_told(tmp_path: Path) -> None:
    pid = onnx(tmp_path, {}).report["pid"]
    assert isinstance(pid, int)
    assert pid > 1
    assert not (tmp_path / "maps.txt").exists(), "addresses are of use where something was counted"


CLOCK = data_directory("native") / f"clock-{host_architecture()}.so"


@pytest.mark.parametrize("profile", ["latency", "operators"])
def test_a_counted_run(tmp_path: Path, profile: str) -> None:
    """Threads that look for work in a loop would be counted as if they had found some: that is switched off."""
    entries = {"session.intra_op.allow_spinning": "0"}
    run = onnx(tmp_path, {"entries": entries}, profile=profile, counted=True, clock_library=str(CLOCK))
    said = "edge-sandbox clock: cannot map" if profile == "operators" else ""  # there is no plugin here
    assert (run.process.returncode, run.process.stderr[: len(said) or None]) == (0, said)
    assert "r-xp" in (tmp_path / "maps.txt").read_text()
    assert len(run.report["latencies_ns"]) == 2
    if profile == "operators":
        (row,) = run.report["operators"]
        assert row["spans_us"] == [[100, 7], [200, 7]]


def test_a_run_that_is_not_counted_keeps_the_session_s_own_way_to_wait(tmp_path: Path) -> None:
    assert onnx(tmp_path, {"entries": {}}).process.returncode == 0


def test_a_clock_library_that_is_not_there_ends_a_counted_operator_run(tmp_path: Path) -> None:
    run = onnx(tmp_path, {}, profile="operators", counted=True, clock_library="/no/such/clock.so")
    assert (run.process.returncode, run.report["error"]["type"]) == (1, "OSError")


def test_a_profile_that_fails_costs_only_the_profile(tmp_path: Path) -> None:
    run = onnx(tmp_path, {"raise": {"in": "profile", "type": "OSError", "message": "disk full"}}, profile="operators")
    assert run.process.returncode == 0
    assert run.report["operators"] == []
    assert run.report["operators_unavailable"] == "the profile could not be read: OSError: disk full"


@pytest.mark.parametrize(
    ("where", "phase", "type_", "message"),
    [
        ("load", "load", "MemoryError", "std::bad_alloc"),
        ("load", "load", "RuntimeError", "Unsupported model IR version: 10, max supported IR version: 9"),
        ("run", "warmup", "RuntimeError", "failed to invoke"),
    ],
)
def test_a_failure_is_reported_in_the_runtimes_words(
    tmp_path: Path, where: str, phase: str, type_: str, message: str
) -> None:
    run = onnx(tmp_path, {"raise": {"in": where, "type": type_, "message": message}})
    assert run.process.returncode == 1
    assert run.report["error"] == {"phase": phase, "type": type_, "message": message, "cause": None}
    assert run.process.stderr == f"{type_} during {phase}: {message}\n"


@pytest.mark.parametrize(("where", "phase"), [("load", "load"), ("run", "warmup")])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGILL])
def test_the_phase_outlives_a_signal(tmp_path: Path, where: str, phase: str, number: signal.Signals) -> None:
    run = onnx(tmp_path, {"kill": {"in": where, "signal": int(number)}})
    assert run.process.returncode == -number
    assert run.phases[-1] == phase
    assert not (tmp_path / "runner.json").exists()


def test_a_missing_runtime_is_an_import_error(tmp_path: Path) -> None:
    request = {"schema": 1, "model": "m", "format": "tflite", "runtime": "ai-edge-litert", "run_dir": str(tmp_path)}
    run = Run(tmp_path, request)
    assert run.process.returncode == 1
    assert run.report["error"]["phase"] == "import"
    assert run.report["error"]["type"] == "ModuleNotFoundError"


def test_a_dynamic_dimension_without_a_shape(tmp_path: Path) -> None:
    error = onnx(tmp_path, {"shape": [-1, 3]}).report["error"]
    assert error["type"] == "InputError"
    assert "--shape x=N,3" in error["message"]


def test_a_shape_that_the_model_cannot_have(tmp_path: Path) -> None:
    error = onnx(tmp_path, {"shape": [-1, 3]}, shapes={"x": [4, 4]}).report["error"]
    assert (error["type"], error["phase"]) == ("InputError", "allocate")


def test_tflite_with_a_shape_by_signature_name(tmp_path: Path) -> None:
    run = tflite(tmp_path, shapes={"image": [3, 2]})
    assert run.process.returncode == 0, run.process.stderr
    assert run.phases == ALL_PHASES
    assert run.report["inputs"] == [{"name": "serving_default_image:0", "dtype": "int8", "shape": [3, 2]}]
    assert run.report["runtime"]["delegates"] == ["XNNPACK"]
    with np.load(tmp_path / "outputs.npz") as outputs:
        assert outputs["StatefulPartitionedCall:0"].shape == (3, 2)


def test_tflite_without_delegates(tmp_path: Path) -> None:
    assert tflite(tmp_path, shapes={"image": [1, 2]}, delegates="none").report["runtime"]["delegates"] == []


def test_tflite_allocation_failure(tmp_path: Path) -> None:
    error = tflite(tmp_path, shapes={"image": [101, 2]}).report["error"]
    assert (error["phase"], error["message"]) == ("allocate", "Failed to allocate memory for tensors.")


def test_tflite_without_a_hook_lists_operators_without_times(tmp_path: Path) -> None:
    report = tflite(tmp_path, shapes={"image": [1, 2]}, profile="operators").report
    assert "no profiler could be set" in report["operators_unavailable"]
    assert report["operators"][0]["type"] == "ADD"
    assert report["operators"][0]["time_ns"] is None


request_module = load("request")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "request schema 2 is not 1"),
        ({"colour": "red"}, "colour"),
        ({"inputs": "ones"}, "inputs is 'ones'"),
        ({"delegates": "gpu"}, "delegates is 'gpu', must be one of default, none"),
        ({"inputs": "npz"}, "no npz file"),
        ({"repeat": 0}, "at least 1"),
        ({"format": "onnx"}, "tflite-runtime does not run onnx models"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    good = {"schema": 1, "model": "m", "format": "tflite", "runtime": "tflite-runtime", "run_dir": "/r"}
    path = tmp_path / "request.json"
    path.write_text(json.dumps({**good, **changes}), encoding="utf-8")
    with pytest.raises(request_module.RequestError, match=message):
        request_module.read_request(path)


def test_a_refused_request_is_exit_status_2(tmp_path: Path) -> None:
    run = tflite(tmp_path, inputs="ones")
    assert (run.process.returncode, run.process.stderr) == (
        2,
        "RequestError: request: inputs is 'ones', must be one of random, zeros, npz\n",
    )


def test_the_causes_of_an_error_are_kept(tmp_path: Path) -> None:
    report = load("report").Report(tmp_path)
    error = SystemError("returned a result with an error set")
    error.__cause__ = ImportError("numpy.core.multiarray failed to import")
    report.fail("load", error)
    report.write()
    written = json.loads((tmp_path / "runner.json").read_text(encoding="utf-8"))["error"]
    assert written["cause"] == "ImportError: numpy.core.multiarray failed to import"
    assert [path.name for path in tmp_path.iterdir()] == ["runner.json"]
