"""``profile --firmware`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.cli import EXAMPLE_TFLITE, PROJECT, assert_refused, edge_sandbox
from tests.firmware import BETWEEN_SYMBOLS, build_firmware

BOARD = "nucleo-f446re"


@pytest.mark.engine("qemu-system")
def test_a_program_of_ones_own(tmp_path: Path) -> None:
    app = build_firmware("NONE", tmp_path / "an app, really.elf")
    kept = tmp_path / "run"
    done = edge_sandbox("profile", "--firmware", app, "--device", BOARD, "--format", "json", "--run-dir", kept)
    assert done.returncode == 0, done.stderr
    again = edge_sandbox("report", kept, "--format", "json")
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert "RUN" in edge_sandbox("report", kept).stdout
    assert_refused(edge_sandbox("report", kept, "--format", "html"), 2, "--format html is for a model's profile")
    found = json.loads(done.stdout)
    assert found["run"]["instructions"]["value"] == BETWEEN_SYMBOLS
    assert found["engine"]["differs"]
    app = build_firmware("OVERFLOW", tmp_path / "overflow.elf")
    done = edge_sandbox("profile", "--firmware", app, "--device", BOARD, "--end", "0x0")
    assert done.returncode == 1
    assert "stack overflow in recurse" in " ".join(done.stdout.split())


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--firmware", PROJECT / "README.md", "--device", BOARD), 3, "README.md is not an ELF file"),
        (("--firmware", "nothing.elf", "--device", BOARD), 3, "nothing.elf: No such file"),
        (("--firmware", "app.elf", "--device", "rpi4b"), 2, "--firmware is for microcontrollers, and rpi4b is none"),
        (("--firmware", "app.elf", "--device", BOARD, "--no-delegates"), 2, "--no-delegates is for a model's profile"),
        ((EXAMPLE_TFLITE, "--device", BOARD, "--begin", "main"), 2, "symbols of a program of your own"),
        (("--device", BOARD), 2, "no model was named"),
        ((EXAMPLE_TFLITE, "--device", "rpi4b", "--tflm", "."), 2, "--tflm is for microcontrollers"),
        ((EXAMPLE_TFLITE, "--device", "rpi4b", "--engine", "renode"), 2, "--engine renode is for microcontrollers"),
        ((EXAMPLE_TFLITE, "--device", BOARD, "--engine", "qemu-system"), 2, "no TFLM was named"),
    ],
)
def test_wrong_calls(arguments: tuple[str | Path, ...], code: int, words: str, tmp_path: Path) -> None:
    settings = {"XDG_CONFIG_HOME": str(tmp_path), "EDGE_SANDBOX_TFLM": ""}
    assert_refused(edge_sandbox("profile", *arguments, env=settings), code, words)


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--device", "rpi4b", "--tflm", "."), 2, "--tflm is for microcontrollers, and rpi4b is none"),
        (("--device", BOARD, "--engine", "qemu-system"), 2, "no TFLM was named"),
        (("--device", "nucleo-l4r5zi", "--device", BOARD, "--tflm", "empty"), 2, "micro_interpreter.h is not in it"),
    ],
)
def test_wrong_comparisons(arguments: tuple[str, ...], code: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    settings = {"XDG_CONFIG_HOME": str(tmp_path), "EDGE_SANDBOX_TFLM": ""}
    named = [str(tmp_path / word) if word == "empty" else word for word in arguments]
    assert_refused(edge_sandbox("compare", EXAMPLE_TFLITE, *named, env=settings), code, words)


@pytest.mark.engine("qemu-system")
def test_no_renode_is_a_matter_of_the_host(tmp_path: Path) -> None:
    app = build_firmware("NONE", tmp_path / "app.elf")
    call = ("profile", "--firmware", app, "--device", BOARD, "--engine", "renode", "--renode", tmp_path / "renode")
    assert_refused(edge_sandbox(*call), 4, "engine renode: cannot start")
