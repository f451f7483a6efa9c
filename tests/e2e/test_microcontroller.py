"""Microcontrollers as a user meets them: devices, check, profile, bad input, leftovers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.image.emulator import host_architecture
from tests import zoo

from .cli import EXAMPLE_ONNX, EXAMPLE_TFLITE, assert_refused, edge_sandbox

pytestmark = pytest.mark.subprocess


def test_devices_of_both_kinds() -> None:
    listed = edge_sandbox("devices", "list").stdout.splitlines()
    assert any(line.startswith("rpi4b ") and "bookworm-arm64" in line for line in listed)
    assert any(line.startswith("nucleo-l4r5zi ") and "2.10 MB flash" in line for line in listed)
    shown = edge_sandbox("devices", "show", "nucleo-l4r5zi").stdout
    for words in ("cortex-m4", "ram.sram3", "393216 at 0x20040000 (sram)", "qemu-system as mps2-an386"):
        assert words in shown
    checked = edge_sandbox("devices", "check", "nucleo-l4r5zi")
    assert (checked.returncode, checked.stdout.count("\n")) == (0, 1)


def test_a_static_check_needs_nothing(tmp_path: Path) -> None:
    nowhere = {"EDGE_SANDBOX_CACHE": str(tmp_path / "cache"), "http_proxy": "http://127.0.0.1:9", "PATH": ""}
    done = edge_sandbox("check", EXAMPLE_TFLITE, "--device", "nucleo-l4r5zi", env=nowhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert "READY" in done.stdout
    assert not (tmp_path / "cache").exists()


def test_a_model_larger_than_flash() -> None:
    done = edge_sandbox("check", EXAMPLE_TFLITE, "--device", "nucleo-f103rb", "--format", "json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["verdict"]["reasons"][0].startswith("memory:") or "flash" in document["verdict"]["reasons"][0]
    assert {check["id"]: check["status"] for check in document["checks"]}["flash"] == "fail"


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (("check", EXAMPLE_ONNX, "--device", "pico-2"), ("TFLM runs .tflite files", "convert the model")),
        (("profile", EXAMPLE_TFLITE, "--device", "pico-2", "--os", "bookworm-arm64"), ("--os is for Linux devices",)),
        (("profile", EXAMPLE_TFLITE, "--device", "pico-2", "--threads", "2"), ("--threads is for Linux devices",)),
        (("ceiling", EXAMPLE_TFLITE, "--device", "pico-2"), ("pico-2 is a microcontroller",)),
        (("shell", "--device", "pico-2", "--", "true"), ("pico-2 is a microcontroller",)),
        (("check", EXAMPLE_TFLITE, "--device", "pico2"), ("unknown device 'pico2'", "pico-2")),
    ],
)
def test_what_a_microcontroller_has_not(arguments: tuple[str | Path, ...], texts: tuple[str, ...]) -> None:
    assert_refused(edge_sandbox(*arguments), 2, *texts)


def test_a_damaged_model(tmp_path: Path) -> None:
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(EXAMPLE_TFLITE.read_bytes()[:5000])
    assert_refused(edge_sandbox("profile", cut, "--device", "nucleo-l4r5zi"), 3, "cut.tflite")


@pytest.mark.engine("native")
@pytest.mark.skipif(host_architecture() != "amd64", reason="TFLM's wheel is for x86-64")
def test_a_profile_and_its_replay(tmp_path: Path) -> None:
    model = tmp_path / "tiny.tflite"
    model.write_bytes(zoo.make("tiny_conv_int8.tflite"))
    folder = tmp_path / "run"
    words = ("profile", model, "--device", "nucleo-l4r5zi", "--format", "json", "--run-dir", folder, "--quiet")
    done = edge_sandbox(*words)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    part = document["microcontroller"]
    assert part["level"] == "host"
    assert [arena["minimum"]["mode"] for arena in part["arenas"]] == ["predicted", "predicted", "measured"]
    assert document["engine"]["isolation"] == "bubblewrap"
    assert json.loads((folder / "microcontroller.json").read_text())["board"]["origin"] == "nucleo-l4r5zi.toml"
    again = edge_sandbox(*words[:-3], "--run-dir", folder, "--engine", "replay")
    assert json.loads(again.stdout) == document
    other = edge_sandbox("profile", model, "--device", "pico-2", "--engine", "replay", "--run-dir", folder)
    assert_refused(other, 3, "recorded for another device")


@pytest.mark.engine("native")
@pytest.mark.skipif(host_architecture() != "amd64", reason="TFLM's wheel is for x86-64")
def test_an_operator_that_tflm_has_not(tmp_path: Path) -> None:
    model = tmp_path / "custom.tflite"
    model.write_bytes(zoo.make("custom_op_FlexRFFT.tflite"))
    done = edge_sandbox("profile", model, "--device", "nucleo-l4r5zi", "--quiet", "--fresh")
    assert done.returncode == 1
    assert "TFLM has no FlexRFFT" in done.stdout
    assert "Traceback" not in done.stderr
