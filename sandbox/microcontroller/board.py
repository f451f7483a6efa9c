"""What a microcontroller board is: reads a spec with ``kind = "microcontroller"`` and checks it.

The format is described in ``device_specs/README.md``. A fact that no source gives is absent, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.device_errors import describe
from sandbox.device_file import MICROCONTROLLER, kind_of, locate_spec, read_spec, spec_ids
from sandbox.errors import DataFileError, UsageError

Core = Literal[
    "cortex-m0",
    "cortex-m0+",
    "cortex-m3",
    "cortex-m4",
    "cortex-m7",
    "cortex-m23",
    "cortex-m33",
    "cortex-m55",
    "cortex-m85",
]
EmulatorName = Literal["qemu-system", "renode"]

# The bounds catch a wrong unit: every Cortex-M board lies far inside them.
_Size = Annotated[int, Field(strict=True, ge=1024, le=2**30)]
_Address = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
_Hertz = Annotated[int, Field(strict=True, ge=10**6, le=2 * 10**9)]
_Waits = Annotated[int, Field(strict=True, ge=0, le=100)]
_Text = Annotated[str, Field(min_length=1, pattern=r"^[^\r\n]+$")]
_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]+$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cpu(_Table):
    """The core that runs the model, with what the chip's maker built into it."""

    core: Core
    fpu: Literal["none", "single", "double"]
    dsp: Annotated[bool, Field(strict=True)]
    """The DSP extension (SMLAD and its like), which CMSIS-NN's int8 kernels need to be fast."""
    mve: Literal["none", "integer", "float"]
    """Helium vector instructions."""
    clock_hz: _Hertz
    """The highest the chip is specified for, and that its latencies are published at."""


class Region(_Table):
    """A stretch of memory at the address where the core's accesses find it."""

    name: _Word
    base: _Address
    size_bytes: _Size

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.base + self.size_bytes


class Flash(Region):
    """Memory that keeps the program and the model without power."""

    medium: Literal["flash", "mram", "qspi", "ram"]
    """``qspi``: outside the chip, read through a cache; ``ram``: a board that is loaded before every start."""
    wait_states: _Waits | None = None
    """Cycles that a read waits at `Cpu.clock_hz`, before any cache or prefetch helps."""


class Ram(Region):
    """A bank of RAM."""

    kind: Literal["sram", "dtcm", "itcm", "external"]
    """Tightly coupled memory answers in one cycle; ``itcm`` is for code."""


class Emulation(_Table):
    """An emulator that can stand for the board, and what is different there."""

    engine: EmulatorName
    model: _Word
    """QEMU's ``-machine``; Renode's ``cpuType``, with memory described as the board has it."""
    differs: Annotated[tuple[_Text, ...], Field(min_length=1)]
    """Sentences for people, which every result of that engine repeats."""


class Microcontroller(_Table):
    """A board as its TOML file describes it; ``id`` is the file's stem and ``origin`` its path."""

    id: str
    origin: Path
    name: _Text
    soc: _Text
    cpu: Cpu
    flash: Annotated[tuple[Flash, ...], Field(min_length=1)]
    """The first is where the core starts from and the program lies."""
    ram: Annotated[tuple[Ram, ...], Field(min_length=1)]
    """The first is where the maker's linker scripts put data and stack."""
    emulator: tuple[Emulation, ...] = ()
    """In order of preference."""
    sources: dict[str, _Text] = Field(default_factory=dict)
    """Dotted key of a fact → where it was read."""

    @property
    def flash_bytes(self) -> int:
        """All flash that a program can lie in: the first region and those behind it without a gap."""
        return spans(self.flash)[0][1]

    @property
    def ram_bytes(self) -> int:
        """All RAM together, however split."""
        return sum(bank.size_bytes for bank in self.ram)

    @property
    def data_spans(self) -> tuple[tuple[str, int], ...]:
        """(names, bytes) of each block of RAM without a gap that data can lie in, the largest first."""
        banks = [bank for bank in self.ram if bank.kind != "itcm"]
        return tuple(sorted(spans(banks), key=lambda span: -span[1])) if banks else ()


_TABLES: dict[str, type[BaseModel]] = {"cpu": Cpu, "flash": Flash, "ram": Ram, "emulator": Emulation}


def is_microcontroller(id_or_path: str, directory: Path) -> bool:
    """Whether that spec is of a microcontroller. Raises `UsageError` and `DataFileError` as `load_board` does."""
    return kind_of(locate_spec(id_or_path, directory), directory) == MICROCONTROLLER


def available_boards(directory: Path) -> tuple[str, ...]:
    """The ids of the microcontroller boards in ``directory``, sorted."""
    return spec_ids(directory, MICROCONTROLLER)


