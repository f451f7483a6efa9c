"""What a program takes of a board and whether it can run there at all: from its file alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .board import Core, Microcontroller
from .elf import Firmware, Section, Symbol
from .job import PERIPHERALS, Span

RUNS: Mapping[Core, frozenset[str]] = {
    "cortex-m0": frozenset({"v6-M", "v6S-M"}),
    "cortex-m0+": frozenset({"v6-M", "v6S-M"}),
    "cortex-m3": frozenset({"v6-M", "v6S-M", "v7-M"}),
    "cortex-m4": frozenset({"v6-M", "v6S-M", "v7-M", "v7E-M"}),
    "cortex-m7": frozenset({"v6-M", "v6S-M", "v7-M", "v7E-M"}),
    "cortex-m23": frozenset({"v6-M", "v6S-M", "v8-M.base"}),
    "cortex-m33": frozenset({"v6-M", "v6S-M", "v7-M", "v7E-M", "v8-M.base", "v8-M.main"}),
    "cortex-m55": frozenset({"v6-M", "v6S-M", "v7-M", "v7E-M", "v8-M.base", "v8-M.main", "v8.1-M.main"}),
    "cortex-m85": frozenset({"v6-M", "v6S-M", "v7-M", "v7E-M", "v8-M.base", "v8-M.main", "v8.1-M.main"}),
}
"""Architectures (Tag_CPU_arch) whose programs a core runs: each is a superset of the older ones of its row."""
_FPUS = ("none", "single", "double")

_STACK_TOPS = ("__StackTop", "_estack", "__stack_top", "__stack_end__", "__initial_sp", "__INITIAL_SP", "_stack_top")
_STACK_LIMITS = ("__StackLimit", "__stack_limit", "_sstack", "__stack_start__", "__STACK_LIMIT", "_stack_bottom")
_STACK_MINIMUM = "_Min_Stack_Size"
"""STM32Cube's: the linker only checks that so much is free, and the stack may use all down to the heap."""
_STACK_SIZES = ("__stack_size__", "__STACK_SIZE", "__stack_size", "Stack_Size")
_HEAP_STARTS = ("__HeapBase", "__heap_start__", "__heap_start", "_sheap", "__end__", "_end", "end")
_HEAP_SIZES = ("_Min_Heap_Size", "__heap_size__", "__HEAP_SIZE", "Heap_Size")
_HEAP_ENDS = ("__HeapLimit", "__heap_end__", "__heap_end", "_eheap")
_ARENA = re.compile(r"tensor_?arena|(?<![a-z])arena(?![a-z])", re.IGNORECASE)
_SMALLEST_ARENA = 256


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """A stretch of RAM that the linker script set aside."""

    start: int
    end: int
    source: str
    """The symbols or the section that say so."""

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a program's parts lie on a board."""

    flash: tuple[Section, ...]
    """What is kept in flash, the initial values of .data included."""
    ram: tuple[Section, ...]
    outside: tuple[str, ...]
    """Sentences about sections in neither, or not wholly."""
    stack: Bounds | None
    stack_minimum: int | None
    """Bytes that the linker script keeps free for the stack, where it says no more than that."""
    heap: Bounds | None
    arena: Symbol | None

    @property
    def flash_bytes(self) -> int:
        """Bytes of the sections, without the gaps between them."""
        return sum(section.size_bytes for section in self.flash)

    @property
    def ram_bytes(self) -> int:
        """The same in RAM: stack and heap only where they are sections."""
        return sum(section.size_bytes for section in self.ram)


def layout(firmware: Firmware, board: Microcontroller) -> Layout:
    """Sort the sections into the board's memory, and find stack, heap and arena by the names that linkers use."""
    flash, ram, outside = [], [], []
    for section in firmware.sections:
        stored = section.stored_at
        if stored is not None and _inside(stored, section.size_bytes, board, "flash"):
            flash.append(section)
        in_ram = _inside(section.address, section.size_bytes, board, "ram")
        if in_ram:
            ram.append(section)
        homes = [in_ram or _inside(section.address, section.size_bytes, board, "flash")]
        homes += [] if stored is None else [in_ram or _inside(stored, section.size_bytes, board, "flash")]
        if not all(homes):
            outside.append(
                f"section {section.name} ({section.size_bytes} bytes at {section.address:#010x}) lies outside of the "
                f"flash and RAM of {board.id}"
            )
    return Layout(
        flash=tuple(flash),
        ram=tuple(ram),
        outside=tuple(outside),
        stack=_stack(firmware, board),
        stack_minimum=firmware.value(_STACK_MINIMUM),
        heap=_heap(firmware, board),
        arena=_arena(firmware, board),
    )


