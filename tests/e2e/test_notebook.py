"""The notebook in examples/ runs from top to bottom."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import nbformat
import pytest

from .cli import PROJECT

NOTEBOOK = PROJECT / "examples" / "profile.ipynb"


@pytest.mark.subprocess
def test_every_cell_runs() -> None:
    """In one interpreter, as a kernel would; only without a display."""
    nbformat.validate(json.loads(NOTEBOOK.read_text(encoding="utf-8")))
    notebook = nbformat.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) >= 5
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(cells)],
        cwd=NOTEBOOK.parent,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ready\n")
    assert "unit='byte' mode='emulated'" in done.stdout
