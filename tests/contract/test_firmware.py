"""Programs for a bare Cortex-M core whose end is known beforehand, in each engine that runs such programs."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.engines.base import Cancelled
from sandbox.engines.guard import Guard
from sandbox.microcontroller.board import Core, Cpu, Emulation, EmulatorName, Microcontroller, Ram
from sandbox.microcontroller.elf import read_firmware
from sandbox.microcontroller.firmware_result import FirmwareResult
from sandbox.microcontroller.firmware_run import FirmwareRequest, profile_firmware
from tests import host
from tests.firmware import BETWEEN_SYMBOLS, build_firmware
from tests.firmware.boards import OTHER_CORES, board, board_of

pytestmark = pytest.mark.timeout(120)
NEVER = "0x0"
"""An end that is not reached: what comes after ``bench_end`` is what these programs are about."""

Programs = Callable[[str, Microcontroller], Path]
"""Builds the program of a fate for a board, once."""


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    folder = tmp_path_factory.mktemp("firmware")

    def built(fate: str, made_up: Microcontroller) -> Path:
        path = folder / f"{made_up.cpu.core}-{fate}-{made_up.flash[0].base:x}.elf"
        if path.exists():
            return path
        flash, ram = made_up.flash[0], made_up.ram[0]
        return build_firmware(
            fate,
            path,
            core=made_up.cpu.core,
            flash=(flash.base, flash.size_bytes),
            ram=(ram.base, ram.size_bytes),
            beyond=ram.end,
        )

    return built


@dataclass(frozen=True)
class Bench:
    """An engine, and the programs."""

    name: EmulatorName
    guard: Guard
    folder: Path
    programs: Programs

    def profile(
        self,
        fate: str,
        *,
        seconds: float = 20,
        cancel: threading.Event | None = None,
        made_up: Microcontroller | None = None,
    ) -> FirmwareResult:
        made_up = made_up or board()
        emulation = next(emulation for emulation in made_up.emulator if emulation.engine == self.name)
        request = FirmwareRequest(
            firmware=read_firmware(self.programs(fate, made_up)),
            board=made_up,
            model=None,
            begin=None,
            end=None if fate == "NONE" else NEVER,
            timeout_seconds=seconds,
        )
        engine = host.make_firmware_engine(self.name, self.guard)
        assert engine.probe() is None
        return profile_firmware(request, (emulation, engine), self.folder, cancel or threading.Event())


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.engine(name)) for name in host.EMULATORS])
def bench(request: pytest.FixtureRequest, protector: Guard, tmp_path: Path, programs: Programs) -> Bench:
    return Bench(request.param, protector, tmp_path, programs)


@pytest.fixture
def qemu(protector: Guard, tmp_path: Path, programs: Programs) -> Bench:
    return Bench("qemu-system", protector, tmp_path, programs)


def only_finding(result: FirmwareResult) -> tuple[str, str]:
    assert result.run is not None
    assert result.verdict.status == "not_ready"
    (finding,) = result.run.findings
    return finding.kind, finding.text


def test_the_counted_loop_is_exact(bench: Bench) -> None:
    result = bench.profile("NONE")
    assert result.run is not None
    assert result.run.ended == "stop", result.checks
    assert result.run.instructions.model_dump()["value"] == BETWEEN_SYMBOLS
    assert result.run.console == "hello from cortex-m\n"
    assert result.verdict.status == "ready"


def test_it_is_the_same_every_time(bench: Bench, tmp_path: Path) -> None:
    first = bench.profile("NONE")
    (tmp_path / "again").mkdir()
    second = Bench(bench.name, bench.guard, tmp_path / "again", bench.programs).profile("NONE")
    assert first == second


def test_memory_that_was_touched_and_the_stack(bench: Bench) -> None:
    result = bench.profile("NONE")
    assert result.run is not None
    # .data and .bss, of which start-up writes every byte, and 32 bytes of stack: three frames of 8 and a pair
    touched = result.run.ram_touched.model_dump()["value"]
    assert touched == pytest.approx(4096 + 4 + 4 + 32, abs=64)
    assert 0 < result.stack.used.model_dump()["value"] <= 64
    assert result.stack.size.model_dump()["value"] == 0x800
    assert result.arena_symbol == "tensor_arena"
    assert result.arena.model_dump()["value"] == 4096


def test_a_write_beyond_the_boards_ram(bench: Bench) -> None:
    """QEMU's machine has memory there: it is the board that has not."""
    kind, text = only_finding(bench.profile("BEYOND"))
    assert kind == "out of range"
    assert text.startswith("write_beyond")
    assert "writes 4 bytes at 0x20020000, where made-up has nothing" in text