def load_board(id_or_path: str, directory: Path) -> Microcontroller:
    """The board of that id in ``directory``, or of a ``.toml`` file. Raises `UsageError` and `DataFileError`."""
    path = locate_spec(id_or_path, directory)
    table = read_spec(path, directory)
    if table.pop("kind", None) != MICROCONTROLLER:
        known = ", ".join(available_boards(directory))
        raise UsageError(
            f"{path.stem} is no microcontroller: its spec does not say kind = {MICROCONTROLLER!r}",
            hint=f"choose one of {known}",
        )
    problems = [f"{key}: unknown key; the file's name is the id" for key in ("id", "origin") if key in table]
    try:
        board = Microcontroller.model_validate({**table, "id": path.stem, "origin": path})
    except ValidationError as error:
        details = [d for d in error.errors(include_url=False) if d["type"] != "too_short" or not d["input"]]
        problems += [describe(detail, Microcontroller, _TABLES) for detail in details]
    else:
        problems += _contradictions(board)
        if not problems:
            return board
    raise DataFileError(
        "\n".join(f"{path}: {' '.join(line.split())}" for line in dict.fromkeys(problems)),
        hint="correct the file; device_specs/README.md has every key and a complete example",
    )


def spans(regions: Sequence[Region]) -> tuple[tuple[str, int], ...]:
    """(names joined with +, bytes) of each run of regions that follow one another without a gap.

    The run that holds the first region comes first, the others by address.
    """
    runs: list[list[Region]] = []
    for region in sorted(regions, key=lambda region: region.base):
        if runs and runs[-1][-1].end == region.base:
            runs[-1].append(region)
        else:
            runs.append([region])
    runs.sort(key=lambda run: (regions[0] not in run, run[0].base))
    return tuple(("+".join(r.name for r in run), sum(r.size_bytes for r in run)) for run in runs)


def facts(board: Microcontroller) -> tuple[str, ...]:
    """Dotted keys of the physical facts that the spec states, each of which should have a source.

    One source vouches for a memory region as a whole, its wait states apart.
    """
    found = ["soc", *(f"cpu.{key}" for key in Cpu.model_fields)]
    for flash in board.flash:
        found.append(f"flash.{flash.name}")
        found += [f"flash.{flash.name}.wait_states"] if flash.wait_states is not None else []
    return (*found, *(f"ram.{bank.name}" for bank in board.ram))


def fact_text(board: Microcontroller, key: str) -> str:
    """The value of one of `facts`, for people."""
    if key == "soc":
        return board.soc
    table, name, *field = key.split(".")
    if table == "cpu":
        return str(getattr(board.cpu, name))
    if table == "flash":
        flash = next(region for region in board.flash if region.name == name)
        return str(flash.wait_states) if field else _region_text(flash, flash.medium)
    bank = next(region for region in board.ram if region.name == name)
    return _region_text(bank, bank.kind)


def _region_text(region: Region, kind: str) -> str:
    return f"{region.size_bytes} at {region.base:#010x} ({kind})"


def _contradictions(board: Microcontroller) -> Iterator[str]:
    small = board.cpu.core in {"cortex-m0", "cortex-m0+", "cortex-m3", "cortex-m23"}
    if small and (board.cpu.fpu != "none" or board.cpu.dsp):
        yield f"cpu.fpu: {board.cpu.core} has neither FPU nor DSP extension; check cpu.core"
    if board.cpu.mve != "none" and board.cpu.core not in {"cortex-m55", "cortex-m85"}:
        yield f"cpu.mve: {board.cpu.core} has no vector instructions; check cpu.core"
    yield from _overlaps((*board.flash, *board.ram))
    unsourced = [key for key in facts(board) if key not in board.sources]
    for key in board.sources.keys() - set(facts(board)):
        yield f"sources.{key}: no such fact in this file; without a source are {', '.join(unsourced) or 'none'}"
    for engine, times in Counter(emulation.engine for emulation in board.emulator).items():
        if times > 1:
            yield f"emulator.engine: {engine} is listed {times} times; keep one"


def _overlaps(regions: Sequence[Region]) -> Iterator[str]:
    for name, times in Counter(region.name for region in regions).items():
        if times > 1:
            yield f"ram.name: {name} names {times} regions; give each a name of its own"
    for region in regions:
        if region.end > 2**32:
            yield f"ram.size_bytes: {region.name} reaches beyond the address space; check base and size"
    for one, other in pairwise(sorted(regions, key=lambda region: region.base)):
        if one.end > other.base:
            yield f"ram.base: {other.name} begins inside {one.name}; list each byte once, at one of its addresses"
