"""``python -m tests``: everything that must hold, in the order in which it fails fastest. Arguments go to pytest."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[1]
_STEPS: tuple[tuple[str, ...], ...] = (("ruff", "check"), ("ruff", "format", "--check"), ("mypy",), ("pytest",))


def main(arguments: Sequence[str]) -> int:
    """Run every step with this interpreter's own tools, the later ones too when one fails; 1 if any did."""
    results: list[tuple[str, int, float]] = []
    for step in _STEPS:
        words = (*step, *(arguments if step == ("pytest",) else ()))
        _say(f"$ {shlex.join(words)}")
        started = time.monotonic()
        status = subprocess.run([sys.executable, "-m", *words], cwd=_PROJECT, check=False).returncode
        results.append((" ".join(step), status, time.monotonic() - started))
    _say("")
    for name, status, seconds in results:
        verdict = "passed" if status == 0 else f"FAILED with exit status {status}"
        _say(f"{name:<20} {verdict} in {seconds:.0f} s")
    return 0 if all(status == 0 for _name, status, _seconds in results) else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
