"""How end-to-end tests call the installed command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from sandbox.resources import cache_directory

T = TypeVar("T")

COMMAND = Path(sys.executable).with_name("edge-sandbox")
PROJECT = Path(__file__).resolve().parents[2]
EXAMPLE_TFLITE = PROJECT / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
EXAMPLE_ONNX = PROJECT / "examples" / "mobilenet_v1_0.25_128_fp32.onnx"
TIMEOUT_SECONDS = 600


def edge_sandbox(
    *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; ``env`` is added to this process's."""
    return subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *texts: str) -> None:
    """One clear message on stderr with a next step, the right exit code, no report, no traceback."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("edge-sandbox: ")
    assert "\n  next: " in done.stderr
    assert "Traceback" not in done.stderr
    for text in texts:
        assert text in done.stderr


def mentioning(text: str) -> list[str]:
    """Command lines of all processes that name ``text``."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            lines.append(line)
    return lines


def cache_without_runs(folder: Path) -> dict[str, str]:
    """The environment of a cache in ``folder`` that shares images and downloads with the user's, but not its runs."""
    for name in ("images", "downloads", "derived", "guest"):
        if (cache_directory() / name).is_dir():
            folder.mkdir(exist_ok=True)
            (folder / name).symlink_to(cache_directory() / name)
    return {"EDGE_SANDBOX_CACHE": str(folder)}


def wait_for(condition: Callable[[], T | None], seconds: float = 60) -> T:
    """What the condition gives once that is something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited for {seconds:g} seconds")