def test_a_jump_to_nowhere(bench: Bench) -> None:
    kind, text = only_finding(bench.profile("RUN_AWAY"))
    assert kind in {"fault", "abort"}
    assert "0x70000000" in text


def test_an_undefined_instruction(bench: Bench) -> None:
    kind, text = only_finding(bench.profile("UNDEFINED"))
    assert kind == "fault"
    assert "main+0x" in text
    assert "undefined instruction (UNDEFINSTR)" in text


def test_a_hang_is_found_and_named(bench: Bench) -> None:
    kind, text = only_finding(bench.profile("HANG", seconds=2))
    assert (kind, text.rpartition(" in ")[2].partition("+")[0]) == ("hang", "hang")
    assert "did not end within 2 s" in text


@pytest.mark.engine("qemu-system")
def test_a_stack_overflow_is_named(qemu: Bench) -> None:
    result = qemu.profile("OVERFLOW")
    kind, text = only_finding(result)
    assert kind == "stack overflow"
    assert "recurse" in text
    assert "below the stack's lower end" in text


@pytest.mark.engine("qemu-system")
def test_a_division_by_zero_is_named(qemu: Bench) -> None:
    kind, text = only_finding(qemu.profile("DIVIDE"))
    assert kind == "fault"
    assert "HardFault at divide" in text
    assert "divide by zero (DIVBYZERO)" in text
    assert "called from main+0x" in text


@pytest.mark.engine("qemu-system")
def test_a_fault_on_the_process_stack_has_its_place(qemu: Bench) -> None:
    kind, text = only_finding(qemu.profile("PROCESS_STACK"))
    assert (kind, "at main+0x" in text) == ("fault", True), (
        "a task's stack lies below the main one: that is no overflow"
    )


@pytest.mark.engine("qemu-system")
@pytest.mark.parametrize("core", OTHER_CORES)
def test_another_core_counts_the_same_loop(qemu: Bench, core: Core) -> None:
    result = qemu.profile("NONE", made_up=board_of(core))
    assert result.run is not None
    assert result.run.instructions.model_dump()["value"] == BETWEEN_SYMBOLS
    assert result.run.console == "hello from cortex-m\n"
    assert result.run.ram_touched.model_dump()["value"] == pytest.approx(4096 + 4 + 4 + 32, abs=64)
    assert (result.verdict.status, result.engine and result.engine.machine) == (
        "ready",
        board_of(core).emulator[0].model,
    )


@pytest.mark.engine("qemu-system")
@pytest.mark.parametrize("core", OTHER_CORES)
def test_another_core_keeps_to_the_boards_ram(qemu: Bench, core: Core) -> None:
    made_up = board_of(core)
    kind, text = only_finding(qemu.profile("BEYOND", made_up=made_up))
    assert kind == "out of range"
    assert f"writes 4 bytes at {made_up.ram[0].end:#010x}, where made-up has nothing" in text


@pytest.mark.engine("qemu-system")
@pytest.mark.parametrize("core", OTHER_CORES)
def test_another_cores_fault_has_its_place(qemu: Bench, core: Core) -> None:
    """With FPU registers in the frame where the core has any; a Cortex-M0 has no register that tells the reason."""
    small = core == "cortex-m0"
    kind, text = only_finding(qemu.profile("UNDEFINED" if small else "FPU", made_up=board_of(core)))
    assert (kind, text.partition("+")[0]) == ("fault", "HardFault at main")
    assert ("undefined instruction (UNDEFINSTR)" in text) != small


@pytest.mark.engine("qemu-system")
def test_vector_instructions_run(qemu: Bench) -> None:
    result = qemu.profile("VECTOR", made_up=board_of("cortex-m55"))
    assert result.run is not None
    assert (result.run.ended, result.run.exit_code) == ("exit", 0)


@pytest.mark.engine("qemu-system")
def test_a_jump_to_memory_that_only_the_machine_has(qemu: Bench) -> None:
    """On the Corstone-300's board there is DDR at 0x70000000: what runs there goes on without a fault."""
    kind, text = only_finding(qemu.profile("RUN_AWAY", made_up=board_of("cortex-m55"), seconds=2))
    assert kind == "hang"
    assert text.endswith("where made-up has nothing")


@pytest.mark.engine("qemu-system")
def test_a_lockup_is_named(qemu: Bench) -> None:
    result = qemu.profile("LOCKUP")
    kind, text = only_finding(result)
    assert kind == "lockup"
    assert "main+0x" in text
    assert result.run is not None
    assert "unavailable" in result.run.ram_touched.model_dump()


