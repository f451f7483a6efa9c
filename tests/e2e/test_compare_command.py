"""The installed command `compare`: one real run, kept; a cell that cannot be run; the formats; the exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from sandbox.comparison import Comparison
from tests import zoo

from .cli import (
    COMMAND,
    EXAMPLE_TFLITE,
    TIMEOUT_SECONDS,
    assert_refused,
    cache_without_runs,
    edge_sandbox,
    mentioning,
    wait_for,
)

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


@pytest.mark.engine("local")
def test_what_was_done_before_an_interruption_is_kept(tmp_path: Path) -> None:
    """One cell ends at once, for want of an operator; the other never does."""
    models = [tmp_path / name for name in ("custom_op_FlexRFFT.tflite", "endless_model.onnx")]
    for model in models:
        model.write_bytes(zoo.make(model.name))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    cache = cache_without_runs(tmp_path / "cache")
    options = ("--device", "rpi4b", "--engine", "local")
    with subprocess.Popen(
        [COMMAND, "compare", *models, *options],
        env={**os.environ, **cache, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as running:
        wait_for(lambda: next((tmp_path / "cache" / "runs").glob("*/key.json"), None), TIMEOUT_SECONDS)
        wait_for(lambda: [line for line in mentioning(str(models[1])) if "--ro-bind" in line], TIMEOUT_SECONDS)
        running.send_signal(signal.SIGINT)
        output, errors = running.communicate(timeout=TIMEOUT_SECONDS)
    assert (running.returncode, output) == (130, "")
    assert errors.splitlines()[-1] == "edge-sandbox: interrupted; nothing was left running"
    wait_for(lambda: not list(temporary.iterdir()) and not mentioning(str(temporary)))
    rest = edge_sandbox("compare", models[0], *options, "--format", "json", env={**cache, "PATH": "/nonexistent"})
    assert rest.returncode == 1, rest.stderr
    (cell,) = Comparison.model_validate_json(rest.stdout).cells
    assert (cell.cached, cell.status) == (True, "not_ready"), "only the rest would be run"


@pytest.mark.subprocess
def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"nothing")
    assert_refused(edge_sandbox("compare", broken, "--device", "rpi4b"), 3, "broken.tflite")
    assert_refused(edge_sandbox("compare", EXAMPLE_TFLITE, "--device", "rpi9"), 2, "rpi9")
    assert_refused(edge_sandbox("compare", *ONE, "--os", "bookworm-amd64"), 2, "does not run the OS image")
    assert edge_sandbox("compare", EXAMPLE_TFLITE).returncode == 2
    assert os.listdir(tmp_path) == ["broken.tflite"]  # noqa: PTH208
