"""``edge-sandbox ceiling`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.zoo.classifiers import mobilenet_v2
from tests import zoo

from .cli import EXAMPLE_TFLITE, assert_refused, edge_sandbox


def _variants(model: Path, *options: str) -> list[dict[str, Any]]:
    done = edge_sandbox("ceiling", model, "--device", "rpi4b", *options, "--quiet", "--format", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["variants"]
    for variant in found:
        minimum = variant["minimum"]
        assert len(variant["trials"]) <= 10
        assert 10e6 < minimum["low"] < minimum["value"] <= minimum["low"] * 1.01
        assert minimum["value"] < variant["trials"][0]["peak"]["value"]
        assert any(not trial["fits"] for trial in variant["trials"])
    return found


@pytest.mark.engine("local")
def test_the_least_memory_of_an_example() -> None:
    assert len(_variants(EXAMPLE_TFLITE)) == 1


@pytest.mark.engine("docker")
def test_the_least_memory_by_docker(tmp_path: Path) -> None:
    model = tmp_path / "tiny_conv_fp32.tflite"
    model.write_bytes(zoo.make(model.name))
    (variant,) = _variants(model, "--engine", "docker")
    assert 14e6 < variant["minimum"]["value"] < 22e6


@pytest.mark.engine("local")
def test_the_least_memory_of_mobilenet_v2(tmp_path: Path) -> None:
    model = tmp_path / "mobilenet_v2.tflite"
    model.write_bytes(mobilenet_v2(0.35, 96, "int8"))
    (variant,) = _variants(model)
    assert 15e6 < variant["minimum"]["value"] < 40e6


@pytest.mark.engine("local")
def test_a_sweep(tmp_path: Path) -> None:
    model = tmp_path / "dynamic_batch.onnx"
    model.write_bytes(zoo.make(model.name))
    sweep = ("--threads", "1", "--threads", "2", "--shape", "input=1,3,8,8", "--batch", "2")
    found = _variants(model, *sweep)
    assert [variant["threads"] for variant in found] == [1, 2]
    assert [variant["shapes"] for variant in found] == [{"input": [2, 3, 8, 8]}] * 2


@pytest.mark.subprocess
def test_bad_requests() -> None:
    words = ("ceiling", EXAMPLE_TFLITE, "--device", "rpi4b")
    assert_refused(edge_sandbox(*words, "--engine", "replay"), 2, "recorded run")
    assert_refused(edge_sandbox(*words, "--shape", "input"), 2, "--shape")
    assert edge_sandbox(*words, "--batch", "0").returncode == 2
