"""A real process tree followed: what it holds, and what it held between two looks."""

from __future__ import annotations

import contextlib
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import process
from sandbox.engines.base import MemoryTrace
from sandbox.engines.memory_meter import MemoryMeter, Reading, _tree

MIB = 1 << 20


@contextlib.contextmanager
def python(script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program that prints a line when it is ready to be looked at, and waits."""
    argv = (sys.executable, "-S", "-c", f"{script}\nprint(flush=True)\nimport time; time.sleep(60)")
    with process.start(argv, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline()
        yield running


FORKED = """
import os, time
{before}
read, write = os.pipe()
if not os.fork():
    {child}
    os.write(write, b"!")
    time.sleep(60)
os.read(read, 1)
"""
"""Ready as soon as the child is."""


def meter_of(pid: int, *, emulated: bool = False, sandbox_programs: tuple[str, ...] = ()) -> MemoryMeter:
    return MemoryMeter(pid, emulated=emulated, sandbox_programs=sandbox_programs)


@pytest.mark.subprocess
def test_a_native_guest_is_all_guest() -> None:
    with python("x = bytearray(50 << 20)") as running:
        meter = meter_of(running.pid)
        read = meter.tick()
        assert read is not None
        assert 50 * MIB < read[0] < 100 * MIB
        assert read[1] == 0
        assert any(meter.tick() is None for _ in range(50)), "nothing has grown, nor has a quarter second passed"
        trace = meter.trace()
    assert trace.guest_peak_bytes == read[0]
    assert trace.guest_peak_high_bytes is not None
    assert read[0] <= trace.guest_peak_high_bytes < 150 * MIB
    assert trace.samples[0][1:] == read[:2]
    assert trace.unavailable is None


@pytest.mark.subprocess
def test_children_count_and_sandbox_programs_do_not() -> None:
    name = Path(sys.executable).resolve().name[:6]
    with python(FORKED.format(before="x = bytearray(30 << 20)", child="x = bytearray(40 << 20)")) as running:
        read = meter_of(running.pid).tick()
        sandbox = meter_of(running.pid, sandbox_programs=(name,)).tick()
    assert read is not None
    assert read[0] > 70 * MIB
    assert sandbox is not None
    assert sandbox[0] == 0
    assert sandbox[1] > 70 * MIB


@pytest.mark.subprocess
def test_an_emulated_guest_is_what_lies_low() -> None:
    script = (
        "import ctypes\nmmap = ctypes.CDLL(None).mmap\nmmap.restype = ctypes.c_void_p\n"
        "mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]\n"
        "at = mmap(0x5500000000, 20 << 20, 3, 0x22, -1, 0)\nassert at == 0x5500000000\nctypes.memset(at, 1, 20 << 20)"
    )
    with python(script) as running:
        meter = meter_of(running.pid, emulated=True)
        read = meter.tick()
    assert read is not None
    assert 20 * MIB <= read[0] < 40 * MIB  # the interpreter itself may lie low too
    assert read[1] > MIB
    assert meter.trace().emulator_bytes == read[1]


@pytest.mark.subprocess
def test_a_name_that_is_no_text() -> None:
    with python(r"open('/proc/self/comm', 'wb').write(b'\xff\xfe')") as running:
        assert Path(f"/proc/{running.pid}/comm").read_bytes() == b"\xff\xfe\n"
        read = meter_of(running.pid).tick()
    assert read is not None
    assert read[0] > MIB


@pytest.mark.subprocess
def test_a_long_chain_of_children() -> None:
    depth = 60
    script = f"import os, time\nfor _ in range({depth}):\n  if os.fork(): time.sleep(60)"
    limit = sys.getrecursionlimit()
    with process.start((sys.executable, "-S", "-c", f"{script}\nprint(flush=True)\ntime.sleep(60)"), stdout=-1) as top:
        assert top.stdout is not None
        assert top.stdout.readline()
        used = len(inspect.stack(0))
        sys.setrecursionlimit(used + 45)
        try:
            found = list(_tree(top.pid))
        finally:
            sys.setrecursionlimit(limit)
    assert len(found) == depth + 1


def test_a_process_that_is_gone() -> None:
    meter = meter_of(2**22 + 1)
    assert meter.tick() == Reading(0, 0, 0)
    assert meter.trace() == MemoryTrace(
        unavailable="no memory reading: it ended at once", started_seconds=meter.trace().started_seconds
    )


def test_this_process_is_in_its_own_tree() -> None:
    assert os.getpid() in _tree(os.getpid())


ALLOCATE = "import mmap\nx = mmap.mmap(-1, {mib} << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\n"
WAIT = "print(flush=True)\nimport sys, time; sys.stdin.read(1)\n"


@pytest.mark.subprocess
def test_a_peak_between_two_looks_is_seen() -> None:
    """The kernel keeps the mark: it matters not how short the peak was."""
    script = f"import os, sys\n{WAIT}{ALLOCATE.format(mib=64)}x.close()\n"
    with (
        subprocess.Popen(
            (sys.executable, "-S", "-c", f"{script}print(flush=True)\nsys.stdin.read(1)"), stdin=-1, stdout=-1
        ) as running,
    ):
        assert running.stdout is not None
        assert running.stdin is not None
        running.stdout.readline()
        meter = meter_of(running.pid)
        before = meter.tick()
        running.stdin.write(b"x")
        running.stdin.flush()
        running.stdout.readline()
        after = meter.tick()
        running.kill()
    assert before is not None
    assert after is not None
    assert after.guest - before.guest == pytest.approx(64 * MIB, abs=MIB)
    trace = meter.trace()
    assert trace.guest_peak_bytes == after.guest
    assert trace.guest_peak_high_bytes == pytest.approx(after.guest, rel=0.01)


@pytest.mark.subprocess
def test_what_comes_after_the_last_look_is_read_but_not_kept() -> None:
    script = f"import os, sys\n{ALLOCATE.format(mib=8)}{WAIT}{ALLOCATE.replace('x', 'y').format(mib=64)}"
    argv = (sys.executable, "-S", "-c", f"{script}print(flush=True)\nsys.stdin.read(1)")
    with subprocess.Popen(argv, stdin=-1, stdout=-1) as running:
        assert running.stdout is not None
        assert running.stdin is not None
        running.stdout.readline()
        meter = meter_of(running.pid)
        last = meter.finish()
        running.stdin.write(b"x")
        running.stdin.flush()
        running.stdout.readline()
        later = meter.tick()
        running.kill()
    assert last is not None
    assert later is not None
    assert later.guest_own - last.guest_own > 60 * MIB
    trace = meter.trace()
    assert trace.guest_peak_bytes == last.guest
    assert trace.guest_own_bytes == last.guest_own
    assert {guest for _seconds, guest, _emulator in trace.samples} == {last.guest}


@pytest.mark.subprocess
def test_forked_memory_counts_once_until_it_is_written() -> None:
    with python(FORKED.format(before=ALLOCATE.format(mib=40), child="pass")) as running:
        read = meter_of(running.pid).tick()
    assert read is not None
    assert 40 * MIB < read.guest < 70 * MIB


@pytest.mark.subprocess
def test_pages_of_files_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "mapped"
    file.write_bytes(bytes(20 * MIB))
    script = f"import mmap\nf = open({str(file)!r}, 'rb')\nx = mmap.mmap(f.fileno(), 0, prot=1)\nsum(x[::4096])"
    with python(script) as running:
        meter = meter_of(running.pid)
        read = meter.tick()
    assert read is not None
    assert 20 * MIB < read.guest_files < 40 * MIB
    trace = meter.trace()
    assert trace.guest_files_bytes == read.guest_files
    assert trace.guest_own_bytes == read.guest - read.guest_files
