"""Reading firmware: what is in a file, what still is in a stripped one, and what damaged ones are called."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import DataFileError
from sandbox.microcontroller.board import Cpu
from sandbox.microcontroller.elf import parse_firmware, read_firmware
from sandbox.microcontroller.firmware import layout, misfits, stack_outside
from tests.firmware.boards import board
from tests.unit.microcontroller.elf_files import EM_386, ET_REL, FLASH, RAM, attributes, elf_file, vector_table

APP = Path("app.elf")
SYMBOLS = (
    ("main", FLASH + 0x40, 16, 2),
    ("_ZN12_GLOBAL__N_112tensor_arenaE", RAM + 8, 2048, 1),
    ("tensor_arena_pointer", RAM, 4, 1),
    ("__StackLimit", RAM + 0x1800, 0, 0),
    ("__StackTop", RAM + 0x2000, 0, 0),
)


def test_a_program_is_described() -> None:
    firmware = parse_firmware(elf_file(symbols=SYMBOLS), APP)
    assert (firmware.architecture, firmware.cpu) == ("v7E-M", "MADE-UP")
    assert (firmware.float_abi, firmware.fpu) == ("hard", "single")
    assert (firmware.vectors, firmware.initial_stack, firmware.reset) == (FLASH, RAM + 0x2000, FLASH + 0x40)
    assert firmware.handlers == dict.fromkeys(range(2, 7), FLASH + 0x44)
    assert firmware.place(FLASH + 0x44) == "main+0x4"
    assert firmware.place(FLASH + 0x40) == "main"
    assert firmware.place(0x1234) == "0x00001234"


def test_its_parts_are_in_flash_and_ram() -> None:
    placed = layout(parse_firmware(elf_file(symbols=SYMBOLS), APP), board())
    assert [section.name for section in placed.flash] == [".text", ".data"]
    assert [section.name for section in placed.ram] == [".data", ".bss"]
    assert (placed.flash_bytes, placed.ram_bytes) == (128 + 8, 8 + 4096)
    assert placed.arena is not None
    assert placed.arena.size_bytes == 2048
    assert placed.stack is not None
    assert (placed.stack.start, placed.stack.end) == (RAM + 0x1800, RAM + 0x2000)
    assert placed.outside == ()


def test_a_stripped_program_still_tells_its_sizes() -> None:
    firmware = parse_firmware(elf_file(), APP)
    placed = layout(firmware, board())
    assert firmware.symbols == ()
    assert placed.flash_bytes == 128 + 8
    assert placed.arena is None
    assert placed.stack is not None, "by the vector table and the data below"
    assert (placed.stack.start, placed.stack.end) == (RAM + 8 + 4096, RAM + 0x2000)


def test_sections_outside_are_named() -> None:
    placed = layout(parse_firmware(elf_file(data_at=0x1000_0000), APP), board())
    assert placed.outside[0].startswith("section .data (8 bytes at 0x10000000) lies outside of the flash and RAM of")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an ELF file"),
        (b":020000040800F2\r\n", "is not an ELF file"),
        (elf_file(machine=EM_386), "is for another core: 32-bit little-endian 386"),
        (elf_file(kind=ET_REL), "an object file that was not linked yet"),
        (elf_file(kind=3), "a position-independent program or a shared library"),
        (elf_file(kind=4), "is a core dump"),
        (elf_file(kind=0xFE00), "is of the kind 65024, no program"),
        (elf_file()[:5] + b"\x02" + elf_file()[6:], "is for another core: 32-bit big-endian"),
        (elf_file(build=attributes(10, profile="A")), "was compiled for an Arm application core (MADE-UP), not for a"),
        (elf_file(build=attributes(10, profile="R")), "was compiled for an Arm real-time core"),
        (elf_file(table=bytes(64)), "has no vector table"),
        (elf_file(table=vector_table(reset=FLASH + 0x40)), "has no vector table"),
        (elf_file()[:60], "is damaged"),
        (elf_file()[:180], "is cut short"),
    ],
)
def test_what_is_no_program_is_refused_in_one_line(content: bytes, words: str) -> None:
    with pytest.raises(DataFileError) as caught:
        parse_firmware(content, APP)
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "app.elf")
    for path in (tmp_path / "app.elf", Path("/dev/zero"), tmp_path):
        with pytest.raises(DataFileError, match="is not a regular file"):
            read_firmware(path)


def test_a_place_is_called_by_the_function_and_not_by_a_weak_alias() -> None:
    weak, strong = 0x20, 0x10
    symbols = [("Default_Handler", FLASH + 0x44, 4, 2), ("WWDG_IRQHandler", FLASH + 0x44, 4, 2)]
    content = bytearray(elf_file(symbols=symbols))
    info = content.index(struct.pack("<IIIB", 17, FLASH + 0x45, 4, strong | 2)) + 12
    content[info] = weak | 2
    assert parse_firmware(bytes(content), APP).place(FLASH + 0x46) == "Default_Handler+0x2"


def test_stm32cubes_stack_reaches_down_to_its_heap() -> None:
    """The linker script only checks that there is so much room; the stack begins at the end of the RAM."""
    ends = [("_Min_Stack_Size", 0x400, 0, 0), ("_Min_Heap_Size", 0x200, 0, 0), ("_end", RAM + 0x1008, 0, 0)]
    placed = layout(parse_firmware(elf_file(symbols=ends), APP), board())
    assert placed.stack is not None
    assert (placed.stack.start, placed.stack.end) == (RAM + 0x1008, RAM + 0x2000)
    assert placed.stack_minimum == 0x400
    assert placed.heap is not None
    assert (placed.heap.size_bytes, placed.heap.source) == (0x200, "the linker's heap size")


def test_a_stack_where_the_board_has_no_ram_is_named() -> None:
    def told(stack: int) -> str | None:
        return stack_outside(parse_firmware(elf_file(table=vector_table(stack=stack)), APP), board())

    assert told(RAM + (128 << 10)) is None, "the first push goes below it"
    assert told(RAM + (192 << 10)) == "the stack starts at 0x20030000, below which made-up has no RAM"
    assert told(RAM) is not None
    assert told(FLASH + 0x1000) is not None


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="No such file"):
        read_firmware(tmp_path / "app.elf")


M0 = Cpu(core="cortex-m0+", fpu="none", dsp=False, mve="none", clock_hz=64_000_000)
M4 = Cpu(core="cortex-m4", fpu="none", dsp=True, mve="none", clock_hz=64_000_000)
M33 = Cpu(core="cortex-m33", fpu="single", dsp=True, mve="none", clock_hz=64_000_000)


@pytest.mark.parametrize(
    ("build", "cpu", "words"),
    [
        (attributes(13), M0, "is for Armv7E-M (compiled for MADE-UP), which the cortex-m0+ of made-up does not run"),
        (attributes(13), M4, "hard-float ABI), and the cortex-m4 of made-up has no FPU"),
        (attributes(13, hard=False), M4, "needs a single-precision FPU, and the cortex-m4 of made-up has no FPU"),
        (attributes(21), M33, "is for Armv8.1-M.main"),
    ],
)
def test_another_core_or_abi_is_named(build: bytes, cpu: Cpu, words: str) -> None:
    assert words in "; ".join(misfits(parse_firmware(elf_file(build=build), APP), board(cpu=cpu)))


@pytest.mark.parametrize("build", [attributes(11, fpu=0, hard=False), attributes(10, fpu=0, hard=False), b"A"])
def test_what_the_core_runs_is_not_refused(build: bytes) -> None:
    assert not list(misfits(parse_firmware(elf_file(build=build), APP), board()))


_GOOD = elf_file(symbols=SYMBOLS)


@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(_GOOD) - 1), st.integers(0, 255)), max_size=12),
    length=st.integers(0, len(_GOOD)),
)
def test_a_damaged_file_is_read_or_refused(changes: list[tuple[int, int]], length: int) -> None:
    content = bytearray(_GOOD)
    for at, value in changes:
        content[at] = value
    with contextlib.suppress(DataFileError):  # anything else is a traceback for the user
        firmware = parse_firmware(bytes(content[: length if length % 3 == 0 else len(content)]), APP)
        layout(firmware, board())
        list(misfits(firmware, board()))