@pytest.mark.engine("qemu-system")
@pytest.mark.parametrize(
    ("fate", "kind", "words"),
    [
        ("RESET", "reset", "it reset the core in main+0x"),
        ("BREAKPOINT", "fault", "breakpoint instruction without a debugger"),
        ("CALL", "hang", ", handling SVCall"),
    ],
)
def test_an_end_that_no_board_would_take_for_a_good_one(qemu: Bench, fate: str, kind: str, words: str) -> None:
    found, text = only_finding(qemu.profile(fate, seconds=3 if fate == "CALL" else 20))
    assert found == kind
    assert words in text


@pytest.mark.engine("qemu-system")
def test_a_program_behind_a_boot_loader_starts(qemu: Bench) -> None:
    """Where the core looks for its vector table, there is none: the boot loader is not part of the file."""
    made_up = board(flash=(0x0800_C000, 64 << 10))
    result = qemu.profile("NONE", made_up=made_up)
    assert result.run is not None
    assert result.run.instructions.model_dump()["value"] == BETWEEN_SYMBOLS
    usual = qemu.profile("NONE").run
    assert usual is not None
    assert result.run.all_instructions == usual.all_instructions, "what was lent to it is not counted"
    kind, text = only_finding(qemu.profile("DIVIDE", made_up=made_up))
    assert (kind, text.partition(" at ")[0]) == ("fault", "HardFault"), "its own table has the handler"


@pytest.mark.engine("qemu-system")
def test_newlib_learns_that_an_exit_has_a_status(qemu: Bench) -> None:
    result = qemu.profile("FEATURES")
    assert result.run is not None
    assert (result.run.ended, result.run.exit_code, result.verdict.status) == ("exit", -2, "not_ready")


@pytest.mark.engine("qemu-system")
def test_a_larger_core_stands_for_a_small_one_and_faults_like_it(qemu: Bench) -> None:
    emulator = (Emulation(engine="qemu-system", model="mps2-an385", differs=("a made-up board",)),)
    cpu = Cpu(core="cortex-m0+", fpu="none", dsp=False, mve="none", clock_hz=64_000_000)
    made_up = board(cpu=cpu, ram=(0x2000_0000, 144 << 10), emulator=emulator)
    result = qemu.profile("NONE", made_up=made_up)
    assert result.run is not None
    assert result.run.instructions.model_dump()["value"] == BETWEEN_SYMBOLS
    assert result.engine is not None
    assert (result.engine.machine, result.verdict.status) == ("netduinoplus2", "ready")
    assert result.engine.differs[0].startswith("QEMU's netduinoplus2 (cortex-m4) stands for the board")
    assert only_finding(qemu.profile("UNALIGNED", made_up=made_up))[0] == "fault", "a Cortex-M0+ takes no such access"


@pytest.mark.engine("qemu-system")
def test_what_a_smaller_core_lacks_is_not_held_against_the_program(qemu: Bench) -> None:
    """A Cortex-M7's program at STM32 addresses, where QEMU has only a Cortex-M4; the ITCM at 0 is its flash there."""
    large = board_of("cortex-m7")
    made_up = board(cpu=large.cpu, emulator=large.emulator)
    made_up = made_up.model_copy(
        update={"ram": (*made_up.ram, Ram(name="itcm", base=0, size_bytes=64 << 10, kind="itcm"))}
    )
    result = qemu.profile("NONE", made_up=made_up)
    assert result.run is not None
    assert result.run.instructions.model_dump()["value"] == BETWEEN_SYMBOLS
    assert result.run.ram_touched.model_dump()["value"] == pytest.approx(4096 + 4 + 4 + 32, abs=64)
    result = qemu.profile("DOUBLE", made_up=made_up)
    assert result.verdict.status == "unknown"
    assert "netduinoplus2 lacks instructions that the cortex-m7 has" in result.verdict.reasons[0]


@pytest.mark.engine("qemu-system")
def test_a_program_gets_at_no_file_of_this_host(qemu: Bench) -> None:
    result = qemu.profile("FILE")
    assert result.run is not None
    assert (result.run.ended, result.run.exit_code) == ("exit", 0), "it ends with 9 when the file could be opened"


@pytest.mark.engine("qemu-system")
def test_a_program_that_prints_without_end_is_stopped(qemu: Bench) -> None:
    assert only_finding(qemu.profile("FLOOD", seconds=100))[0] == "flood"


def test_a_cancelled_run_leaves_nothing(bench: Bench) -> None:
    cancel = threading.Event()
    threading.Timer(1.0, cancel.set).start()
    with pytest.raises(Cancelled):
        bench.profile("HANG", seconds=100, cancel=cancel)
    time.sleep(0.2)
    listed = subprocess.run(("ps", "-eo", "args"), capture_output=True, text=True, check=True).stdout
    assert str(bench.folder) not in listed
