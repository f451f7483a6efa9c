"""Resident memory of a process tree, read from outside, the guest's told apart from the emulator's.

No peak is too short: the kernel keeps each process's high-water mark (VmHWM of /proc/<pid>/status). When that has grown
by more than what is seen, the guest had its peak between two readings: it is the mark less the emulator's share. That
is no less than the smaller of those seen before and after, and no more than both readings allow for together: QEMU
holds its table of translated blocks twice for a moment whenever it grows.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .base import MemoryTrace
from .smaps import Mapping, most_between, parse_smaps, resident

_FULL_READ_SECONDS = 0.25
_FORKED_READ_SECONDS = 0.05
"""With several processes of the guest: writing to pages that they share moves no mark."""
_NEW_PEAK = 1.002
_LAST_ATTEMPTS = 3
_HIGH_WATER = re.compile(rb"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


class Reading(NamedTuple):
    """Resident bytes."""

    guest: int
    """The highest since the reading before."""
    emulator: int
    emulator_anonymous: int
    """The emulator's share that the kernel can only free by killing: its programs and libraries are files, which
    every run shares and which a limit that is reached drops first."""
    guest_files: int = 0
    """Of the guest's, pages of files."""

    @property
    def guest_own(self) -> int:
        """The guest's other pages, which the kernel cannot drop."""
        return self.guest - self.guest_files


class _Peak(NamedTuple):
    """The guest's highest memory: no less than ``value``, no more than ``high``."""

    value: int = 0
    high: int = 0
    emulator: int = 0
    files: int = 0


class _Share(NamedTuple):
    """The mappings of a process that holds memory of the guest: the guest's, and its emulator's."""

    own: list[Mapping]
    emulator: list[Mapping]


class MemoryMeter:
    """Follows a process and its descendants. `tick` is cheap: mappings are read only when a mark has grown."""

    def __init__(self, pid: int, *, emulated: bool, sandbox_programs: tuple[str, ...]) -> None:
        self._pid = pid
        self._emulated = emulated
        self._sandbox_programs = sandbox_programs
        self._started = time.monotonic()
        self._last_full_read = float("-inf")
        self._interval = _FULL_READ_SECONDS
        self._highest_total = 0
        self._marks: dict[int, tuple[int, list[Mapping]]] = {}
        """Of each process of the guest: its mark and its emulator's mappings, when it was last read."""
        self._samples: list[tuple[float, int, int]] = []
        self._peak = _Peak()
        self._own = 0
        self._unreadable = False
        self._is_over = False

    def tick(self, *, closely: bool = False) -> Reading | None:
        """What is resident when it was read anew, else None: ``closely`` reads it every time."""
        marks = {pid: _high_water(pid) for pid in _tree(self._pid)}
        total = sum(marks.values())
        quiet = total <= self._highest_total * _NEW_PEAK
        if quiet and not closely and time.monotonic() - self._last_full_read < self._interval:
            return None
        return self._read_all(marks, total)

    def finish(self) -> Reading | None:
        """A last look for the `trace`: what comes later is still read, for whoever moves a limit, but not kept."""
        reading = None
        for _attempt in range(_LAST_ATTEMPTS):
            marks = {pid: _high_water(pid) for pid in _tree(self._pid)}
            reading = reading or self._read_all(marks, sum(marks.values()))
        self._is_over = True
        return reading

    def _read_all(self, marks: dict[int, int], total: int) -> Reading | None:
        now = time.monotonic()
        self._last_full_read = now
        self._highest_total = max(self._highest_total, total)
        reading, guests = self._read(list(marks))
        self._interval = _FORKED_READ_SECONDS if len(guests) > 1 else _FULL_READ_SECONDS
        if len(guests) > 1 and not all(map(_is_alive, guests)):
            return None  # one ended between two reads: pages that it shared would count for it and for the other
        if reading.guest and not self._is_over:
            for pid, share in guests.items():
                reading = self._note(reading, pid, marks[pid], share)
            self._own = max(self._own, reading.guest_own)
            self._samples.append((round(now - self._started, 4), reading.guest, reading.emulator))
        return reading

    def trace(self) -> MemoryTrace:
        """What was seen."""
        if not self._samples:
            reason = "this user may not read the guest's memory map" if self._unreadable else "it ended at once"
            return MemoryTrace(unavailable=f"no memory reading: {reason}")
        return MemoryTrace(
            samples=tuple(self._samples),
            started_seconds=self._started,
            guest_peak_bytes=self._peak.value,
            guest_peak_high_bytes=self._peak.high,
            guest_files_bytes=self._peak.files,
            guest_own_bytes=self._own,
            emulator_bytes=self._peak.emulator,
        )

    def _note(self, reading: Reading, pid: int, mark: int, share: _Share) -> Reading:
        """Take a process into the peak. The reading with the most that the guest had since the one before.

        One process alone had its mark less its emulator's share: with others beside it the guest had no less.
        """
        last_mark, before = self._marks.get(pid, (0, share.emulator))
        highest = high = reading.guest
        if mark > last_mark:
            highest = max(highest, mark - most_between(before, share.emulator))
            high = max(highest, mark - min(_rss(before), _rss(share.emulator)))
        self._marks[pid] = (max(mark, last_mark), share.emulator)
        if highest > self._peak.value:
            self._peak = _Peak(highest, max(high, self._peak.high), reading.emulator, reading.guest_files)
        elif high > self._peak.high:
            self._peak = self._peak._replace(high=high)
        return reading._replace(guest=highest)

    def _read(self, pids: list[int]) -> tuple[Reading, dict[int, _Share]]:
        """What is resident, and the processes that hold memory of the guest."""
        guests: dict[int, _Share] = {}
        others: list[list[Mapping]] = []
        for pid in pids:
            try:
                name = Path(f"/proc/{pid}/comm").read_bytes()  # a guest may call itself anything, not only text
                mappings = parse_smaps(Path(f"/proc/{pid}/smaps").read_bytes())
            except PermissionError:
                self._unreadable = True
                continue
            except OSError:  # it ended meanwhile
                continue
            sandbox = name.decode(errors="replace").startswith(self._sandbox_programs)
            own = [] if sandbox else [each for each in mappings if each.is_low or not self._emulated]
            rest = [each for each in mappings if sandbox or (self._emulated and not each.is_low)]
            others.append(rest)
            if any(each.rss for each in own):
                guests[pid] = _Share(own, rest)
        guest, rest_ = resident([share.own for share in guests.values()]), resident(others)
        return Reading(guest.total, rest_.total, rest_.anonymous, guest.files), guests


def _rss(mappings: list[Mapping]) -> int:
    return sum(each.rss for each in mappings)


def _tree(pid: int) -> Iterator[int]:
    waiting = [pid]  # no recursion: a guest may fork a chain of any length
    while waiting:
        yield (parent := waiting.pop())
        with contextlib.suppress(OSError):  # it ended meanwhile
            for thread in tuple(Path(f"/proc/{parent}/task").iterdir()):
                waiting += [int(child) for child in (thread / "children").read_text().split()]


def _is_alive(pid: int) -> bool:
    """Whether it still has memory: a process that is ending has given it up already."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) > 0
    except (OSError, IndexError, ValueError):
        return False


def _high_water(pid: int) -> int:
    try:
        found = _HIGH_WATER.search(Path(f"/proc/{pid}/status").read_bytes())
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0
