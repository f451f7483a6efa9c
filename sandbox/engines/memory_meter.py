"""Resident memory of a process tree, read from outside, the guest's told apart from the emulator's.

QEMU maps a guest's memory low (64-bit guests below 1 TiB, 32-bit guests at a base that we choose) and its own code,
heap and translated blocks high, so an address decides whose a page is.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .base import MemoryTrace

GUEST_ADDRESS_LIMIT = 1 << 40
_PAGE_BYTES = 4096
_FULL_READ_SECONDS = 0.25
_NEW_PEAK = 1.002
_MAPPING = re.compile(
    rb"^([0-9a-f]+)-[0-9a-f]+ .*?\nSize:.*?\nRss: +(\d+) kB$.*?^Anonymous: +(\d+) kB$", re.MULTILINE | re.DOTALL
)
_HIGH_WATER = re.compile(rb"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


class Reading(NamedTuple):
    """Resident bytes at one moment."""

    guest: int
    emulator: int
    emulator_anonymous: int
    """The emulator's share that the kernel can only free by killing: its programs and libraries are files, which
    every run shares and which a limit that is reached drops first."""


class MemoryMeter:
    """Follows a process and its descendants. `tick` is cheap: mappings are read only when the total has grown."""

    def __init__(self, pid: int, *, emulated: bool, sandbox_programs: tuple[str, ...]) -> None:
        self._pid = pid
        self._emulated = emulated
        self._sandbox_programs = sandbox_programs
        self._started = time.monotonic()
        self._last_full_read = float("-inf")
        self._highest_total = 0
        self._samples: list[tuple[float, int, int]] = []
        self._peak = (0, 0)
        self._high_water = 0
        self._unreadable = False

    def tick(self) -> Reading | None:
        """What is resident when it was read anew, else None."""
        now = time.monotonic()
        pids = list(_tree(self._pid))
        total = sum(_resident_bytes(pid) for pid in pids)
        if total <= self._highest_total * _NEW_PEAK and now - self._last_full_read < _FULL_READ_SECONDS:
            return None
        self._last_full_read = now
        self._highest_total = max(self._highest_total, total)
        reading = self._read(pids)
        if reading.guest:
            self._samples.append((round(now - self._started, 4), reading.guest, reading.emulator))
            self._peak = max(self._peak, (reading.guest, reading.emulator))
        return reading

    def trace(self) -> MemoryTrace:
        """What was seen."""
        if not self._samples:
            reason = "this user may not read the guest's memory map" if self._unreadable else "it ended at once"
            return MemoryTrace(unavailable=f"no memory reading: {reason}")
        guest, emulator = self._peak
        return MemoryTrace(
            samples=tuple(self._samples),
            started_seconds=self._started,
            guest_peak_bytes=guest,
            guest_peak_high_bytes=max(guest, self._high_water - emulator),
            emulator_bytes=emulator,
        )

    def _read(self, pids: list[int]) -> Reading:
        guest = emulator = anonymous = high_water = 0
        for pid in pids:
            try:
                name = Path(f"/proc/{pid}/comm").read_bytes()  # a guest may call itself anything, not only text
                low, high, high_anonymous = split_smaps(Path(f"/proc/{pid}/smaps").read_bytes())
                status = _HIGH_WATER.search(Path(f"/proc/{pid}/status").read_bytes())
            except PermissionError:
                self._unreadable = True
                continue
            except OSError:  # it ended meanwhile
                continue
            sandbox = name.decode(errors="replace").startswith(self._sandbox_programs)
            own = 0 if sandbox else low if self._emulated else low + high
            guest += own
            emulator += low + high - own
            anonymous += 0 if own == low + high else high_anonymous
            high_water += int(status[1]) * 1024 if status else low + high
        self._high_water = max(self._high_water, high_water)
        return Reading(guest, emulator, anonymous)


def split_smaps(smaps: bytes) -> tuple[int, int, int]:
    """(resident below `GUEST_ADDRESS_LIMIT`, above it, anonymous above it) in bytes, of a /proc/<pid>/smaps text."""
    low = high = high_anonymous = 0
    for address, rss, anonymous in _MAPPING.findall(smaps):
        if int(address, 16) < GUEST_ADDRESS_LIMIT:
            low += int(rss) * 1024
        else:
            high += int(rss) * 1024
            high_anonymous += int(anonymous) * 1024
    return low, high, high_anonymous


def _tree(pid: int) -> Iterator[int]:
    waiting = [pid]  # no recursion: a guest may fork a chain of any length
    while waiting:
        yield (parent := waiting.pop())
        with contextlib.suppress(OSError):  # it ended meanwhile
            for thread in tuple(Path(f"/proc/{parent}/task").iterdir()):
                waiting += [int(child) for child in (thread / "children").read_text().split()]


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0
