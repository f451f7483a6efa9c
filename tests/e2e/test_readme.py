"""The README is true: its commands are run, its promises looked up."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.errors import DataFileError, HostError, RunError, UsageError
from sandbox.image.spec import load_spec
from sandbox.reports import json
from sandbox.resources import data_directory
from tests.unit.recorded import result

from .cli import EXAMPLE_ONNX, EXAMPLE_TFLITE, PROJECT, cache_without_runs, edge_sandbox

README = (PROJECT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def _commands(block: str) -> list[str]:
    return [re.sub(r"\s{2,}#.*", "", line) for line in block.splitlines()]


@pytest.mark.engine("local")
def test_the_first_command_in_a_fresh_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (PROJECT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, checkout / name)
    # the interpreter that runs the tests, as a newcomer's python3; the cache is the user's but for its kept runs:
    # nothing is fetched twice, and the run is one
    environment = {
        **os.environ,
        **cache_without_runs(tmp_path / "cache"),
        "PATH": f"{Path(sys.executable).resolve().parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", BLOCKS[0]],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in ("MEMORY", "LATENCY", "31 of 31 executed", "READY"):
        assert words in done.stdout


@pytest.mark.subprocess
def test_the_second_command_is_what_ci_calls() -> None:
    command = BLOCKS[1].strip()
    assert command.endswith(".venv/bin/python -m tests")
    ci = (PROJECT / ".ci" / "run").read_text()
    for part in command.split(" && "):
        assert part in ci


@pytest.mark.engine("local")
@pytest.mark.parametrize("command", _commands(BLOCKS[2]))
def test_commands_of_the_usage_block(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    assert words.pop(0) == "edge-sandbox"
    board = tmp_path / "my-board.toml"
    board.write_text('base = "rpi4b"\nname = "My board"\n')
    (tmp_path / "result.json").write_text(json.render(result("ready")))
    (tmp_path / "benchmark.py").write_text("import time; print(time.perf_counter())")
    here = {"model.onnx": EXAMPLE_ONNX, "model.tflite": EXAMPLE_TFLITE, "./my-board.toml": board}
    arguments = [here.get(word, word) for word in words]
    if words[0] in {"ceiling", "compare"}:
        pytest.skip("several runs: test_ceiling.py and test_compare_command.py have them")
    if "--firmware" in words:
        pytest.skip("needs a program: test_firmware_e2e.py has it")
    if words[0] == "profile" and "--dry-run" not in words:
        arguments.append("--dry-run")
    done = edge_sandbox(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_exit_codes() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.*?) \|$", README, re.MULTILINE))
    for error, words in ((UsageError, "usage"), (DataFileError, "file"), (HostError, "host"), (RunError, "failed")):
        assert words in rows[str(error.exit_code)]


def test_the_table_of_images() -> None:
    rows = re.findall(r"^\| (\w+-arm\w+) \|.*?\| ([\d.]+) \| (.*?) \|$", README, re.MULTILINE)
    assert len(rows) == 4
    for image, python, runtimes in rows:
        spec = load_spec(image, data_directory("images"))
        assert spec.python == python
        assert ", ".join(f"{runtime.name} {runtime.version}" for runtime in spec.runtimes) == runtimes
