"""Which of QEMU's machines stands for a board."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest

from sandbox.engines.qemu_machines import MACHINES, lacking, machine_for, no_machine, present
from sandbox.microcontroller.board import Core, Cpu, Emulation
from sandbox.microcontroller.elf import parse_firmware
from sandbox.microcontroller.firmware import memory_spans, ram_spans
from sandbox.microcontroller.job import FirmwareJob, Span
from tests.firmware.boards import board
from tests.unit.microcontroller.elf_files import FLASH, RAM, elf_file, vector_table


def job(
    core: Core, model: str, *, stack: int = RAM + 0x2000, ram_bytes: int = 0x2000, code_at: int = FLASH
) -> FirmwareJob:
    made_up = board(
        cpu=Cpu(core=core, fpu="single", dsp=True, mve="none", clock_hz=64_000_000),
        ram=(RAM, ram_bytes),
        emulator=(Emulation(engine="qemu-system", model=model, differs=("a made-up board",)),),
    )
    content = elf_file(table=vector_table(stack=stack, reset=code_at + 0x41), code_at=code_at)
    return FirmwareJob(
        firmware=parse_firmware(content, Path("app.elf")),
        board=made_up,
        emulation=made_up.emulator[0],
        run_dir=Path(),
        timeout_seconds=1,
        marks={},
        allowed=memory_spans(made_up),
        painted=ram_spans(made_up),
    )


@pytest.mark.parametrize(
    ("asked", "machine"),
    [
        (job("cortex-m4", "netduinoplus2"), "netduinoplus2"),
        (job("cortex-m4", "mps2-an386"), "netduinoplus2"),
        (job("cortex-m0+", "mps2-an385"), "stm32vldiscovery"),
        (job("cortex-m0+", "mps2-an385", ram_bytes=144 << 10), "netduinoplus2"),
        (job("cortex-m0+", "mps2-an385", ram_bytes=64 << 10), "netduino2"),
        (job("cortex-m7", "mps2-an500"), "netduinoplus2"),
        (job("cortex-m7", "mps2-an500", code_at=0x6000_0000), "mps2-an500"),
        (job("cortex-m4", "mps2-an386", ram_bytes=640 << 10), "netduinoplus2"),
        (job("cortex-m4", "mps2-an386", ram_bytes=640 << 10, stack=RAM + (640 << 10)), None),
        (job("cortex-m33", "mps2-an505"), None),
        (job("cortex-m4", "none-of-qemus"), None),
    ],
)
def test_the_whole_program_has_a_place_and_rather_its_stacks_ram_too(asked: FirmwareJob, machine: str | None) -> None:
    assert machine_for(asked) == machine


def test_only_a_program_with_an_fpu_can_meet_an_instruction_that_is_lacking() -> None:
    asked = job("cortex-m7", "mps2-an500")
    assert "FPv5" in str(lacking(asked, "netduinoplus2"))
    assert lacking(asked, "mps2-an500") is None
    soft = dataclasses.replace(asked, firmware=dataclasses.replace(asked.firmware, fpu="none"))
    assert lacking(soft, "netduinoplus2") is None
    assert lacking(job("cortex-m3", "netduino2"), "netduinoplus2") is None


def test_a_refusal_names_the_memory_that_comes_nearest() -> None:
    text = no_machine(job("cortex-m4", "mps2-an386", ram_bytes=640 << 10, stack=RAM + (640 << 10)))
    assert "memory for this program, which lies at 0x08000000, 0x20000000 with its stack below 0x200a0000" in text
    assert text.endswith("(netduinoplus2 has 0x08000000 to 0x08100000, 0x20000000 to 0x20030000)")
    assert no_machine(job("cortex-m33", "mps2-an505")).endswith("with its stack below 0x20002000")


def test_an_alias_of_flash_is_no_ram_to_paint() -> None:
    spans = (Span(start=0, end=0x10000), Span(start=RAM, end=RAM + (512 << 10)))
    assert present("netduinoplus2", spans) == (Span(start=RAM, end=RAM + (192 << 10)),)


def test_no_machine_has_memory_twice() -> None:
    for machine in MACHINES.values():
        spans = sorted((*machine.memory, *([machine.alias] if machine.alias else [])))
        assert all(first + size <= after for (first, size), (after, _size) in pairwise(spans))
