"""Real small programs through the one door to subprocesses."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox import process
from sandbox.errors import HostError

pytestmark = pytest.mark.subprocess


def shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


def is_running(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be reaped by a distant parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def eventually_gone(pid: int) -> bool:
    deadline = time.monotonic() + 3
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


def pid_in(path: Path) -> int:
    deadline = time.monotonic() + 5
    while not (path.is_file() and path.read_text().endswith("\n")) and time.monotonic() < deadline:
        time.sleep(0.01)
    return int(path.read_text())


def test_output_and_status() -> None:
    done = process.run(shell("echo out; echo err >&2; exit 3"), timeout=10)
    assert (done.returncode, done.stdout, done.stderr, done.timed_out) == (3, "out\n", "err\n", False)
    assert done.argv == shell("echo out; echo err >&2; exit 3")
    assert 0 < done.seconds < 10


def test_a_signal_is_negative() -> None:
    assert process.run(shell("kill -ILL $$"), timeout=10).returncode == -signal.SIGILL


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert process.run(shell(r"printf 'a\377b'"), timeout=10).stdout == "a\ufffdb"


def test_environment_and_folder_are_the_ones_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "host")
    done = process.run(shell('echo "$COLOUR,$SECRET"; pwd'), timeout=10, env={"COLOUR": "red"}, cwd=tmp_path)
    assert done.stdout == f"red,\n{tmp_path}\n"
    assert process.run(shell('echo "$SECRET"'), timeout=10).stdout == "host\n"


def test_no_standard_input() -> None:
    assert process.run(("cat",), timeout=10).stdout == ""


def test_more_output_than_a_pipe_holds() -> None:
    done = process.run((sys.executable, "-c", "print('x' * 1_000_000)"), timeout=20)
    assert len(done.stdout) == 1_000_001


def test_missing_program() -> None:
    with pytest.raises(HostError) as caught:
        process.run(("no-such-program-here", "--version"), timeout=10)
    assert caught.value.message == "cannot start no-such-program-here: No such file or directory"


def test_program_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "plain"
    file.write_text("no program")
    with pytest.raises(HostError, match=f"cannot start {file}: Permission denied"):
        process.run((str(file),), timeout=10)


def test_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    started = time.monotonic()
    done = process.run(shell("echo before; sleep 100 & echo $! > child; wait"), timeout=0.5, cwd=tmp_path)
    assert (done.timed_out, done.returncode, done.stdout) == (True, -signal.SIGTERM, "before\n")
    assert time.monotonic() - started < 5
    assert eventually_gone(pid_in(tmp_path / "child"))


def test_a_program_that_ignores_terminate_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.2)
    done = process.run(shell("trap '' TERM; while :; do sleep 0.1; done"), timeout=0.3)
    assert (done.timed_out, done.returncode) == (True, -signal.SIGKILL)


def test_what_left_the_group_does_not_hold_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.2)
    started = time.monotonic()
    done = process.run(shell("echo kept; setsid sh -c 'echo $$ > child; exec sleep 8'"), timeout=0.5, cwd=tmp_path)
    try:
        assert time.monotonic() - started < 4
        assert (done.timed_out, done.stdout) == (True, "kept\n")
    finally:
        os.kill(pid_in(tmp_path / "child"), signal.SIGKILL)


def test_leaving_the_block_stops_what_was_started(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(process.start(shell("sleep 100 & echo $! > child; wait"), cwd=tmp_path))
        child = pid_in(tmp_path / "child")
        assert is_running(child)
    assert running.returncode == -signal.SIGTERM
    assert eventually_gone(child)


def test_background_children_of_a_program_that_has_ended_go_too(tmp_path: Path) -> None:
    with process.start(shell("sleep 100 & echo $! > child"), cwd=tmp_path) as running:
        assert process.wait(running, timeout=10, interval=0.01, go_on=lambda: True) == "ended"
        assert is_running(pid_in(tmp_path / "child"))
    assert running.returncode == 0
    assert eventually_gone(pid_in(tmp_path / "child"))


def test_wait_tells_why_it_stopped() -> None:
    with process.start(("sleep", "100")) as running:
        assert process.wait(running, timeout=0.05, interval=0.01, go_on=lambda: True) == "timeout"
        answers = iter([True, True, False])
        assert process.wait(running, timeout=10, interval=0.01, go_on=lambda: next(answers)) == "stopped"
        assert running.poll() is None
    assert running.returncode == -signal.SIGTERM


def test_a_helper_ends_when_its_pipe_closes(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with process.start_with_input(shell(f"cat > {seen}")) as helper:
        assert helper.stdin is not None
        assert os.getsid(helper.pid) == helper.pid, "a Ctrl-C in the terminal must not reach it"
        helper.stdin.write(b"order\n")
    assert (helper.returncode, seen.read_text()) == (0, "order\n")


def test_commands_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="sandbox.process"):
        process.run(("echo", "two words"), timeout=10)
    assert "$ echo 'two words'" in caplog.messages
    assert any(message.startswith("exit 0 after ") for message in caplog.messages)


def test_nothing_is_left_to_reap() -> None:
    child = int(process.run(shell("echo $$"), timeout=10).stdout)
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)  # -1 would also find what other suites of the same run still have open


def test_streams_go_to_the_given_file(tmp_path: Path) -> None:
    path = tmp_path / "errors"
    with path.open("wb") as file, process.start(shell("echo err >&2"), stderr=file) as running:
        assert running.wait(10) == 0
        assert running.stdout is None
        assert subprocess.DEVNULL < 0
    assert path.read_text() == "err\n"


def test_streams_are_closed_unless_they_are_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    with process.start(shell("echo lost; echo lost >&2; read line; exit $?")) as running:
        assert running.wait(10) == 1, "nothing to read"
    assert capfd.readouterr() == ("", "")


def test_streams_of_this_process(capfd: pytest.CaptureFixture[str]) -> None:
    with process.start(shell("echo out; echo err >&2"), stdout=None, stderr=None) as running:
        assert running.wait(10) == 0
    assert capfd.readouterr() == ("out\n", "err\n")


@pytest.mark.parametrize(("stdin", "read"), [(True, "from here\n"), (False, "\n")])
def test_input_of_this_process(stdin: bool, read: str, tmp_path: Path) -> None:
    """A program reads what this process would, but only where that was asked for."""
    (tmp_path / "input").write_text("from here\n")
    started = f"process.start(['/bin/sh', '-c', 'read x; echo $x'], stdout=None, stdin={stdin})"
    asked = f"from sandbox import process\nwith {started} as running:\n    running.wait(10)"
    with (tmp_path / "input").open("rb") as file:
        done = subprocess.run([sys.executable, "-c", asked], stdin=file, capture_output=True, text=True, check=True)
    assert done.stdout == read
