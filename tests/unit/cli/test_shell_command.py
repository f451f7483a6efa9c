"""``edge-sandbox shell``: what becomes of its options, what it says on stderr, and its exit status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sandbox.shell
from sandbox.cli import common
from sandbox.cli import shell as command_module
from sandbox.cli.main import main
from sandbox.engines.base import Outcome
from sandbox.profilers.counts import Counters, parse_counters
from sandbox.shell import ShellOutcome, ShellRequest
from tests.unit.profilers.count_files import COMPLETE, OVERFLOW, counters, thread


def process(*retired: int, attached: int = 1, flags: int = COMPLETE) -> Counters:
    return parse_counters(counters(*map(thread, retired), attached=attached, flags=flags))


def ended(*processes: Counters, tick_ns: tuple[int, int] = (2, 3), **changes: Any) -> ShellOutcome:
    outcome = {"exit_code": 0, "limit_mechanism": "cgroup v2", "isolation": "bubblewrap", "emulator": "QEMU", "seconds": 1.5}
    return ShellOutcome(
        outcome=Outcome(**{**outcome, **changes}), processes=tuple(enumerate(processes, 2)), tick_ns=tick_ns
    )


class Run:
    """The command in this process, with a core that only remembers what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.asked: list[tuple[ShellRequest, Path]] = []
        self.outcome = ended(process(3000))
        self._capsys = capsys
        monkeypatch.setattr(sandbox.shell, "run_shell", self._run)
        monkeypatch.setattr(command_module, "enter_own_scope", lambda: None)
        monkeypatch.setattr(common, "_QUIET_SECONDS", 1e6)

    def _run(self, request: ShellRequest, run_dir: Path, *_others: object) -> ShellOutcome:
        self.asked.append((request, run_dir))
        return self.outcome

    def __call__(self, *words: str) -> tuple[int, str]:
        """Exit status and stderr; stdout is the program's alone."""
        with pytest.raises(SystemExit) as caught:
            main(["shell", *words])
        out, err = self._capsys.readouterr()
        assert out == ""
        code = caught.value.code
        assert isinstance(code, int)
        return code, err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)
