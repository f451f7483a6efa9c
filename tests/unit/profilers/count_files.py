"""Counter files and files of marks made on the spot, field by field after ``images/plugin/counts.h``."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from sandbox.measurements import InstructionClass
from sandbox.profilers.counts import CLASSES

COMPLETE, OVERFLOW = 1, 2
INFERENCE = 0x7FFFFFFF
_MAGIC, _THREADS = 0x54434445, 1024
_BLOCK, _DELTA, _MARK, _MARK_CLOCK = 1, 2, 3, 4


def thread(retired: int, *, waited: int = 0, classes: Mapping[InstructionClass, int] | None = None) -> bytes:
    """A ``struct counts_thread``."""
    by_class = [(classes or {}).get(name, 0) for name in CLASSES]
    return struct.pack("<QqQQQQ19Q7Q", retired, -waited, waited, 0, 0, 0, *by_class, *(0,) * 7)


def counters(
    *threads: bytes, attached: int = 1, flags: int = COMPLETE, used: int | None = None, magic: int = _MAGIC,
    version: int = 1, asked_pages: int = 0,
) -> bytes:  # fmt: skip
    """A whole ``<pid>.counts``; ``used`` is what it says of its threads where that is not the truth."""
    head = (magic, version, attached, len(threads) if used is None else used)
    times = (2, 3, 10**12, 10**18, 0)
    slots = bytes(2 * 4 * _THREADS)
    return (
        struct.pack("<4I2I3Q2I", *head, *times, flags, asked_pages)
        + slots
        + b"".join(threads).ljust(256 * _THREADS, b"\0")
    )


def block(index: int, address: int, **classes: int) -> bytes:
    """A ``struct mark_block``."""
    by_class = [classes.get(name, 0) for name in CLASSES]
    return struct.pack("<IIQII20H", _BLOCK, index, address, sum(by_class), 0, *by_class, *(0,) * (20 - len(by_class)))


def delta(
    *entries: tuple[int, int, int], token: int = 0, since: int = 0, time: int = 0, thread: int = 0,
    clock: bool = False, l2: int = 0, dram: int = 0,
) -> bytes:  # fmt: skip
    """A ``struct mark_delta`` with its entries: (block, thread, executions)."""
    call = _MARK_CLOCK if clock else _MARK
    head = struct.pack("<IIQQQQQII", _DELTA, thread, token, since, time, l2, dram, call, len(entries))
    return head + b"".join(struct.pack("<IIq", *entry) for entry in entries)
