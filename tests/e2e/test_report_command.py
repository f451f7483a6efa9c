"""`edge-sandbox report`: recorded runs and documents in each format, baselines, and what is refused."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import renew
from tests.record_runs import RECORDINGS, RUNS

from .cli import COMMAND, EXAMPLE_TFLITE, assert_refused, edge_sandbox

pytestmark = pytest.mark.subprocess


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run `calibrated` as a JSON document."""
    path = tmp_path_factory.mktemp("documents") / "result.json"
    assert edge_sandbox("report", RUNS / "calibrated", "--format", "json", "--output", path).returncode == 0
    return path


def changed(document: Path, folder: Path, change: Callable[[Any], object]) -> Path:
    content = json.loads(document.read_text())
    change(content)
    path = folder / "changed.json"
    path.write_text(json.dumps(content))
    return path


def slower(content: Any) -> None:
    content["latency"]["mean"]["value"] *= 1.2


@pytest.mark.parametrize(
    ("name", "format_", "ending"),
    [("calibrated", "junit", "xml"), ("out_of_memory", "markdown", "md"), ("missing_operator", "terminal", "txt")],
)
def test_a_run_folder_in_each_format(name: str, format_: str, ending: str) -> None:
    done = edge_sandbox("report", RUNS / name, "--format", format_)
    assert (done.returncode, done.stderr) == (RECORDINGS[name].exit_code, "")
    assert done.stdout == (renew.REPORTS / f"{name}.{ending}").read_text(encoding="utf-8")


@pytest.mark.parametrize("format_", ["json", "html"])
def test_a_document_gives_what_its_run_folder_gives(document: Path, format_: str) -> None:
    by_folder, by_document = (
        edge_sandbox("report", source, "--format", format_) for source in (RUNS / "calibrated", document)
    )
    assert by_folder.stdout == by_document.stdout != ""
    assert by_document.returncode == 0


def test_a_regression_is_not_ready(document: Path, tmp_path: Path) -> None:
    now = changed(document, tmp_path, slower)
    allowed = ("report", now, "--baseline", document, "--max-latency-increase")
    assert edge_sandbox(*allowed, "25%").returncode == 0
    done = edge_sandbox(*allowed, "5%", "--format", "json")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    (check,) = (check for check in result["checks"] if check["id"] == "regression")
    assert (check["status"], check["reason"]) == ("fail", "latency +20.0%, 5.0% allowed")
    shown = edge_sandbox(*allowed, "5%").stdout
    assert "CHANGES" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert edge_sandbox("report", now, "--baseline", document).returncode == 0, "without a threshold it only tells"


def test_profile_takes_a_baseline_too(document: Path, tmp_path: Path) -> None:
    """Read before anything runs: a bad one costs no run."""
    command = ("profile", EXAMPLE_TFLITE, "--device", "rpi4b", "--engine", "replay", "--run-dir", RUNS / "ready")
    done = edge_sandbox(*command, "--baseline", document, "--format", "markdown")
    assert done.returncode == 0
    assert "| peak memory | 51.0 MB | 39.3 MB | -23.0% |" in done.stdout
    assert_refused(edge_sandbox(*command, "--baseline", tmp_path / "none.json"), 3, "none.json")


@pytest.mark.parametrize(
    ("options", "change", "text"),
    [
        ((), lambda content: content.update(schema_version=2), "schema_version is 2, this edge-sandbox reads 1"),
        (("--baseline",), lambda content: content.update(schema_version=2), "schema_version is 2"),
        ((), lambda content: content["memory"].pop("limit"), "memory.limit: Field required"),
    ],
)
def test_documents_that_are_none_are_refused(
    document: Path, tmp_path: Path, options: tuple[str, ...], change: Callable[[Any], object], text: str
) -> None:
    bad = changed(document, tmp_path, change)
    sources: tuple[str | Path, ...] = (document, *options, bad) if options else (bad,)
    assert_refused(edge_sandbox("report", *sources), 3, "changed.json", text)


def test_other_sources_are_refused(document: Path, tmp_path: Path) -> None:
    assert_refused(edge_sandbox("report", tmp_path), 3, "is not a run folder")
    assert_refused(edge_sandbox("report", tmp_path / "none"), 3, "No such file")
    assert_refused(edge_sandbox("report", EXAMPLE_TFLITE), 3, "is not a result document")
    assert_refused(edge_sandbox("report", document, "--max-memory-increase", "5%"), 2, "--baseline")
    assert_refused(edge_sandbox("report", document, "--max-memory-increase", "0.05"), 2, "is not a percentage")
    other = changed(document, tmp_path, lambda content: content["device"].update(id="rpi5"))
    assert_refused(edge_sandbox("report", document, "--baseline", other), 3, "another device: rpi5, not rpi4b")


def test_check_has_reports_for_ci() -> None:
    command = ("check", EXAMPLE_TFLITE, "--device", "rpi4b", "--format")
    assert edge_sandbox(*command, "markdown").stdout.startswith("### ✅ READY: `mobilenet_v1_0.25_128_int8.tflite`")
    assert '<testcase classname="edge-sandbox.rpi4b.' in edge_sandbox(*command, "junit").stdout
    assert edge_sandbox(*command, "html").returncode == 2


@pytest.mark.parametrize(("no_colour", "coloured"), [("", True), ("1", False)])
def test_colours_only_on_a_terminal_and_not_where_they_are_not_wanted(no_colour: str, coloured: bool) -> None:
    """See https://no-color.org: set to anything but nothing."""
    here, there = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": no_colour}
    done = subprocess.run([COMMAND, "report", RUNS / "missing_operator"], stdout=there, env=environment, check=False)
    os.close(there)
    shown = os.read(here, 65_536)
    os.close(here)
    assert done.returncode == 1
    assert b"NOT READY" in shown
    assert (b"\x1b[" in shown) == coloured
    assert b"\x1b" not in edge_sandbox("report", RUNS / "ready").stdout.encode()
