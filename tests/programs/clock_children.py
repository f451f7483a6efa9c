"""Child processes run on the device too: their clocks go on from their parent's, and the parent's from their end."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

READ = "import time; began = time.monotonic(); sum(range(2_000_000)); print(began, time.monotonic(), time.time())"


def run(*arguments: str, env: dict[str, str] | None = None) -> str:
    return subprocess.run(arguments, check=True, capture_output=True, text=True, env=env).stdout


def forked() -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        began = time.monotonic()
        assert time.process_time() < 0.01, "the CPU time of a child begins at 0"
        sum(range(2_000_000))
        os.write(writing, f"{began} {time.monotonic()} {time.time()}".encode())
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return os.read(reading, 200).decode()


def replaced() -> str:
    """The child replaces itself twice."""
    again = f"import os, sys; os.execl(sys.executable, 'python', '-c', {READ!r})"
    return run(sys.executable, "-c", again)


def script() -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script"
        path.write_text(f"#! {sys.executable} -E \nimport sys\nassert sys.argv[1:] == ['a b']\n{READ}\n")
        path.chmod(0o755)
        return run(str(path), "a b")


def spawned() -> str:
    reading, writing = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writing, 1)]
    child = os.posix_spawn(sys.executable, ["python", "-c", READ], os.environ, file_actions=actions)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return os.read(reading, 200).decode()


def pooled() -> str:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        return pool.apply(read)


def read() -> str:
    began = time.monotonic()
    sum(range(2_000_000))
    return f"{began} {time.monotonic()} {time.time()}"


CHILDREN: dict[str, Callable[[], str]] = {
    "run": lambda: run(sys.executable, "-c", READ),
    "empty environment": lambda: run(sys.executable, "-c", READ, env={}),
    "by PATH": lambda: run("python3", "-c", READ),
    "fork": forked,
    "exec": replaced,
    "script": script,
    "posix_spawn": spawned,
    "multiprocessing": pooled,
}


def main() -> None:
    took = {}
    for name, child in CHILDREN.items():
        before, date = time.monotonic(), time.time()
        began, ended, child_date = map(float, child().split())
        after = time.monotonic()
        assert before <= began < ended <= after, (name, before, began, ended, after)
        assert ended - began > 0.001, (name, began, ended)
        assert date <= child_date <= time.time(), (name, date, child_date)
        took[name] = round(after - before, 6)
    for missing in ("/no/such/program", "no-such-program"):
        try:
            subprocess.run([missing], check=False)
        except FileNotFoundError:
            continue
        raise AssertionError(missing)
    assert subprocess.run([sys.executable, "-c", "raise SystemExit(7)"], check=False).returncode == 7
    print(json.dumps(took))


if __name__ == "__main__":
    main()
