"""``edge-sandbox shell``: a user's own program on the device, by the installed command."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .cli import COMMAND, EXAMPLE_TFLITE, assert_refused, edge_sandbox, mentioning, wait_for

pytestmark = pytest.mark.engine("local")

DEVICE = ("--device", "rpi4b")
SUMMARY = re.compile(r"edge-sandbox: [\d,]+ instructions in \d+ process(es)?: .* emulated, not calibrated")
BENCHMARK = """
import time
import numpy as np
from tflite_runtime.interpreter import Interpreter

interpreter = Interpreter("model.tflite", num_threads=1)
interpreter.allocate_tensors()
entry = interpreter.get_input_details()[0]
interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
interpreter.invoke()
start = time.perf_counter()
for _ in range(3):
    interpreter.invoke()
print((time.perf_counter() - start) / 3)
"""

EXITS_WITH_3 = """
.globl _start
_start:
    mov x0, #3
    mov x8, #93
    svc #0
"""


def shell(*words: str | Path, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """``edge-sandbox shell --device rpi4b`` with more options and a command, in the folder ``cwd``."""
    return subprocess.run(
        [str(COMMAND), "shell", *DEVICE, *map(str, words)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_example_of_its_help(tmp_path: Path) -> None:
    (example,) = re.findall(r"Example: edge-sandbox (.*?)\n\n", edge_sandbox("shell", "--help").stdout, re.DOTALL)
    done = edge_sandbox(*shlex.split(" ".join(example.split())), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "aarch64\n"), done.stderr
    assert SUMMARY.fullmatch(done.stderr.splitlines()[-1]), done.stderr


def test_a_benchmark_prints_the_same_time_beside_a_busy_host(tmp_path: Path) -> None:
    (tmp_path / "benchmark.py").write_text(BENCHMARK)
    shutil.copy(EXAMPLE_TFLITE, tmp_path / "model.tflite")
    first = shell("--quiet", "--", "python3", "benchmark.py", cwd=tmp_path)
    loops = [subprocess.Popen((sys.executable, "-c", "while True: pass")) for _ in range(2)]
    try:
        second = shell("--quiet", "--", "python3", "benchmark.py", cwd=tmp_path)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert float(second.stdout) == pytest.approx(float(first.stdout), rel=1e-3)
    assert {path.name for path in tmp_path.iterdir()} == {"benchmark.py", "model.tflite"}


@pytest.mark.parametrize(
    ("code", "status"),
    [("import sys; sys.exit(7)", 7), ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 128 + 11)],
    ids=["exit", "signal"],
)
def test_the_exit_status_is_the_commands(tmp_path: Path, code: str, status: int) -> None:
    assert shell("--", "python3", "-c", code, cwd=tmp_path).returncode == status


def test_a_program_that_the_device_has_not(tmp_path: Path) -> None:
    done = shell("--", "no-such-program", cwd=tmp_path)
    assert_refused(done, 2, "no-such-program: the device has no such program", "a file there is ./NAME")


def test_standard_input_is_the_commands_and_quiet_is_quiet(tmp_path: Path) -> None:
    done = shell("--quiet", "--", "python3", "-c", "print(input())", cwd=tmp_path, stdin="from outside\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "from outside\n", "")


def test_out_of_memory(tmp_path: Path) -> None:
    code = "b'x' * 400_000_000"
    done = shell("--memory", "128M", "--", "python3", "-c", code, cwd=tmp_path)
    assert done.returncode == 128 + 9
    assert "edge-sandbox: out of memory: ended at the device's limit" in done.stderr


def test_a_time_limit(tmp_path: Path) -> None:
    done = shell("--timeout", "4s", "--", "python3", "-c", "while True: pass", cwd=tmp_path)
    assert done.returncode == 124
    assert "edge-sandbox: stopped after 4" in done.stderr


def test_a_statically_linked_program_is_told(tmp_path: Path) -> None:
    source, caches = tmp_path / "bare.S", {f"ZIG_{name}_CACHE_DIR": str(tmp_path) for name in ("GLOBAL", "LOCAL")}
    source.write_text(EXITS_WITH_3)
    options = ("-target", "aarch64-linux-musl", "-nostdlib", "-static", str(source), "-o", str(tmp_path / "bare"))
    compiler = (sys.executable, "-m", "ziglang", "cc")
    subprocess.run((*compiler, *options), env={**os.environ, **caches}, check=True, timeout=120)
    done = shell("--", "./bare", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "did not load the clock, for it is statically linked" in done.stderr
    assert SUMMARY.fullmatch(done.stderr.splitlines()[-1])


def test_a_program_that_changes_ld_preload_is_told(tmp_path: Path) -> None:
    code = "import os; os.execve('/usr/bin/python3', ['python3', '-c', 'pass'], {'LD_PRELOAD': ''})"
    done = shell("--quiet", "--", "python3", "-c", code, cwd=tmp_path)
    assert done.returncode == 0
    assert "changed LD_PRELOAD: its instructions were counted, but the times that it saw are this host's" in done.stderr


def test_interrupted_it_leaves_nothing(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    code = "import sys, time; print('on', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [str(COMMAND), "shell", *DEVICE, "--", "python3", "-c", code],
        env={**os.environ, "TMPDIR": str(temporary)},
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as running:
        assert running.stdout
        assert running.stdout.readline() == "on\n"
        (run_folder,) = temporary.iterdir()
        assert mentioning(str(run_folder))
        running.send_signal(signal.SIGINT)
        _output, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert errors.splitlines()[-1] == "edge-sandbox: interrupted; nothing was left running"
    wait_for(lambda: not mentioning(str(run_folder)) and not list(temporary.iterdir()))
