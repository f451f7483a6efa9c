"""The counting plugin's files → instructions. The formats are those of ``images/plugin/counts.h``.

The guest can write to these files, so every size and index in them is checked before it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from sandbox.errors import DataFileError
from sandbox.measurements import InstructionClass

if TYPE_CHECKING:
    import numpy as np

CLASSES: tuple[InstructionClass, ...] = get_args(InstructionClass)

_MAGIC, _VERSION = 0x54434445, 1
_THREADS = 1024
_COMPLETE, _OVERFLOW = 1, 2
_BLOCK, _DELTA, _CALLS = 1, 2, 3
_MARK_CLOCK = 4


@dataclass(frozen=True, kw_only=True)
class Thread:
    """One thread of the guest over its whole life, in instructions."""

    retired: int
    waited: int
    """Of these, in loops that only wait for other threads."""
    classes: Mapping[InstructionClass, int]
    """Instructions that were not waiting; empty while the thread lives."""
    operator: tuple[int, int] | None = None
    """(subgraph, index) of the model's operator that it runs, where the runtime's profiler told."""


@dataclass(frozen=True, kw_only=True)
class Counters:
    """A process: ``<pid>.counts``."""

    attached: bool
    """Whether the process read its clock from the counts."""
    complete: bool
    """Whether it ended by itself; else there are no classes."""
    overflow: bool
    """Whether it had more threads or code than there is room for."""
    threads: tuple[Thread, ...]
    asked_bytes: int = 0
    """What the process last asked the kernel for, rounded up to 4 KiB; 0 for nothing."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What ran between two marks of the thread that made them."""

    token: int
    by_clock: bool
    """The mark was made because a clock was read; the token is what it showed, in ticks."""
    ticks: int
    """Device time that passed for the marking thread: instructions on the critical path."""
    l2_lines: int
    dram_lines: int
    entries: np.ndarray[Any, Any]
    """Rows of (index into `Marks.addresses`, thread, executions)."""


@dataclass(frozen=True, kw_only=True)
class Marks:
    """``<pid>.marks``: blocks of code, and segments of the run in order."""

    addresses: np.ndarray[Any, Any]
    """Guest address of each block, shape (blocks,)."""
    classes: np.ndarray[Any, Any]
    """Instructions of each block by class, shape (blocks, classes)."""
    segments: tuple[Segment, ...]
    calls: tuple[tuple[int, int], ...] = ()
    """(guest address of a function, how often it has been called since the process began), in the order in which the
    guest asked."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What some segments add up to."""

    instructions: int
    """Work of all threads, waiting left out."""
    critical_path: int
    classes: Mapping[InstructionClass, int]
    by_thread: Mapping[int, int]
    l2_lines: int
    dram_lines: int
    addresses: Mapping[int, int] = field(repr=False)
    """Block address → instructions executed in it."""


def parse_counters(data: bytes) -> Counters:
    """Read ``<pid>.counts``. Raises `DataFileError` for anything else."""
    import numpy as np  # noqa: PLC0415  # the command line starts without it

    head, thread = _counter_types(np)
    if len(data) < head.itemsize + _THREADS * thread.itemsize:
        raise DataFileError("the counter file is too short", hint="run the profile again")
    first = np.frombuffer(data, head, 1)[0]
    if int(first["magic"]) != _MAGIC or int(first["version"]) != _VERSION:
        raise DataFileError("the counter file is of another version", hint="pip install . again")
    rows = np.frombuffer(data, thread, min(int(first["threads"]), _THREADS), head.itemsize)
    complete = bool(int(first["flags"]) & _COMPLETE)
    return Counters(
        attached=bool(first["attached"]),
        complete=complete,
        overflow=bool(int(first["flags"]) & _OVERFLOW),
        threads=tuple(
            Thread(
                retired=int(row["retired"]),
                waited=int(row["waited"]),
                classes=_by_class(row["classes"]),
                operator=_operator(int(row["operator"])),
            )
            for row in rows
        ),
        asked_bytes=int(first["asked_pages"]) << 12,
    )


def parse_marks(data: bytes) -> Marks:
    """Read ``<pid>.marks``; what was cut off at its end is left out. Raises `DataFileError` for anything else."""
    import numpy as np  # noqa: PLC0415

    block_type, delta_type, calls_type, entry_type = _mark_types(np)
    blocks, deltas, calls, place = [], [], [], 0
    while place + 4 <= len(data):
        kind = int.from_bytes(data[place : place + 4], "little")
        record = {_BLOCK: block_type, _DELTA: delta_type, _CALLS: calls_type}.get(kind)
        if record is None:
            raise DataFileError(f"the file of marks is damaged at byte {place}", hint="run the profile again")
        if place + record.itemsize > len(data):
            break
        row = np.frombuffer(data, record, 1, place)[0]
        place += record.itemsize
        if kind == _BLOCK:
            blocks.append(row)
            continue
        if kind == _CALLS:
            calls.append((int(row["address"]), int(row["calls"])))
            continue
        size = int(row["entries"]) * entry_type.itemsize
        if place + size > len(data):
            break
        deltas.append((row, np.frombuffer(data, entry_type, int(row["entries"]), place)))
        place += size
    table = np.array(blocks, block_type)
    order = np.argsort(table["index"], kind="stable")
    table = table[order]
    return Marks(
        addresses=table["address"],
        classes=table["classes"].astype(np.int64)[:, : len(CLASSES)],
        segments=_segments(deltas, table["index"]),
        calls=tuple(calls),
    )


