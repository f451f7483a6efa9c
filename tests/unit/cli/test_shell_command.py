"""``edge-sandbox shell``: what becomes of its options, what it says on stderr, and its exit status."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sandbox.shell
from sandbox.cli import shell as command_module
from sandbox.cli.main import main
from sandbox.engines import guard
from sandbox.engines.base import Outcome
from sandbox.profilers.counts import Counters, parse_counters
from sandbox.shell import ShellOutcome, ShellRequest
from tests.unit.profilers.count_files import COMPLETE, OVERFLOW, counters, thread


def process(*retired: int, attached: int = 1, flags: int = COMPLETE) -> Counters:
    return parse_counters(counters(*map(thread, retired), attached=attached, flags=flags))


def ended(*processes: Counters, tick_ns: tuple[int, int] = (2, 3), **changes: Any) -> ShellOutcome:
    outcome = {
        "exit_code": 0,
        "limit_mechanism": "cgroup v2",
        "isolation": "bubblewrap",
        "emulator": "QEMU",
        "seconds": 1.5,
    }
    return ShellOutcome(
        outcome=Outcome(**{**outcome, **changes}), processes=tuple(enumerate(processes, 2)), tick_ns=tick_ns
    )


@contextlib.contextmanager
def unwatched() -> Iterator[guard.Guard]:
    yield guard.Guard(io.BytesIO())


class Run:
    """The command in this process, with a core that only remembers what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.asked: list[tuple[ShellRequest, Path]] = []
        self.outcome = ended(process(3000))
        self._capsys, self._monkeypatch = capsys, monkeypatch
        monkeypatch.setattr(sandbox.shell, "run_shell", self._run)
        monkeypatch.setattr(command_module, "enter_own_scope", lambda: None)
        monkeypatch.setattr(guard, "guard", unwatched)
        monkeypatch.setattr(signal, "signal", lambda _number, _handler: None)

    def _run(self, request: ShellRequest, run_dir: Path, *_others: object) -> ShellOutcome:
        self.asked.append((request, run_dir))
        return self.outcome

    def __call__(self, *words: str) -> tuple[int, str]:
        """Exit status and stderr; stdout is the program's alone."""
        self._monkeypatch.setattr(sys, "argv", ["edge-sandbox", "shell", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = self._capsys.readouterr()
        assert out == ""
        code = caught.value.code or 0
        assert isinstance(code, int)
        return code, err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


DEVICE = ("--device", "rpi4b")


def test_options(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    words = ("--os", "bookworm-arm64", "--runtime", "onnxruntime@1.20.0", "--memory", "256M", "--timeout", "2min")
    folders = ("--share", str(tmp_path), "--run-dir", str(tmp_path / "kept"))
    code, _err = run(*DEVICE, *words, *folders, "--", "python3", "-c", "print(1)", "--device", "mine")
    assert code == 0
    ((request, folder),) = run.asked
    assert request == ShellRequest(
        device="rpi4b",
        command=("python3", "-c", "print(1)", "--device", "mine"),
        share=tmp_path,
        os="bookworm-arm64",
        runtime="onnxruntime@1.20.0",
        memory_bytes=256 * 2**20,
        timeout_seconds=120.0,
    )
    assert folder == tmp_path / "kept"


def test_what_is_not_given(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(*DEVICE)
    ((request, folder),) = run.asked
    assert request == ShellRequest(device="rpi4b", command=(), share=tmp_path)
    assert request.timeout_seconds == float("inf")
    assert not folder.exists(), "a temporary folder is gone afterwards"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exit_code": 0}, 0),
        ({"exit_code": 7}, 7),
        ({"exit_code": 255}, 255),
        ({"exit_code": None, "signal": 4}, 132),
        ({"exit_code": None, "signal": 9, "out_of_memory": True}, 137),
        ({"exit_code": None, "out_of_memory": True}, 137),
        ({"exit_code": None, "timed_out": True}, 124),
        ({"exit_code": None, "signal": 15, "timed_out": True}, 124),
    ],
)
def test_the_exit_status_is_the_program_s(run: Run, changes: dict[str, Any], code: int) -> None:
    """A signal is 128 and its number, as shells say it; a time-out is 124, as timeout(1) does."""
    run.outcome = ended(process(3000), **changes)
    assert run(*DEVICE)[0] == code


def test_the_summary(run: Run) -> None:
    run.outcome = ended(process(3_000_000_000, 1_500_000), process(0))
    assert run(*DEVICE)[1] == (
        "edge-sandbox: 3,001,500,000 instructions in 2 processes: 2.00 s of CPU time at one a cycle, emulated, "
        "not calibrated\n"
    )
    run.outcome = ended(process(3000))
    assert "3,000 instructions in 1 process: 2.00 µs" in run(*DEVICE)[1]


def test_quiet_says_what_is_wrong_alone(run: Run) -> None:
    assert run(*DEVICE, "--quiet")[1] == ""
    run.outcome = ended(process(3000, attached=0))
    assert len(run(*DEVICE, "--quiet")[1].splitlines()) == 1


@pytest.mark.parametrize(
    ("outcome", "warning"),
    [
        (ended(), "nothing was counted: no counter file could be written"),
        (
            ended(process(1), process(2, attached=0)),
            (
                "process 3 did not load the clock, for it is statically linked or changed LD_PRELOAD: its instructions "
                "were counted, but the times that it saw are this host's"
            ),
        ),
        (
            ended(process(1, flags=OVERFLOW)),
            "process 2 has more threads or code than is counted apart: its counts are incomplete",
        ),
        (
            ended(process(1), exit_code=None, signal=9, out_of_memory=True),
            "out of memory: ended at the device's limit (cgroup v2)",
        ),
        (ended(process(1), exit_code=None, timed_out=True), "stopped after 1.50 s"),
    ],
)
def test_warnings(run: Run, outcome: ShellOutcome, warning: str) -> None:
    run.outcome = outcome
    first, *others = run(*DEVICE)[1].splitlines()
    assert first == f"edge-sandbox: {warning}"
    assert len(others) == 1, "the summary"


def test_on_the_host_s_own_core_nothing_was_counted(run: Run) -> None:
    run.outcome = ended(emulator=None)
    assert run(*DEVICE)[1] == (
        "edge-sandbox: ran on this host's own core: nothing was counted, and the clock was this host's\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*DEVICE, "--share", "no-such-folder"), "--share no-such-folder is not a folder"),
        ((*DEVICE, "--memory", "much"), "'much' is not a size"),
        ((*DEVICE, "--timeout", "5"), "'5' is not a time"),
        ((*DEVICE, "--run-dir", "."), "--run-dir . is not empty"),
        ((), "--device"),
    ],
)
def test_wrong_usage(
    run: Run, words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    code, err = run(*words)
    assert code == 2
    assert message in err
    assert run.asked == []
