"""What guests say of illegal instructions: real ones, on emulated cores of 64 and 32 bits."""

from __future__ import annotations

import signal
import threading
import uuid
from pathlib import Path

import pytest

from sandbox import native
from sandbox.engines.base import (
    COUNTS,
    FAULT,
    GUEST_FAULT_LIBRARY,
    GUEST_PLUGIN,
    Counting,
    EngineName,
    Job,
    Mount,
    Outcome,
)
from sandbox.engines.guard import Guard
from sandbox.image.emulator import host_architecture
from sandbox.measurements import IllegalInstruction
from sandbox.profilers.fault import read_fault
from tests import host

pytestmark = pytest.mark.timeout(180)

EXECUTE = """
import ctypes, mmap, sys
page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("{code}"))
run = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)) + {thumb})
{before}
run()
print("survived")
"""
HALF_PRECISION = "01fc030fc0035fd6"  # fmov v1.4h, #0.5; ret
CRC32 = "420001e11eff2fe1"  # crc32b r0, r1, r2; bx lr
CRC32_THUMB = "c2fa82f07047"  # crc32b r0, r2, r2; bx lr


def run(
    name: EngineName,
    guard: Guard,
    folder: Path,
    code: str,
    *,
    cpu: str = "cortex-a72",
    before: str = "",
    thumb: int = 0,
) -> tuple[Outcome, IllegalInstruction | None]:
    """Run the code on that core; how it ended, and what the guest said. Those of Armv7 take the 32-bit image."""
    image_id = "bookworm-armhf" if cpu == "cortex-a7" else "bookworm-arm64"
    image = host.builder().build(image_id)
    run_dir = folder / f"fault-{uuid.uuid4().hex[:8]}"
    (run_dir / COUNTS).mkdir(parents=True)
    plugin, library = native.plugin(host_architecture()), native.fault_library(image.spec.architecture)
    program = EXECUTE.format(code=code, before=before, thumb=thumb)
    job = Job(
        name=run_dir.name,
        image=image,
        argv=(f"/usr/bin/python{image.spec.python}", "-S", "-c", program),
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
        run_dir=run_dir,
        mounts=(Mount(source=plugin, target=GUEST_PLUGIN), Mount(source=library, target=GUEST_FAULT_LIBRARY)),
        cpu=cpu,
        page_size_bytes=4096,
        hostname="faulty",
        memory_limit_bytes=None,
        timeout_seconds=120,
        counting=Counting(plugin=plugin, clock_library=library, clock=False, tick_ns=(1, 1), fault_library=library),
    )
    outcome = host.make_engine(name, guard).run(job, threading.Event())
    record = run_dir / FAULT
    return outcome, read_fault(record.read_text(), image.root) if record.is_file() else None


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.engine(name)) for name in ("local", "docker")])
def test_a_64_bit_core_without_half_precision(name: EngineName, protector: Guard, tmp_path: Path) -> None:
    outcome, found = run(name, protector, tmp_path, HALF_PRECISION)
    assert outcome.signal == signal.SIGILL
    assert found is not None
    assert (found.instruction, found.needs, found.instruction_set) == ("fmov v1.4h, #0.50000000", "asimdhp", "a64")
    assert int(found.address, 16) % 4096 == 0
    assert found.file == "unknown", "it is in a page of the program's own"


@pytest.mark.engine("local")
def test_a_core_that_has_it_goes_on(protector: Guard, tmp_path: Path) -> None:
    outcome, found = run("local", protector, tmp_path, HALF_PRECISION, cpu="cortex-a76")
    assert (outcome.exit_code, found) == (0, None)
    assert "survived" in outcome.stderr


@pytest.mark.engine("local")
@pytest.mark.parametrize(("code", "thumb", "encoding"), [(CRC32, 0, "e1010042"), (CRC32_THUMB, 1, "fac2 f082")])
def test_a_32_bit_core(code: str, thumb: int, encoding: str, protector: Guard, tmp_path: Path) -> None:
    outcome, found = run("local", protector, tmp_path, code, cpu="cortex-a7", thumb=thumb)
    assert outcome.signal == signal.SIGILL
    assert found is not None
    assert (found.encoding, found.needs, found.instruction_set) == (encoding, "crc32", "t32" if thumb else "a32")


@pytest.mark.engine("local")
def test_python_s_own_trace_hides_nothing(protector: Guard, tmp_path: Path) -> None:
    before = "import faulthandler; faulthandler.enable()"
    outcome, found = run("local", protector, tmp_path, HALF_PRECISION, before=before)
    assert outcome.signal == signal.SIGILL
    assert "Fatal Python error: Illegal instruction" in outcome.stderr
    assert found is not None
    assert found.needs == "asimdhp"


@pytest.mark.engine("local")
def test_a_program_that_tries_instructions_out_is_let(protector: Guard, tmp_path: Path) -> None:
    """As OpenSSL does on 32-bit Arm. Its handler here ends the program in peace."""
    before = (
        "import os; libc = ctypes.CDLL(None); "
        "handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: os._exit(40 + number)); libc.signal(4, handler)"
    )
    outcome, _found = run("local", protector, tmp_path, HALF_PRECISION, before=before)
    assert (outcome.exit_code, outcome.signal) == (44, None)


@pytest.mark.engine("local")
def test_a_signal_that_was_sent_is_no_instruction(protector: Guard, tmp_path: Path) -> None:
    before = "import os; os.kill(os.getpid(), 4)"
    outcome, found = run("local", protector, tmp_path, HALF_PRECISION, before=before)
    assert outcome.signal == signal.SIGILL
    assert found is None
