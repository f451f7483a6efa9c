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

from .base import MemoryTrace

GUEST_ADDRESS_LIMIT = 1 << 40
_PAGE_BYTES = 4096
_FULL_READ_SECONDS = 0.25
_NEW_PEAK = 1.002
_MAPPING = re.compile(rb"^([0-9a-f]+)-[0-9a-f]+ .*?\nSize:.*?\nRss: +(\d+) kB$", re.MULTILINE | re.DOTALL)
_HIGH_WATER = re.compile(rb"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


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

    def tick(self) -> tuple[int, int] | None:
        """(guest, emulator) in bytes when they were read anew, else None."""
        now = time.monotonic()
        pids = list(_tree(self._pid))
        total = sum(_resident_bytes(pid) for pid in pids)
        if total <= self._highest_total * _NEW_PEAK and now - self._last_full_read < _FULL_READ_SECONDS:
            return None
        self._last_full_read = now
        self._highest_total = max(self._highest_total, total)
        guest, emulator = self._split(pids)
        if guest:
            self._samples.append((round(now - self._started, 4), guest, emulator))
            self._peak = max(self._peak, (guest, emulator))
        return guest, emulator

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

    def _split(self, pids: list[int]) -> tuple[int, int]:
        guest = emulator = high_water = 0
        for pid in pids:
            try:
                name = Path(f"/proc/{pid}/comm").read_bytes()  # a guest may call itself anything, not only text
                low, whole = split_smaps(Path(f"/proc/{pid}/smaps").read_bytes())
                status = _HIGH_WATER.search(Path(f"/proc/{pid}/status").read_bytes())
            except PermissionError:
                self._unreadable = True
                continue
            except OSError:  # it ended meanwhile
                continue
            sandbox = name.decode(errors="replace").startswith(self._sandbox_programs)
            own = 0 if sandbox else low if self._emulated else whole
            guest += own
            emulator += whole - own
            high_water += int(status[1]) * 1024 if status else whole
        self._high_water = max(self._high_water, high_water)
        return guest, emulator


def split_smaps(smaps: bytes) -> tuple[int, int]:
    """Resident bytes below `GUEST_ADDRESS_LIMIT`, and all resident bytes, in the text of a /proc/<pid>/smaps."""
    mappings = [(int(address, 16), int(rss) * 1024) for address, rss in _MAPPING.findall(smaps)]
    low = sum(rss for address, rss in mappings if address < GUEST_ADDRESS_LIMIT)
    return low, sum(rss for _address, rss in mappings)


def _tree(pid: int) -> Iterator[int]:
    waiting = [pid]  # no recursion: a guest may fork a chain of any length
    while waiting:
        yield (parent := waiting.pop())
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                waiting += [int(child) for child in children.read_text().split()]


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0
