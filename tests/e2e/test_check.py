"""``edge-sandbox check`` as a user calls it: no emulator, no network, no time."""

from __future__ import annotations

import json
import os
import resource
import shlex
import subprocess
from pathlib import Path

import pytest

from tests import zoo
from tests.zoo.onnx_models import outside_weights_onnx

from .cli import COMMAND, EXAMPLE_ONNX, EXAMPLE_TFLITE, PROJECT, assert_refused, edge_sandbox

pytestmark = pytest.mark.subprocess


@pytest.mark.parametrize("model", [EXAMPLE_TFLITE, EXAMPLE_ONNX], ids=["tflite", "onnx"])
def test_a_model_that_fits(model: Path, tmp_path: Path) -> None:
    nowhere = {"EDGE_SANDBOX_CACHE": str(tmp_path / "cache"), "http_proxy": "http://127.0.0.1:9", "PATH": ""}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = edge_sandbox("check", model, "--device", "rpi4b", env=nowhere)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before.ru_utime
    assert used < 2.5, "seconds of processor time: a second, on a machine that has other work too"
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("predicted", "available", "set by", "READY"):
        assert word in done.stdout
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_a_model_of_a_gigabyte_is_not_read(kind: str, tmp_path: Path) -> None:
    """Its file has holes where the weights would be: what counts is that nobody looks there."""
    model = tmp_path / f"large.{kind}"
    if kind == "tflite":
        model.write_bytes(zoo.make("tiny_conv_fp32.tflite"))
        os.truncate(model, 1 << 30)
    else:
        content, length = outside_weights_onnx(16384)
        model.write_bytes(content)
        (tmp_path / "weights.bin").touch()
        os.truncate(tmp_path / "weights.bin", length)
    small, large = (_used(each) for each in (EXAMPLE_ONNX if kind == "onnx" else EXAMPLE_TFLITE, model))
    assert large.ru_maxrss < small.ru_maxrss + 50_000, "in kB"
    assert large.ru_utime < 2 * small.ru_utime + 0.5


def _used(model: Path) -> resource.struct_rusage:
    """What the command took for a model on a device with 8 GB."""
    with subprocess.Popen(
        [str(COMMAND), "check", str(model), "--device", "rpi5"], stdout=subprocess.DEVNULL
    ) as running:
        _pid, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0
    return used


def test_json_in_a_file_and_the_exit_code_of_one_that_does_not_fit(tmp_path: Path) -> None:
    model, output = tmp_path / "memory_hog_300.tflite", tmp_path / "check.json"
    model.write_bytes(zoo.make(model.name))
    words = ("check", model, "--device", "rpi-zero-2w", "--memory", "200M", "--format", "json")
    done = edge_sandbox(*words, "--output", output)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    document = json.loads(output.read_text())
    assert document["verdict"]["status"] == "not_ready"
    assert document["memory"]["peak"]["mode"] == "predicted"


def test_an_unknown_verdict_has_its_own_exit_code() -> None:
    done = edge_sandbox("check", EXAMPLE_ONNX, "--device", "rpi4b", "--runtime", "onnxruntime@1.20.1")
    assert done.returncode == 5
    assert "UNKNOWN" in done.stdout


def test_bad_input(tmp_path: Path) -> None:
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(EXAMPLE_TFLITE.read_bytes()[:5000])
    assert_refused(edge_sandbox("check", cut, "--device", "rpi4b"), 3, "cut.tflite")
    assert_refused(edge_sandbox("check", EXAMPLE_TFLITE, "--device", "rpi4x"), 2, "rpi4x", "did you mean")
    assert_refused(edge_sandbox("check", EXAMPLE_TFLITE, "--device", "rpi4b", "--memory", "much"), 2, "much")
    assert edge_sandbox("check", EXAMPLE_TFLITE).returncode == 2


def test_gaps_of_a_build_offline(tmp_path: Path) -> None:
    """Every command of the page on build gaps, without a network and with an empty cache."""
    nowhere = {"EDGE_SANDBOX_CACHE": str(tmp_path / "cache"), "http_proxy": "http://127.0.0.1:9", "PATH": ""}
    page = (PROJECT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    commands = [line for line in page.splitlines() if line.startswith("edge-sandbox check")]
    assert len(commands) == 4
    said = {}
    for line in commands:
        words = shlex.split(line.partition("    #")[0])[1:]
        done = edge_sandbox(*words, env=nowhere, cwd=PROJECT)
        assert done.stderr == ""
        said[line.partition("    # ")[2] or words[-1]] = (done.returncode, done.stdout)
    assert {key: code for key, (code, _text) in said.items()} == {
        "rpi4b": 0,
        "illegal instruction": 1,
        "no wheel": 1,
        "coral-edgetpu": 0,
    }
    assert "illegal instruction during import" in " ".join(said["illegal instruction"][1].split())
    assert "only for aarch64, x86_64" in " ".join(said["no wheel"][1].split())
    assert "29 of 31" in said["coral-edgetpu"][1]
    assert not (tmp_path / "cache").exists()


def test_an_accelerator_that_nobody_knows() -> None:
    done = edge_sandbox("check", EXAMPLE_TFLITE, "--device", "rpi4b", "--accelerator", "npu")
    assert_refused(done, 2, "npu", "coral-edgetpu")
