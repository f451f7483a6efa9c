"""What is under guard is removed when the tool dies, and only then."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sandbox import process
from sandbox.engines import guard as guard_module
from sandbox.engines.guard import Guard, guard

ARGV = (sys.executable, "-c", guard_module._START, str(guard_module._PACKAGE_PARENT))


def test_protocol() -> None:
    stream = io.BytesIO()
    protector = Guard(stream)
    with protector.protect("folder", "/tmp/a b\n"):
        assert [json.loads(line) for line in stream.getvalue().splitlines()] == [["+", "folder", "/tmp/a b\n"]]
    assert [json.loads(line) for line in stream.getvalue().splitlines()][1:] == [["-", "folder", "/tmp/a b\n"]]


def test_an_error_in_the_block_releases_too() -> None:
    stream = io.BytesIO()

    def failing() -> None:
        with Guard(stream).protect("container", "x"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert stream.getvalue().splitlines()[-1] == b'["-", "container", "x"]'


def test_a_dead_guard_does_not_end_the_run() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "wb", buffering=0)
    with stream, Guard(stream).protect("folder", "/nowhere"):
        pass


def helper(orders: bytes, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(ARGV, input=orders, cwd=cwd, timeout=20, check=False, capture_output=True)


def order(sign: str, kind: str, name: str | Path) -> bytes:
    return json.dumps([sign, kind, str(name)]).encode() + b"\n"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("left", "released"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").touch()
    return tmp_path / "left", tmp_path / "released"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as running:
        yield running
        running.kill()


@pytest.mark.subprocess
def test_what_is_left_is_removed_at_the_end_of_input(folders: tuple[Path, Path]) -> None:
    left, released = folders
    orders = order("+", "folder", left) + order("+", "folder", released) + order("-", "folder", released)
    done = helper(orders)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not left.exists()
    assert (released / "inner" / "file").exists()


@pytest.mark.subprocess
def test_a_line_cut_off_by_death_keeps_nothing_else(folders: tuple[Path, Path]) -> None:
    left, released = folders
    helper(order("+", "folder", left) + order("-", "folder", left)[:7])
    assert not left.exists()
    assert released.exists()


@pytest.mark.subprocess
def test_trouble_with_one_thing_keeps_nothing_else(folders: tuple[Path, Path]) -> None:
    left, _released = folders
    helper(
        order("+", "process_group", "no number")
        + order("+", "cgroup", "/no/such/cgroup")
        + order("+", "folder", "/no/such/folder")
        + order("+", "folder", left)
    )
    assert not left.exists()


@pytest.mark.subprocess
def test_processes_are_killed(sleeper: subprocess.Popen[bytes]) -> None:
    helper(order("+", "process_group", str(sleeper.pid)))
    assert sleeper.wait(5) == -signal.SIGKILL


@pytest.mark.subprocess
def test_a_sandbox_out_of_its_group_is_killed(tmp_path: Path) -> None:
    waiting = (sys.executable, "-c", "import time; time.sleep(60)")
    ours = (*waiting, guard_module.SANDBOX_MARK, "--bind", str(tmp_path), "/edge/run")
    others = ((*ours[:-2], f"{tmp_path}/below", "/edge/run"), (*waiting, str(tmp_path)))
    with subprocess.Popen(ours, start_new_session=True) as sandbox:
        bystanders = [subprocess.Popen(argv, start_new_session=True) for argv in others]
        try:
            helper(order("+", "sandbox", tmp_path))
            assert sandbox.wait(10) == -signal.SIGKILL
            assert [other.poll() for other in bystanders] == [None, None]
        finally:
            for other in bystanders:
                other.kill()
                other.wait()


def test_processes_of_a_cgroup_are_killed_even_if_one_is_gone(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text(f"{2**22 + 1}\n{sleeper.pid}\n")
    helper(order("+", "cgroup", tmp_path))
    assert sleeper.wait(5) == -signal.SIGKILL


@pytest.mark.subprocess
def test_modules_of_the_working_folder_are_not_taken_for_ours(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    for name in ("sandbox/__init__.py", "json.py", "docker.py"):
        (tmp_path / name).write_text("raise SystemExit(7)")
    done = helper(order("+", "folder", folders[0]), cwd=tmp_path)
    assert done.returncode == 0
    assert not folders[0].exists()


def wait_until_ignored(pid: int, numbers: Sequence[signal.Signals]) -> None:
    wanted = sum(1 << number - 1 for number in numbers)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        (mask,) = re.findall(r"^SigIgn:\t(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        if int(mask, 16) & wanted == wanted:
            return
        time.sleep(0.01)


@pytest.mark.subprocess
def test_signals_of_the_terminal_do_not_end_it(folders: tuple[Path, Path]) -> None:
    left, _released = folders
    with process.start_with_input(ARGV) as running:
        assert running.stdin is not None
        running.stdin.write(order("+", "folder", left))
        running.stdin.flush()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        wait_until_ignored(running.pid, numbers)
        for number in numbers:
            running.send_signal(number)
        time.sleep(0.05)
        assert running.poll() is None
    assert running.returncode == 0
    assert not left.exists()


@pytest.mark.subprocess
def test_the_tool_is_killed(folders: tuple[Path, Path]) -> None:
    left, _released = folders
    tool = (
        "import sys, time\nfrom sandbox.engines.guard import guard\n"
        f"with guard() as g, g.protect('folder', {str(left)!r}):\n  print(flush=True)\n  time.sleep(60)"
    )
    with process.start((sys.executable, "-c", tool), stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline()
        assert left.exists()
        running.kill()
        running.wait(5)
        deadline = time.monotonic() + 5
        while left.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    assert not left.exists()


@pytest.mark.subprocess
def test_nothing_is_removed_when_all_goes_well(folders: tuple[Path, Path]) -> None:
    with guard() as protector, protector.protect("folder", str(folders[0])):
        pass
    assert folders[0].exists()