def misfits(firmware: Firmware, board: Microcontroller) -> Iterator[str]:
    """Why the board's core cannot run this program, whatever its memory."""
    cpu = board.cpu
    if firmware.architecture is not None and firmware.architecture not in RUNS[cpu.core]:
        built = f" (compiled for {firmware.cpu})" if firmware.cpu else ""
        yield f"the program is for Arm{firmware.architecture}{built}, which the {cpu.core} of {board.id} does not run"
    if firmware.float_abi == "hard" and cpu.fpu == "none":
        yield (
            f"the program passes floating-point arguments in FPU registers (hard-float ABI), and the {cpu.core} of "
            f"{board.id} has no FPU"
        )
    elif _FPUS.index(firmware.fpu) > _FPUS.index(cpu.fpu):
        has = "no FPU" if cpu.fpu == "none" else f"only a {cpu.fpu}-precision one"
        yield f"the program needs a {firmware.fpu}-precision FPU, and the {cpu.core} of {board.id} has {has}"


def stack_outside(firmware: Firmware, board: Microcontroller) -> str | None:
    """What is wrong with the initial stack pointer: the board has no RAM below it. None where it has."""
    top = firmware.initial_stack
    if any(span.writable and span.start <= top - 4 < span.end for span in memory_spans(board)):
        return None
    return f"the stack starts at {top:#010x}, below which {board.id} has no RAM"


def memory_spans(board: Microcontroller) -> tuple[Span, ...]:
    """What a program may access on the board: its memory, and everything that is not memory."""
    flash = [Span(start=region.base, end=region.end, writable=region.medium == "ram") for region in board.flash]
    ram = [Span(start=bank.base, end=bank.end) for bank in board.ram]
    return tuple(_joined([*flash, *ram])) + tuple(Span(start=first, end=end) for first, end in PERIPHERALS)


def ram_spans(board: Microcontroller) -> tuple[Span, ...]:
    """The RAM on the chip: what is worth painting."""
    return tuple(_joined([Span(start=b.base, end=b.end) for b in board.ram if b.kind != "external"]))


def _joined(spans: list[Span]) -> list[Span]:
    """Neighbours made one: an access may cross from a bank to the next."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda one: one.start):
        if joined and joined[-1].end == span.start and joined[-1].writable == span.writable:
            joined[-1] = Span(start=joined[-1].start, end=span.end, writable=span.writable)
        else:
            joined.append(span)
    return joined


def _inside(address: int, size: int, board: Microcontroller, where: str) -> bool:
    regions = board.flash if where == "flash" else board.ram
    spans = _joined([Span(start=region.base, end=region.end) for region in regions])
    return any(span.start <= address and address + size <= span.end for span in spans)


def _stack(firmware: Firmware, board: Microcontroller) -> Bounds | None:
    top = firmware.value(*_STACK_TOPS) or firmware.initial_stack
    limit = firmware.value(*_STACK_LIMITS)
    if limit is not None and limit < top:
        return Bounds(start=limit, end=top, source="the linker's stack symbols")
    section = next(
        (s for s in firmware.sections if "stack" in s.name.lower() and s.address < top <= s.address + s.size_bytes),
        None,
    )
    if section is not None and "heap" not in section.name.lower():
        return Bounds(start=section.address, end=top, source=f"section {section.name}")
    size = firmware.value(*_STACK_SIZES)
    if size and size < top and _inside(top - size, size, board, "ram"):
        return Bounds(start=top - size, end=top, source="the linker's stack size")
    below = [s.address + s.size_bytes for s in firmware.sections if s.writable and s.address + s.size_bytes <= top]
    bank = next((span for span in ram_spans(board) if span.start < top <= span.end), None)
    if bank is None:
        return None
    lowest = max([bank.start, *(end for end in below if end >= bank.start)])
    return Bounds(start=lowest, end=top, source="the gap between the initial stack pointer and the data below")


def _heap(firmware: Firmware, board: Microcontroller) -> Bounds | None:
    start, end, size = firmware.value(*_HEAP_STARTS), firmware.value(*_HEAP_ENDS), firmware.value(*_HEAP_SIZES)
    source = "the linker's heap symbols"
    if start is not None and end is None and size is not None:
        end, source = start + size, "the linker's heap size"
    if start is None or end is None or end <= start or not _inside(start, end - start, board, "ram"):
        return None
    return Bounds(start=start, end=end, source=source)


def _arena(firmware: Firmware, board: Microcontroller) -> Symbol | None:
    found = [
        symbol
        for symbol in firmware.symbols
        if symbol.kind == "object"
        and symbol.size_bytes >= _SMALLEST_ARENA
        and _ARENA.search(symbol.name)
        and _inside(symbol.address, symbol.size_bytes, board, "ram")
    ]
    return max(found, key=lambda symbol: symbol.size_bytes, default=None)
