"""Microcontroller boards: every shipped file, the format's rules, and what is said of a wrong one."""

from __future__ import annotations

import contextlib
import copy
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.device import available_devices, load_device
from sandbox.errors import DataFileError, UsageError
from sandbox.microcontroller.board import (
    available_boards,
    fact_text,
    facts,
    is_microcontroller,
    load_board,
    spans,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SPECS = Path(__file__).parents[3] / "device_specs"
SHIPPED = available_boards(SPECS)
WANTED = {
    "nucleo-l4r5zi", "nucleo-f446re", "nucleo-f746zg", "disco-f746ng", "nucleo-h743zi", "nucleo-h7a3zi-q",
    "nucleo-u575zi-q", "nucleo-g0b1re", "nucleo-f103rb", "nrf52840-dk", "arduino-nano-33-ble", "nrf5340-dk",
    "raspberry-pi-pico", "pico-2", "feather-m4-can", "samd21-xpro", "mimxrt1060-evk", "efr32mg24", "apollo4",
    "ek-ra8d1", "corstone-300", "psoc62",
}  # fmt: skip
MINIMAL = """
kind = "microcontroller"
name = "Mine"
soc = "X1"

[cpu]
core = "cortex-m4"
fpu = "single"
dsp = true
mve = "none"
clock_hz = 64_000_000

[[flash]]
name = "flash"
base = 0
size_bytes = 131072
medium = "flash"

[[ram]]
name = "ram"
base = 0x20000000
size_bytes = 32768
kind = "sram"
"""


def test_the_boards_that_people_ask_for_are_there() -> None:
    assert set(SHIPPED) >= WANTED
    assert not set(SHIPPED) & set(available_devices(SPECS))


@pytest.mark.parametrize("board_id", SHIPPED)
def test_every_fact_of_a_shipped_board_has_a_source(board_id: str) -> None:
    board = load_board(board_id, SPECS)
    assert board.id == board_id
    assert [fact for fact in facts(board) if fact not in board.sources] == []
    assert all(fact_text(board, fact) for fact in facts(board))


@pytest.mark.parametrize("board_id", SHIPPED)
def test_an_emulator_that_stands_for_a_board_says_what_differs(board_id: str) -> None:
    for emulation in load_board(board_id, SPECS).emulator:
        assert all(line.strip() for line in emulation.differs)


def test_the_banks_of_a_board_that_follow_one_another_are_one_block() -> None:
    board = load_board("nucleo-l4r5zi", SPECS)
    assert board.data_spans == (("sram1+sram2+sram3", 640 << 10),)
    h743 = load_board("nucleo-h743zi", SPECS)
    assert [names for names, _size in h743.data_spans] == ["axi-sram", "sram1+sram2+sram3", "dtcm", "sram4"]
    assert h743.ram_bytes == (512 + 128 + 128 + 128 + 32 + 64 + 64) << 10
    assert spans(h743.flash) == (("flash", 2 << 20),)


def test_the_example_in_the_readme(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(kind = .*?)```", (SPECS / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 1
    (tmp_path / "sensor.toml").write_text(examples[0])
    board = load_board(str(tmp_path / "sensor.toml"), SPECS)
    assert (board.id, board.data_spans) == ("sensor", (("sram", 655_360),))


def test_linux_and_microcontroller_commands_refuse_the_other_s_devices() -> None:
    with pytest.raises(UsageError, match="nucleo-l4r5zi is a microcontroller"):
        load_device("nucleo-l4r5zi", SPECS)
    with pytest.raises(UsageError, match="rpi4b is no microcontroller"):
        load_board("rpi4b", SPECS)
    assert is_microcontroller("pico-2", SPECS)
    assert not is_microcontroller("rpi4b", SPECS)
    with pytest.raises(UsageError, match="unknown device 'pico'"):
        is_microcontroller("pico", SPECS)


def written(tmp_path: Path, old: str, new: str) -> str:
    assert old in MINIMAL
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL.replace(old, new))
    return str(path)


def test_a_board_of_one_s_own(tmp_path: Path) -> None:
    board = load_board(written(tmp_path, "Mine", "My board"), SPECS)
    assert (board.name, board.flash_bytes, board.data_spans) == ("My board", 131072, (("ram", 32768),))


@pytest.mark.parametrize(
    ("old", "new", "texts"),
    [
        ('core = "cortex-m4"', 'core = "cortex-a72"', ("cpu.core", "'cortex-a72' is not known here")),
        ("size_bytes = 32768", "size_bytes = 32", ("ram.size_bytes", "looks like kilobytes", "32768")),
        ("clock_hz = 64_000_000", "clock_hz = 64", ("cpu.clock_hz", "looks like megahertz")),
        ("dsp = true", 'dsp = "yes"', ("cpu.dsp", "true or false")),
        ('kind = "sram"', 'kind = "ram"', ("ram.kind", "sram, dtcm, itcm or external")),
        ('medium = "flash"', "", ("flash.medium", "is missing")),
        ("base = 0x20000000", "base = 0x1000", ("ram begins inside flash",)),
        ("base = 0x20000000", "base = 0xFFFFF000", ("reaches beyond the address space",)),
        ('name = "ram"', 'name = "flash"', ("flash names 2 regions",)),
        ('core = "cortex-m4"', 'core = "cortex-m0+"', ("has neither FPU nor DSP",)),
        ('mve = "none"', 'mve = "float"', ("cortex-m4 has no vector instructions",)),
        ('soc = "X1"', 'soc = "X1"\nram_bytes = 5', ("ram_bytes: unknown key", "known are name")),
        ('soc = "X1"', 'soc = "X1"\nsources = { "cpu.cache" = "x" }', ("sources.cpu.cache: no such fact",)),
    ],
)
def test_a_wrong_board_is_told_by_field(tmp_path: Path, old: str, new: str, texts: tuple[str, ...]) -> None:
    with pytest.raises(DataFileError) as caught:
        load_board(written(tmp_path, old, new), SPECS)
    assert "mine.toml" in caught.value.message
    assert "device_specs/README.md" in (caught.value.hint or "")
    for text in texts:
        assert text in caught.value.message


def test_a_board_of_another_kind_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no microcontroller"):
        load_board(written(tmp_path, 'kind = "microcontroller"\n', ""), SPECS)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers()))
PLACES = [("cpu", key) for key in ("core", "fpu", "dsp", "mve", "clock_hz")] + [("flash", "base"), ("ram", "kind")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_no_value_brings_another_error(tmp_path: Path, place: tuple[str, str], value: Any) -> None:
    table = copy.deepcopy(tomllib.loads(MINIMAL))
    within = table[place[0]]
    (within[0] if isinstance(within, list) else within)[place[1]] = value
    path = tmp_path / "mine.toml"
    path.write_text(as_toml(table))
    with contextlib.suppress(DataFileError):
        assert load_board(str(path), SPECS).id == "mine"


def as_toml(table: dict[str, Any]) -> str:
    """As much of TOML as these tests need; what it has no word for is left out."""
    lines = [f"{key} = {value!r}" for key, value in table.items() if isinstance(value, str)]
    for key, value in table.items():
        for row in value if isinstance(value, list) else [value] if isinstance(value, dict) else []:
            lines.append(f"[[{key}]]" if isinstance(value, list) else f"[{key}]")
            lines += [f"{name} = {word(each)}" for name, each in row.items() if each is not None]
    return "\n".join(lines) + "\n"


def word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        quoted = "".join(char if char.isalnum() else f"\\U{ord(char):08x}" for char in value)
        return f'"{quoted}"' if not any(0xD800 <= ord(char) < 0xE000 for char in value) else '""'
    return str(value)
