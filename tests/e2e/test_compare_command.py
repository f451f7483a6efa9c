"""The installed command `compare`: one real run, kept; a cell that cannot be run; the formats; the exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from sandbox.comparison import Comparison

from .cli import EXAMPLE_TFLITE, assert_refused, edge_sandbox

ONE = (EXAMPLE_TFLITE, "--device", "rpi4b")
LOCAL = (*ONE, "--engine", "local")


@pytest.mark.engine("local")
def test_runs_are_kept_and_every_format_is_made_of_them(tmp_path: Path) -> None:
    first = edge_sandbox("compare", *LOCAL, "--os", "bookworm-arm64", "--fresh", "--format", "json", "--quiet")
    assert first.returncode == 0, first.stderr
    assert [cell.cached for cell in Comparison.model_validate_json(first.stdout).cells] == [False]
    # nothing can be run now: what answers was kept
    nothing = {"PATH": "/nonexistent"}
    both = ("--os", "bookworm-arm64", "--os", "bookworm-amd64")
    again = edge_sandbox("compare", *LOCAL, *both, "--format", "json", env=nothing)
    assert again.returncode == 5, "a cell that could not be run is no success"
    document = Comparison.model_validate_json(again.stdout)
    assert [(cell.cached, cell.status) for cell in document.cells] == [(True, "ready"), (False, "unknown")]
    assert "does not run the OS image" in (document.cells[1].error or "")
    assert edge_sandbox("compare", *LOCAL, *both, "--any", "--format", "csv", env=nothing).returncode == 0
    table = edge_sandbox("compare", *LOCAL, *both, "--format", "csv", env=nothing).stdout
    assert [line["verdict"] for line in csv.DictReader(io.StringIO(table))] == ["ready", "unknown"]
    report = tmp_path / "compare.html"
    assert edge_sandbox("compare", *LOCAL, "--format", "html", "--output", report, env=nothing).returncode == 0
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    terminal = edge_sandbox("compare", *LOCAL, *both, env=nothing)
    assert "CHEAPEST THAT FITS" in terminal.stdout
    assert max(map(len, terminal.stdout.splitlines())) <= 80
    assert "\x1b" not in terminal.stdout
    budget = edge_sandbox("compare", *LOCAL, "--latency-budget", "50ms", "--format", "json", env=nothing)
    cell = json.loads(budget.stdout)["cells"][0]
    assert "latency" in [check["id"] for check in cell["result"]["checks"]], "asked of the kept run"
    alone = edge_sandbox("profile", *LOCAL, env=nothing)
    assert alone.returncode == 0, alone.stderr
    started = json.loads(first.stdout)["cells"][0]["result"]["started"]
    words = f"nothing was run: this is the run of {started}; --fresh runs anew"
    assert alone.stderr == f"edge-sandbox: {words}\n"
    assert f"the kept run of {started}" in alone.stdout
    freed = edge_sandbox("images", "prune", "--help")
    assert "--runs" in freed.stdout


@pytest.mark.subprocess
def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"nothing")
    assert_refused(edge_sandbox("compare", broken, "--device", "rpi4b"), 3, "broken.tflite")
    assert_refused(edge_sandbox("compare", EXAMPLE_TFLITE, "--device", "rpi9"), 2, "rpi9")
    assert_refused(edge_sandbox("compare", *ONE, "--os", "bookworm-amd64"), 2, "does not run the OS image")
    assert edge_sandbox("compare", EXAMPLE_TFLITE).returncode == 2
    assert os.listdir(tmp_path) == ["broken.tflite"]  # noqa: PTH208
