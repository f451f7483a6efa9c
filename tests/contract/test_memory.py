"""A guest that allocates a known pattern: the peak, also one of a moment, reads back as what it allocated."""

from __future__ import annotations

import json

import pytest

from sandbox.engines.base import MemoryTrace
from sandbox.out_of_memory import explain
from sandbox.rundir import read_record
from sandbox.verdict import find_failure
from tests.record_runs import RUNS

from .conftest import Subject

MIB = 1 << 20
EXACT = 1 * MIB
"""What Python itself varies by from one run to the next."""
LEAST = 16
"""MiB of the smaller of two runs: more than what Python holds for a moment while it starts."""

HEAD = """
import ctypes, mmap, os, threading, time
def touch(mib):
    block = mmap.mmap(-1, max(mib << 20, 4096), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    view = ctypes.c_char.from_buffer(block)
    ctypes.memset(ctypes.addressof(view), 1, mib << 20)
    return block, view
"""
PATTERNS = {
    # in the middle of a quiet run: gone again before anybody can look
    "a moment": "time.sleep(0.4)\nblock, view = touch({mib})\ndel view\nblock.close()\ntime.sleep(0.4)\n",
    "kept": "kept = touch({mib})\ntime.sleep(0.3)\n",
    "the stack of a thread": """
threading.stack_size(({mib} + 8) << 20)
def work():
    for line in open('/proc/self/maps'):
        first, last = (int(word, 16) for word in line.split()[0].split('-'))
        if last - first >= ({mib} + 8 << 20) and 'rw' in line:
            ctypes.memset(first + (1 << 20), 1, {mib} << 20)
            break
    time.sleep(0.1)
thread = threading.Thread(target=work)
thread.start()
thread.join()
time.sleep(0.1)
""",
    "threads": """
def work():
    kept = touch({mib} // 4)
    gate.wait()
gate = threading.Barrier(4)
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
time.sleep(0.1)
""",
}


def seen(real: Subject, code: str) -> MemoryTrace:
    outcome = real.run(real.python(HEAD + code, memory_limit_bytes=400 * MIB))
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.memory.guest_peak_bytes is not None, outcome.memory.unavailable
    return outcome.memory


def peak(trace: MemoryTrace) -> int:
    assert trace.guest_peak_bytes is not None
    return trace.guest_peak_bytes


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_a_known_pattern_reads_back(real: Subject, pattern: str) -> None:
    without, with_ = (seen(real, pattern.format(mib=mib)) for mib in (LEAST, LEAST + 64))
    assert peak(with_) - peak(without) == pytest.approx(64 * MIB, abs=EXACT)
    assert with_.guest_peak_high_bytes is not None
    assert with_.guest_peak_high_bytes - peak(with_) < 3 * MIB


def test_a_fork_costs_what_it_writes(real: Subject) -> None:
    write = "ctypes.memset(ctypes.addressof(kept[1]), 2, {mib} << 20)"
    code = f"kept = touch(40)\nif not os.fork():\n  {write}\n  time.sleep(0.6)\n  os._exit(0)\nos.wait()\n"
    without, with_ = (seen(real, code.format(mib=mib)) for mib in (LEAST, LEAST + 24))
    assert peak(with_) - peak(without) == pytest.approx(24 * MIB, abs=EXACT)


def test_memory_that_two_processes_share_counts_once(real: Subject) -> None:
    code = "kept = mmap.mmap(-1, 48 << 20)\nview = ctypes.c_char.from_buffer(kept)\nchild = os.fork()\n"
    code += "ctypes.memset(ctypes.addressof(view), 1, {mib} << 20)\n"
    code += "if not child:\n  time.sleep(0.6)\n  os._exit(0)\nos.wait()\n"
    without, with_ = (seen(real, code.format(mib=mib)) for mib in (LEAST, LEAST + 20))
    assert peak(with_) - peak(without) == pytest.approx(20 * MIB, abs=EXACT)
    assert with_.guest_files_bytes == pytest.approx(without.guest_files_bytes, abs=EXACT)


def test_a_mapped_file_is_told_apart(real: Subject) -> None:
    code = (
        "open('mapped', 'wb').write(bytes(48 << 20))\nfile = open('mapped', 'rb')\n"
        "kept = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\nsum(kept[:{mib} << 20:4096])\ntime.sleep(0.3)\n"
    )
    without, with_ = (seen(real, code.format(mib=mib)) for mib in (LEAST, LEAST + 20))
    assert without.guest_files_bytes is not None
    assert with_.guest_files_bytes is not None
    assert with_.guest_files_bytes - without.guest_files_bytes == pytest.approx(20 * MIB, abs=EXACT)


REFUSED = {
    "bad_alloc": "import ctypes\nctypes.CDLL('libstdc++.so.6')._Znwm(ctypes.c_size_t(1 << 62))",
    "MemoryError": """
import json, sys
try:
    bytearray(1 << 62)
except Exception as error:  # as the guest's runner reports what is raised
    sys.exit(json.dumps({"phase": "load", "type": type(error).__name__, "message": str(error)}))
""",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_allocation_that_is_refused_is_told_by_who_refused_it(real: Subject, kind: str) -> None:
    outcome = real.run(real.python(REFUSED[kind], memory_limit_bytes=400 * MIB))
    assert not outcome.out_of_memory
    report = None if outcome.signal else {"error": json.loads(outcome.stderr)}
    assert (report is None) == (kind == "bad_alloc"), "C++ ends the process, Python goes on to say it"
    failure = find_failure(outcome, report, (), 400 * MIB)
    found = explain(failure, outcome, report, (), read_record(RUNS / "out_of_memory"))
    assert found is not None, outcome.stderr
    assert found.kind == kind


def test_a_guest_that_could_write_no_report_says_it_in_its_traceback(real: Subject) -> None:
    outcome = real.run(real.python("try:\n  1 / 0\nfinally:\n  bytearray(1 << 62)", memory_limit_bytes=400 * MIB))
    assert (outcome.exit_code, outcome.out_of_memory) == (1, False)
    failure = find_failure(outcome, None, (), 400 * MIB)
    found = explain(failure, outcome, None, (), read_record(RUNS / "out_of_memory"))
    assert found is not None, outcome.stderr
    assert found.kind == "MemoryError"
