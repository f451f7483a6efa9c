"""Whose memory a page is, by its address; and a real process tree followed."""

from __future__ import annotations

import contextlib
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import process
from sandbox.engines.base import MemoryTrace
from sandbox.engines.memory_meter import GUEST_ADDRESS_LIMIT, MemoryMeter, _tree, split_smaps

#: Some mappings of qemu-aarch64 with Python in it: five of the guest, one of them without access, and the emulator's.
RECORDED = (Path(__file__).parents[2] / "data" / "memory" / "smaps_qemu_aarch64.txt").read_bytes()
MIB = 1 << 20


def mapping(address: int, rss_kib: int, anonymous_kib: int) -> bytes:
    sizes = f"Size: 4 kB\nRss: {rss_kib:>12} kB\nPss: 1 kB\nAnonymous: {anonymous_kib:>6} kB\n"
    return f"{address:x}-{address + 4096:x} rw-p 0 00:00 0\n{sizes}".encode()


def test_recorded_emulator() -> None:
    guest = 2624 + 1212 + 392 + 28 + 736
    emulator, files = 2748 + 10240 + 1696 + 12 + 20, 1696
    assert split_smaps(RECORDED) == (guest * 1024, emulator * 1024, (emulator - files) * 1024)


def test_the_limit_itself_is_the_emulator_s() -> None:
    text = mapping(GUEST_ADDRESS_LIMIT - 4096, 8, 8) + mapping(GUEST_ADDRESS_LIMIT, 4, 1)
    assert split_smaps(text) == (8 << 10, 4 << 10, 1 << 10)


@pytest.mark.parametrize("text", [b"", b"nonsense", b"00400000-00500000 r--p 0 00:00 0\nSize: 4 kB\n"])
def test_nothing_to_see(text: bytes) -> None:
    assert split_smaps(text) == (0, 0, 0)


@contextlib.contextmanager
def python(script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program that prints a line when it is ready to be looked at, and waits."""
    argv = (sys.executable, "-S", "-c", f"{script}\nprint(flush=True)\nimport time; time.sleep(60)")
    with process.start(argv, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline()
        yield running


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
        assert meter.tick() is None, "nothing has grown and a quarter second has not passed"
        trace = meter.trace()
    assert trace.guest_peak_bytes == read[0]
    assert trace.guest_peak_high_bytes is not None
    assert read[0] <= trace.guest_peak_high_bytes < 150 * MIB
    assert trace.samples[0][1:] == read[:2]
    assert trace.unavailable is None


@pytest.mark.subprocess
def test_children_count_and_sandbox_programs_do_not() -> None:
    name = Path(sys.executable).resolve().name[:6]
    with python("import os\nx = bytearray(30 << 20)\nif not os.fork(): x = bytearray(40 << 20)") as running:
        time.sleep(0.1)
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
    assert meter.tick() == (0, 0, 0)
    assert meter.trace() == MemoryTrace(
        unavailable="no memory reading: it ended at once", started_seconds=meter.trace().started_seconds
    )


def test_this_process_is_in_its_own_tree() -> None:
    assert os.getpid() in _tree(os.getpid())
