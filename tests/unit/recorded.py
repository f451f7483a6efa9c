"""The recorded runs as results, judged once per session, and copies of their folders to damage."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.analysis import analyse
from sandbox.microcontroller import analysis
from sandbox.result import Result
from tests.record_runs import RECORDINGS, RUNS

NAMES = tuple(RECORDINGS)


@functools.cache
def result(name: str) -> Result:
    return analyse(RUNS / name)


@functools.cache
def microcontroller() -> Result:
    return analysis.analyse(RUNS / "microcontroller")


def copy(name: str, folder: Path) -> Path:
    """A recorded run folder to change, without massif's file: it is large."""
    return Path(shutil.copytree(RUNS / name, folder / name, ignore=shutil.ignore_patterns("massif.out")))


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file in place."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
