"""What a run of a program is judged to be; the runs are made up."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.engines.base import Problem
from sandbox.errors import DataFileError, HostError, UsageError
from sandbox.microcontroller import firmware_result
from sandbox.microcontroller.board import EmulatorName
from sandbox.microcontroller.elf import parse_firmware
from sandbox.microcontroller.emulators import choose
from sandbox.microcontroller.findings import cfsr_words
from sandbox.microcontroller.firmware_result import FirmwareResult, is_firmware, read_document, write_document
from sandbox.microcontroller.firmware_run import FirmwareRequest, profile_firmware
from sandbox.microcontroller.job import Fault, FirmwareJob, FirmwareRun, Stray
from sandbox.reports import firmware_terminal
from tests import renew
from tests.firmware.boards import QEMU, RENODE, board
from tests.record_runs import RUNS
from tests.unit.microcontroller.elf_files import FLASH, RAM, attributes, elf_file, vector_table

SYMBOLS = (
    ("main", FLASH + 0x40, 16, 2),
    ("bench_begin", FLASH + 0x60, 2, 2),
    ("bench_end", FLASH + 0x64, 2, 2),
    ("tensor_arena", RAM + 8, 2048, 1),
    ("__StackLimit", RAM + 0x1800, 0, 0),
    ("__StackTop", RAM + 0x2000, 0, 0),
)
ROOM = 128 << 10


def painted(stack_used: int = 64) -> dict[int, bytes]:
    content = bytearray(b"\xa5" * ROOM)
    content[0x2000 - stack_used : 0x2000] = bytes(stack_used)
    return {RAM: bytes(content)}


GOOD = FirmwareRun(
    ended="stop",
    console="hello\n",
    instructions=5000,
    passes=(("begin", 100), ("end", 4100)),
    ram=painted(),
    emulator="QEMU 7.2",
    machine="netduinoplus2",
    differs=("no peripherals",),
    seconds=0.1,
)


@dataclasses.dataclass
class Played:
    """An engine that gives a run which was made up."""

    outcome: FirmwareRun
    refused: str | None = None
    problem: Problem | None = None
    name: EmulatorName = "qemu-system"

    def probe(self) -> Problem | None:
        return self.problem

    def refusal(self, _job: FirmwareJob) -> str | None:
        return self.refused

    def run(self, _job: FirmwareJob, _cancel: threading.Event) -> FirmwareRun:
        return self.outcome


def result(run: FirmwareRun = GOOD, *, refused: str | None = None, content: bytes | None = None) -> FirmwareResult:
    request = FirmwareRequest(
        firmware=parse_firmware(content or elf_file(symbols=SYMBOLS), Path("app.elf")),
        board=board(),
        model=b"\x11" * 8,
        begin=None,
        end=None,
        timeout_seconds=5,
    )
    return profile_firmware(request, (QEMU, Played(run, refused)), Path(), threading.Event())


CHANGES = dict  # keyword by keyword, as `dataclasses.replace` takes them


def kinds(found: FirmwareResult) -> list[str]:
    return [finding.kind for finding in found.run.findings] if found.run else []


def test_a_good_run() -> None:
    found = result()
    assert found.verdict.status == "ready"
    assert found.run is not None
    assert found.run.instructions.model_dump()["value"] == 4000
    assert found.stack.used.model_dump()["value"] == 64
    assert found.run.ram_touched.model_dump()["value"] == 64
    assert found.arena_symbol == "tensor_arena"
    assert found.program.holds_model, "its .data are the model's bytes"
    assert found.engine is not None
    assert found.engine.differs == ("no peripherals",)


@pytest.mark.parametrize(
    ("run", "kind", "words"),
    [
        (CHANGES(ended="fault", fault=Fault(exception=3, pc=FLASH + 0x44, stack_pointer=RAM + 0x1F00, cfsr=1 << 25)),
         "fault", "HardFault at main+0x4: divide by zero (DIVBYZERO) (CFSR 0x02000000)"),
        (CHANGES(ended="fault", block=FLASH + 0x44, fault=Fault(exception=3, stack_pointer=RAM - 32, cfsr=0x1200)),
         "stack overflow", "stack overflow in main+0x4: stack pointer 0x1fffffe0 is 6176 bytes below"),
        (CHANGES(ended="fault", fault=Fault(exception=5, pc=FLASH + 0x44, stack_pointer=RAM + 0x1F00, cfsr=0x8200,
                                         address=0x9000_0000)),
         "fault", "BusFault at main+0x4: access to where no memory is (PRECISERR), address 0x90000000"),
        (CHANGES(ended="lockup", pc=FLASH + 0x44, ram=None), "lockup", "a fault while it handled a fault, at main+0x4"),
        (CHANGES(ended="timeout", pc=FLASH + 0x40), "hang", "did not end within 5 s: it was in main"),
        (CHANGES(ended="timeout", pc=FLASH + 0x40, exception=11), "hang", "it was in main, handling SVCall"),
        (CHANGES(ended="timeout", pc=FLASH + 0x40, exception=22), "hang", "it was in main, handling interrupt 6"),
        (CHANGES(ended="reset", pc=FLASH + 0x40), "reset", "it reset the core in main: the board would start again"),
        (CHANGES(ended="reset", pc=FLASH + 0x40, exception=3), "reset", "in main, handling HardFault"),
        (CHANGES(ended="fault", fault=Fault(exception=3, pc=FLASH + 0x40, stack_pointer=RAM + 0x1F00, cfsr=1 << 16)),
         "fault", "undefined instruction (UNDEFINSTR)"),
        (CHANGES(ended="flood", pc=FLASH + 0x40), "flood", "it printed without end, in main"),
        (CHANGES(ended="abort", words="CPU abort"), "abort", "the emulator gave up: CPU abort, in an unknown place"),
        (CHANGES(strays=(Stray(pc=FLASH + 0x44, address=RAM + ROOM, size_bytes=4, store=True, times=3),)),
         "out of range", "main+0x4 writes 4 bytes at 0x20020000, where made-up has nothing (3 times)"),
        (CHANGES(strays=(Stray(pc=FLASH + 0x44, address=FLASH, size_bytes=1, store=True, times=1),)),
         "write to flash", "main+0x4 writes 1 bytes at 0x08000000, which is flash"),
        (CHANGES(ram=painted(0x800)), "stack overflow", "used all of its 2048 bytes"),
    ],
)  # fmt: skip
def test_what_went_wrong_is_named(run: dict[str, object], kind: str, words: str) -> None:
    found = result(dataclasses.replace(GOOD, **run))  # type: ignore[arg-type]
    assert kinds(found) == [kind]
    assert words in found.run.findings[0].text if found.run else False
    assert found.verdict.status == "not_ready"
    assert found.verdict.fix


def test_a_fault_at_a_peripheral_that_the_emulator_lacks_is_not_held_against_the_program() -> None:
    fault = Fault(exception=3, pc=FLASH + 0x44, stack_pointer=RAM + 0x1F00, cfsr=0x8200, address=0x4002_1000)
    found = result(dataclasses.replace(GOOD, ended="fault", fault=fault))
    assert found.verdict.status == "unknown"
    assert "a peripheral that QEMU 7.2's netduinoplus2 has not" in found.verdict.reasons[0]


def test_an_instruction_that_the_machine_lacks_is_not_held_against_the_program() -> None:
    fault = Fault(exception=3, pc=FLASH + 0x44, stack_pointer=RAM + 0x1F00, cfsr=1 << 16)
    found = result(dataclasses.replace(GOOD, ended="fault", fault=fault, lacks="those of FPv5"))
    assert found.verdict.status == "unknown"
    assert found.verdict.fix == "use --engine renode, or leave that part out"
    zero = dataclasses.replace(fault, cfsr=1 << 25)
    assert (
        result(dataclasses.replace(GOOD, ended="fault", fault=zero, lacks="those of FPv5")).verdict.status != "unknown"
    )


def test_a_stack_outside_of_the_ram_is_seen_without_a_run() -> None:
    found = result(content=elf_file(table=vector_table(stack=RAM + (192 << 10))))
    assert found.verdict.reasons == ("memory: the stack starts at 0x20030000, below which made-up has no RAM",)
    assert found.run is None


def test_more_stack_than_is_kept_free_is_a_warning() -> None:
    symbols = (*SYMBOLS[:-2], ("_Min_Stack_Size", 0x400, 0, 0))
    found = result(dataclasses.replace(GOOD, ram=painted(0x600)), content=elf_file(symbols=symbols))
    assert found.verdict.reasons == (
        "memory: the stack used 1536 bytes, and the linker script keeps only 1024 free for it",
    )
    assert found.verdict.status == "marginal"


def test_a_refused_program_is_unknown_and_names_the_other_engine() -> None:
    found = result(refused="QEMU 7.2 has no machine")
    assert found.verdict.status == "unknown"
    assert found.verdict.fix == "use --engine renode"
    assert found.run is None


def test_what_cannot_start_is_not_run() -> None:
    found = result(content=elf_file(build=attributes(21)))
    assert found.verdict.status == "not_ready"
    assert [check.status for check in found.checks if check.id == "run"] == ["skipped"]


def test_a_status_other_than_0_and_a_nearly_full_stack() -> None:
    assert result(dataclasses.replace(GOOD, ended="exit", exit_code=3)).verdict.status == "not_ready"
    assert result(dataclasses.replace(GOOD, ram=painted(0x7F0))).verdict.status == "marginal"


def test_the_report_is_at_most_80_columns_and_harmless() -> None:
    text = firmware_terminal.render(result(dataclasses.replace(GOOD, console="a\x1b[2Jb\n" * 40)))
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "28 more lines" in text


def test_the_published_schema_is_current_and_holds() -> None:
    published = renew.FIRMWARE_SCHEMA.read_text(encoding="utf-8")
    assert json.loads(published) == firmware_result.schema(), "run python -m tests.renew"
    jsonschema.validate(json.loads(result().model_dump_json()), json.loads(published))


def test_a_result_that_was_left_is_the_same_again(tmp_path: Path) -> None:
    found = result()
    assert not is_firmware(tmp_path)
    write_document(tmp_path, found)
    for source in (tmp_path, tmp_path / firmware_result.DOCUMENT):
        assert is_firmware(source)
        assert read_document(source) == found
    assert not is_firmware(RUNS / "microcontroller")
    assert not is_firmware(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 9}, r"firmware\.json: schema_version is 9, this edge-sandbox reads 1"),
        ({"flash": 5}, r"firmware\.json: flash: "),
        ({"device": {}}, r"firmware\.json: device\.id: Field required"),
    ],
)
def test_a_damaged_result_is_refused(change: dict[str, object], words: str, tmp_path: Path) -> None:
    write_document(tmp_path, result())
    path = tmp_path / firmware_result.DOCUMENT
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataFileError, match=words):
        read_document(tmp_path)


@settings(max_examples=50)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / firmware_result.DOCUMENT).write_bytes(content)
        with pytest.raises(DataFileError):
            read_document(Path(folder))


def test_words_for_the_fault_register() -> None:
    assert cfsr_words(0) == ""
    assert cfsr_words(1 << 16 | 1 << 8).startswith("instruction fetch from where no memory is (IBUSERR), undefined")


def test_the_engine_is_the_boards_first_that_works() -> None:
    works, absent = Played(GOOD), Played(GOOD, problem=Problem(reason="no renode", hint="install it"))
    makers = {"qemu-system": lambda: works, "renode": lambda: absent}
    assert choose(board(), None, makers) == (QEMU, works)  # type: ignore[arg-type]
    assert choose(board(emulator=(RENODE, QEMU)), None, makers) == (QEMU, works)  # type: ignore[arg-type]
    with pytest.raises(HostError, match="engine renode: no renode"):
        choose(board(), "renode", makers)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="renode has no machine for made-up"):
        choose(board(emulator=(QEMU,)), "renode", makers)  # type: ignore[arg-type]
    assert choose(board(emulator=()), None, makers) == "no emulator stands for made-up: its spec names none"  # type: ignore[arg-type]
