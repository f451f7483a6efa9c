"""``profile --parity``: the device's build, this host's and the reference kernels, by the installed command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from sandbox.engines.guard import guard
from sandbox.image.emulator import host_architecture
from sandbox.parity_run import ParityRequest, profile
from sandbox.plan import ProfileRequest
from sandbox.result import schema
from tests import host, zoo

from .cli import assert_refused, edge_sandbox

pytestmark = [pytest.mark.engine("local"), pytest.mark.timeout(600)]


def _profile(folder: Path, name: str, *options: str | Path, code: int) -> dict[str, Any]:
    model = folder / name
    model.write_bytes(zoo.make(name))
    done = edge_sandbox("profile", model, "--device", "rpi4b", "--format", "json", "--quiet", *options)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schema()).validate(document)
    return document


def _compared(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    pairs = {(c["side"], c["against"]): c for c in document["parity"]["comparisons"]}
    assert not [c["unavailable"] for c in pairs.values() if c["unavailable"]]
    return {pair: comparison["outputs"][0] for pair, comparison in pairs.items()}


def test_tflite_agrees_and_a_given_output_can_be_departed_from(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, expected=np.eye(1, 10, dtype=np.float32))
    kept = tmp_path / "run"
    options = ("--parity-operators", "--parity-reference", wrong, "--run-dir", kept)
    document = _profile(tmp_path, "tiny_conv_fp32.tflite", *options, code=1)
    sides = {side["side"]: side["what"] for side in document["parity"]["sides"]}
    twin = "bookworm-amd64" if host_architecture() == "amd64" else "bookworm-arm64"
    assert sides["host"] == f"tflite-runtime 2.14.0, {twin}"
    assert sides["reference"] == f"reference kernels of tflite-runtime 2.14.0, {twin}"
    compared = _compared(document)
    for pair in (("device", "host"), ("device", "device_plain"), ("device", "reference"), ("host", "reference")):
        assert not compared[pair]["departs"], pair
        assert compared[pair]["cosine"]["value"] == pytest.approx(1)
        assert compared[pair]["largest_absolute"]["mode"] == "emulated"
    assert compared["device", "given"]["departs"]
    assert document["parity"]["first_departure"] is None
    assert document["parity"]["first_departure_unavailable"] is None, "all operators were compared, and all agree"
    check = document["checks"][-1]
    assert (check["id"], check["status"]) == ("parity", "fail")
    assert "the device's build departs from the given outputs" in document["verdict"]["reasons"][0]
    assert "; so does the host's build" in document["verdict"]["reasons"][0]

    again = edge_sandbox(
        *("profile", tmp_path / "tiny_conv_fp32.tflite", "--device", "rpi4b", "--engine", "replay", "--run-dir", kept)
    )
    assert again.returncode == 1
    assert "PARITY" in again.stdout
    assert max(map(len, again.stdout.splitlines())) <= 80


def test_onnx_against_the_reference_evaluator(tmp_path: Path) -> None:
    """Without the other jobs: massif's alone would take longer than all the rest."""
    model = tmp_path / "tiny.onnx"
    model.write_bytes(zoo.make("tiny.onnx"))
    request = ProfileRequest(model=model, device="rpi4b", engine="local", jobs=("latency",), inferences=(0, 1))
    with guard() as protector:
        result = profile(request, tmp_path / "run", host.builder(), protector, parity=ParityRequest(operators=True))
    document = json.loads(result.model_dump_json())
    compared = _compared(document)
    assert not compared["device", "reference"]["departs"]
    assert compared["device", "reference"]["top1"]["value"] == 1
    assert not compared["device_plain", "reference"]["departs"], "with the results of all operators kept"
    assert document["parity"]["first_departure_unavailable"] is None
    assert (document["checks"][-1]["id"], document["checks"][-1]["status"]) == ("parity", "pass")


def test_files_that_are_no_reference(tmp_path: Path) -> None:
    model = tmp_path / "tiny.onnx"
    model.write_bytes(zoo.make("tiny.onnx"))
    text, two = tmp_path / "text.npz", tmp_path / "two.npz"
    text.write_text("no arrays")
    np.savez(two, a=np.zeros(1), b=np.zeros(1))
    for path, says in ((text, "not a readable .npz file"), (two, "no array named")):
        done = edge_sandbox("profile", model, "--device", "rpi4b", "--parity-reference", path)
        assert_refused(done, 2, "--parity-reference", says)