def work(marks: Marks, segments: Iterable[Segment], kept: np.ndarray[Any, Any] | None = None) -> Work:
    """The sum of some of the marks' segments.

    ``kept``: the share of each block's executions that counts, shape (blocks,); the critical path shrinks alike.
    """
    import numpy as np  # noqa: PLC0415

    chosen = tuple(segments)
    shares = np.ones(len(marks.addresses)) if kept is None else kept
    executions = np.zeros(len(marks.addresses))
    by_thread: dict[int, int] = {}
    lengths = marks.classes.sum(axis=1) * shares
    everything = 0
    for segment in chosen:
        rows, threads, counts = segment.entries["block"], segment.entries["thread"], segment.entries["executions"]
        np.add.at(executions, rows, counts)
        everything += int((marks.classes.sum(axis=1)[rows] * counts).sum())
        for thread in np.unique(threads):
            mine = threads == thread
            by_thread[int(thread)] = by_thread.get(int(thread), 0) + round(
                float((lengths[rows[mine]] * counts[mine]).sum())
            )
    ran = np.flatnonzero(executions)
    in_block = lengths[ran] * executions[ran]
    addresses: dict[int, int] = {}
    for address, count in zip(marks.addresses[ran].tolist(), map(round, in_block.tolist()), strict=True):
        addresses[address] = addresses.get(address, 0) + count
    classes = _by_class(np.rint((executions * shares) @ marks.classes))
    total = sum(classes.values())
    ticks = sum(segment.ticks for segment in chosen)
    return Work(
        instructions=total,
        critical_path=round(ticks * total / everything) if everything > 0 else ticks,
        classes=classes,
        by_thread=by_thread,
        l2_lines=sum(segment.l2_lines for segment in chosen),
        dram_lines=sum(segment.dram_lines for segment in chosen),
        addresses=addresses,
    )


def _segments(deltas: Sequence[tuple[Any, Any]], known: Any) -> tuple[Segment, ...]:
    """One segment for each mark of the thread that made the first one; marks of others divide nothing."""
    import numpy as np  # noqa: PLC0415

    segments, waiting, last = [], [], None
    for row, entries in deltas:
        waiting.append((row, _known_entries(entries, known)))
        if int(row["thread"]) != int(deltas[0][0]["thread"]):
            continue
        time = int(row["time"])
        since = int(waiting[0][0]["since"]) if last is None else last
        segments.append(
            Segment(
                token=int(row["token"]),
                by_clock=int(row["call"]) == _MARK_CLOCK,
                ticks=max(0, time - (int(row["since"]) if len(waiting) == 1 else since)),
                l2_lines=sum(int(r["l2_lines"]) for r, _entries in waiting),
                dram_lines=sum(int(r["dram_lines"]) for r, _entries in waiting),
                entries=np.concatenate([e for _row, e in waiting]),
            )
        )
        waiting, last = [], time
    return tuple(segments)


def _known_entries(entries: Any, known: Any) -> Any:
    """Entries with the place of their block in the table instead of its number; unknown ones are left out."""
    import numpy as np  # noqa: PLC0415

    if not len(known):
        return entries[:0]
    places = np.minimum(np.searchsorted(known, entries["block"]), len(known) - 1)
    found = known[places] == entries["block"]
    kept = entries[found].copy()
    kept["block"] = places[found]
    return kept


def _by_class(counts: Any) -> dict[InstructionClass, int]:
    return {name: int(count) for name, count in zip(CLASSES, counts, strict=False) if int(count) > 0}


def _operator(told: int) -> tuple[int, int] | None:
    return (told >> 32, (told & 0xFFFFFFFF) - 1) if told & 0xFFFFFFFF else None


def _counter_types(np: Any) -> tuple[Any, Any]:
    """`struct counts` up to its threads, and `struct counts_thread`."""
    head = np.dtype(
        {
            "names": ["magic", "version", "attached", "threads", "flags", "asked_pages"],
            "formats": ["<u4"] * 6,
            "offsets": [0, 4, 8, 12, 48, 52],
            "itemsize": 56 + 2 * 4 * _THREADS,
        }
    )
    thread = np.dtype(
        {
            "names": ["retired", "waited", "classes", "operator"],
            "formats": ["<u8", "<u8", ("<u8", (len(CLASSES),)), "<u8"],
            "offsets": [0, 16, 48, 48 + 8 * len(CLASSES)],
            "itemsize": 256,
        }
    )
    return head, thread


def _mark_types(np: Any) -> tuple[Any, Any, Any, Any]:
    """`struct mark_block`, `struct mark_delta`, `struct mark_calls` and `struct mark_entry`."""
    block = np.dtype(
        [("kind", "<u4"), ("index", "<u4"), ("address", "<u8"), ("length", "<u4"), ("reserved", "<u4"),
         ("classes", "<u2", (20,))]
    )  # fmt: skip
    delta = np.dtype(
        [("kind", "<u4"), ("thread", "<u4"), ("token", "<u8"), ("since", "<u8"), ("time", "<u8"), ("l2_lines", "<u8"),
         ("dram_lines", "<u8"), ("call", "<u4"), ("entries", "<u4")]
    )  # fmt: skip
    calls = np.dtype([("kind", "<u4"), ("reserved", "<u4"), ("address", "<u8"), ("calls", "<u8")])
    return block, delta, calls, np.dtype([("block", "<u4"), ("thread", "<u4"), ("executions", "<i8")])
