"""The smaller commands, and the promises of the help."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.image.spec import available_images
from sandbox.resources import data_directory

from .cli import assert_refused, edge_sandbox

pytestmark = pytest.mark.subprocess


def test_help_teaches() -> None:
    done = edge_sandbox("--help")
    assert done.returncode == 0
    for word in ("profile", "check", "ceiling", "devices", "images", "doctor", "Exit codes: 0 ready, 1 not ready"):
        assert word in " ".join(done.stdout.split())
    done = edge_sandbox("profile", "--help")
    text = " ".join(done.stdout.split())
    assert "Example: edge-sandbox profile examples/mobilenet_v1_0.25_128_int8.tflite --device rpi4b" in text
    assert "--dry-run" in text


def test_usage_errors_are_usage_errors() -> None:
    assert edge_sandbox("profile").returncode == 2
    assert edge_sandbox("profile", "x.tflite", "--device", "rpi4b", "--engine", "cloud").returncode == 2
    assert edge_sandbox("frobnicate").returncode == 2


def test_devices() -> None:
    listed = edge_sandbox("devices", "list")
    assert listed.returncode == 0
    ids = [line.split()[0] for line in listed.stdout.splitlines()]
    for device in ("rpi2b", "rpi3b", "rpi3b-plus", "rpi-zero-2w", "rpi4b-2gb", "cm4", "rpi5", "aws-graviton2"):
        assert device in ids
    shown = edge_sandbox("devices", "show", "rpi4b")
    assert "cpu.clock_hz" in shown.stdout
    assert "no source given" not in shown.stdout
    assert edge_sandbox("devices", "check", "rpi5").returncode == 0


def test_a_custom_device_is_checked(tmp_path: Path) -> None:
    spec = tmp_path / "mine.toml"
    spec.write_text('base = "rpi4b"\nname = "Mine"\nram_bytes = 8589934592\n')
    done = edge_sandbox("devices", "check", spec)
    assert done.returncode == 0
    assert "a valid spec of Mine" in done.stdout
    assert "ram_bytes has no source" in done.stdout
    spec.write_text('base = "rpi4b"\nclock = 5\n')
    assert_refused(edge_sandbox("devices", "check", spec), 3, "mine.toml", "clock")


def test_images_are_listed_with_their_state() -> None:
    done = edge_sandbox("images", "list")
    assert done.returncode == 0
    for image in available_images(data_directory("images")):
        assert f"\n{image} " in f"\n{done.stdout}"
    assert_refused(edge_sandbox("images", "build", "windows-arm64"), 2, "windows-arm64", "bookworm-arm64")


def test_prune_of_an_empty_cache(tmp_path: Path) -> None:
    done = edge_sandbox("images", "prune", env={"EDGE_SANDBOX_CACHE": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, "freed 0 B\n")


@pytest.mark.engine("local")
def test_a_second_build_is_offline() -> None:
    nowhere = "http://127.0.0.1:9"
    assert edge_sandbox("images", "build", "bookworm-arm64").returncode == 0
    done = edge_sandbox(
        "images", "build", "bookworm-arm64", env={"http_proxy": nowhere, "https_proxy": nowhere, "PIP_NO_INDEX": "1"}
    )
    assert done.returncode == 0
    assert edge_sandbox("images", "verify", "bookworm-arm64").returncode == 0


@pytest.mark.engine("local")
def test_doctor_says_what_works() -> None:
    done = edge_sandbox("doctor")
    assert done.returncode == 0, done.stdout
    for subject in ("host", "cache", "emulator", "engine local", "memory limit", "engine docker", "engine native"):
        assert subject in done.stdout
    for subject in ("qemu-system", "renode", "ARM compiler", "TFLM library"):
        assert f" {subject} " in done.stdout
