"""``edge-sandbox ceiling`` as a user calls it."""

from __future__ import annotations

import json

import pytest

from .cli import EXAMPLE_TFLITE, assert_refused, edge_sandbox


@pytest.mark.engine("local")
def test_the_least_memory_of_an_example() -> None:
    done = edge_sandbox("ceiling", EXAMPLE_TFLITE, "--device", "rpi4b", "--quiet", "--format", "json")
    assert done.returncode == 0, done.stderr
    (variant,) = json.loads(done.stdout)["variants"]
    minimum = variant["minimum"]
    assert len(variant["trials"]) <= 10
    assert 10e6 < minimum["low"] < minimum["value"] <= minimum["low"] * 1.01
    assert minimum["value"] < variant["trials"][0]["peak"]["value"]
    assert any(not trial["fits"] for trial in variant["trials"])


@pytest.mark.subprocess
def test_bad_requests() -> None:
    words = ("ceiling", EXAMPLE_TFLITE, "--device", "rpi4b")
    assert_refused(edge_sandbox(*words, "--engine", "replay"), 2, "recorded run")
    assert_refused(edge_sandbox(*words, "--shape", "input"), 2, "--shape")
    assert edge_sandbox(*words, "--batch", "0").returncode == 2
