"""The GitHub action and the GitLab example: their very steps are run, on a run that was recorded.

Only two things are replaced: what installs (the command is installed here), and the emulator. `profile` judges the
recorded run of the model, so that the steps see a real result document.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.record_runs import RUNS
from tests.unit.recorded import result

from .cli import COMMAND, EXAMPLE_TFLITE, PROJECT

ACTION: dict[str, Any] = yaml.safe_load((PROJECT / "action.yml").read_text(encoding="utf-8"))
GITLAB: dict[str, Any] = yaml.safe_load((PROJECT / "examples" / "gitlab-ci.yml").read_text(encoding="utf-8"))
REPLAYED = f"--engine replay --run-dir {RUNS / 'ready'}"


def _bash(script: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """As the runners start a step: ``bash -eo pipefail``, with the installed command on the path."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _step(name: str) -> dict[str, Any]:
    (found,) = (step for step in ACTION["runs"]["steps"] if step["name"] == name)
    return dict(found)


def _filled(value: str, inputs: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda match: inputs[match[1]], value)


def _profile(tmp_path: Path, **given: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str], Path]:
    """Run the action's step with its inputs filled in; also what it says to the later ones, and its files."""
    declared = {name: str(field.get("default", "")) for name, field in ACTION["inputs"].items()}
    inputs = {**declared, "model": str(EXAMPLE_TFLITE), "device": "rpi4b", "arguments": REPLAYED, **given}
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for path in files.values():
        path.touch()
    step = _step("Profile")
    environment = {name: _filled(value, inputs) for name, value in step["env"].items()}
    environment |= {name: str(path) for name, path in files.items()} | {"RUNNER_TEMP": str(tmp_path)}
    done = _bash(step["run"], tmp_path, environment)
    said = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    return done, said, tmp_path / "edge-sandbox-report"


def test_the_action_is_one() -> None:
    assert ACTION["runs"]["using"] == "composite"
    for step in ACTION["runs"]["steps"]:
        assert ("uses" in step) != ("run" in step)
        assert "run" not in step or step["shell"] == "bash"
        assert "${{" not in step.get("run", ""), "an input would be run as code: hand it over in env"
    assert ACTION["outputs"]["verdict"]["value"] == "${{ steps.profile.outputs.verdict }}"
    for field in ACTION["inputs"].values():
        assert field["description"]


@pytest.mark.subprocess
def test_the_action_reports_and_passes(tmp_path: Path) -> None:
    done, said, folder = _profile(tmp_path)
    assert done.returncode == 0, done.stderr
    assert said == {"verdict": "ready", "status": "0"}
    assert {path.name for path in folder.iterdir()} == {"result.json", "report.html", "report.md", "junit.xml"}
    assert json.loads((folder / "result.json").read_text())["verdict"]["status"] == "ready"
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text() == (folder / "report.md").read_text() != ""
    assert ET.parse(folder / "junit.xml").getroot().tag in {"testsuite", "testsuites"}
    assert _bash(_step("Gate")["run"], tmp_path, {"STATUS": said["status"]}).returncode == 0


@pytest.mark.subprocess
def test_the_action_takes_a_baseline_and_gates(tmp_path: Path) -> None:
    smaller = result("ready").model_dump(mode="json")
    smaller["memory"]["peak_rss"]["value"] /= 2
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(smaller))
    done, said, folder = _profile(tmp_path, baseline=str(baseline), arguments=f"{REPLAYED} --max-memory-increase 10%")
    assert done.returncode == 0, "the reports come first"
    assert said == {"verdict": "not_ready", "status": "1"}
    assert "Against the result of" in (folder / "report.md").read_text()
    assert _bash(_step("Gate")["run"], tmp_path, {"STATUS": said["status"]}).returncode == 1


@pytest.mark.subprocess
def test_the_action_ends_where_there_is_no_result(tmp_path: Path) -> None:
    of_another_step = tmp_path / "edge-sandbox-report" / "result.json"
    of_another_step.parent.mkdir()
    of_another_step.write_text(json.dumps({"verdict": {"status": "ready"}}))
    done, said, folder = _profile(tmp_path, device="no-such-device")
    assert done.returncode == 3
    assert "was recorded for another device" in done.stderr
    assert said == {}
    assert not list(folder.iterdir()), "no report of another model"


@pytest.mark.subprocess
def test_arguments_may_have_several_lines(tmp_path: Path) -> None:
    done, said, _folder = _profile(tmp_path, arguments=f"{REPLAYED}\n--max-memory-increase\n10%\n")
    assert done.returncode == 2, "the last line counts: a threshold needs a baseline"
    assert "--baseline" in done.stderr
    assert said == {}


@pytest.mark.subprocess
def test_inputs_are_no_code(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    done, _said, _folder = _profile(tmp_path, model=f'"; touch {mark}; "', arguments=f"$(touch {mark}) {REPLAYED}")
    assert done.returncode in {2, 3}
    assert not mark.exists()


@pytest.mark.subprocess
def test_the_action_installs_from_its_own_checkout(tmp_path: Path) -> None:
    """Without the network: pip only has to see what it is told to install."""
    step = _step("Install")["run"]
    assert '"$GITHUB_ACTION_PATH"' in step
    venv = tmp_path / "edge-sandbox" / "bin"
    venv.mkdir(parents=True)
    shim = tmp_path / "shim"
    shim.mkdir()
    for path in (shim / "python3", venv / "pip"):
        path.write_text('#!/bin/sh\necho "$0 $*" >> "$RUNNER_TEMP/called"\n')
        path.chmod(0o755)
    environment = {
        "PATH": f"{shim}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_ACTION_PATH": str(PROJECT),
        "GITHUB_PATH": str(tmp_path / "path"),
    }
    assert _bash(step, tmp_path, environment).returncode == 0
    called = (tmp_path / "called").read_text().splitlines()
    assert called[0].endswith(f"-m venv {tmp_path}/edge-sandbox")
    assert called[1].endswith(f"install --quiet {PROJECT}")
    assert (tmp_path / "path").read_text() == f"{venv}\n"


@pytest.mark.subprocess
def test_the_gitlab_job(tmp_path: Path) -> None:
    job = GITLAB["edge-sandbox"]
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "edge-sandbox").symlink_to(COMMAND)
    script = "\n".join(job["script"])
    given = {**job["variables"], "MODEL": str(EXAMPLE_TFLITE), "ARGUMENTS": REPLAYED}
    given["EDGE_SANDBOX_CACHE"] = str(tmp_path / "cache")
    done = _bash(script, tmp_path, given)
    assert done.returncode == 0, done.stderr
    assert "VERDICT" in done.stdout
    for path in (*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]):
        assert (tmp_path / path).is_file()
    assert job["before_script"] == ["python3 -m venv .venv", '.venv/bin/pip install --quiet "$EDGE_SANDBOX"']
    (tmp_path / "result.json").unlink()
    refused = _bash(script, tmp_path, {**given, "DEVICE": "no-such-device"})
    assert refused.returncode == 3
