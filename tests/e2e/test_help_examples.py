"""Every command's help ends in an example, and the example works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from sandbox.cli.main import app

from .cli import EXAMPLE_TFLITE, PROJECT, edge_sandbox

_LONG = {
    ("profile",): "test_profile.py runs it",
    ("compare",): "test_compare_command.py runs it",
    ("ceiling",): "test_ceiling.py runs it",
    ("shell",): "test_shell_command_e2e.py runs it",
    ("doctor",): "test_commands.py runs it",
    ("images", "build"): "test_commands.py runs it",
    ("images", "verify"): "test_commands.py runs it",
    ("images", "lock"): "a maintainer's: asks the archives for news",
    ("calibration", "fit"): "test_calibration_loop.py runs it",
    ("calibration", "measure"): "test_calibration_loop.py runs it",
    ("calibration", "count"): "takes hours",
    ("report",): "needs a result: test_report_command.py runs it",
}


def _commands(command: object, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    found = getattr(command, "commands", None)
    if found is None:
        yield names, getattr(command, "help", "") or ""
        return
    for name, each in found.items():
        yield from _commands(each, (*names, name))


COMMANDS = dict(_commands(get_command(app)))


def test_every_command_is_found() -> None:
    assert {("profile",), ("compare",), ("devices", "list"), ("calibration", "measure")} <= COMMANDS.keys()
    assert _LONG.keys() <= COMMANDS.keys()


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_help_has_an_example_of_that_command(names: tuple[str, ...]) -> None:
    examples = re.findall(r"^Example: (edge-sandbox .+)$", COMMANDS[names], re.MULTILINE)
    assert len(examples) == 1
    assert shlex.split(examples[0])[1 : 1 + len(names)] == list(names)


@pytest.mark.subprocess
@pytest.mark.parametrize("names", [names for names in COMMANDS if names not in _LONG], ids=" ".join)
def test_the_example_works(names: tuple[str, ...], tmp_path: Path) -> None:
    (example,) = re.findall(r"^Example: edge-sandbox (.+)$", COMMANDS[names], re.MULTILINE)
    assert EXAMPLE_TFLITE.is_file()
    cache = {"EDGE_SANDBOX_CACHE": str(tmp_path)} if "prune" in names else {}
    done = edge_sandbox(*shlex.split(example), cwd=PROJECT, env=cache)
    assert done.returncode == 0, done.stderr
    assert done.stdout
