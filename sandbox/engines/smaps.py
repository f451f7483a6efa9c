"""/proc/<pid>/smaps → resident bytes, the guest's told apart from the emulator's by address. Pure.

QEMU maps a guest's memory low (64-bit guests below 1 TiB, 32-bit guests at a base that we choose) and its own code,
heap and translated blocks high. The fields are described in the kernel's Documentation/filesystems/proc.rst.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

GUEST_ADDRESS_LIMIT = 1 << 40

_MAPPING = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) \S+ (\S+ \S+ \S+) *(.*?)\nSize:.*?\nRss: +(\d+) kB\nPss: +(\d+) kB$.*?"
    rb"^Anonymous: +(\d+) kB$",
    re.MULTILINE | re.DOTALL,
)


_SHARED_MEMORY = (b"/dev/zero (deleted)", b"/memfd:", b"/SYSV", b"/dev/shm/")
"""Names of what looks like a file and is memory: nothing on a disk backs it."""


class Mapping(NamedTuple):
    """One range of addresses of one process, in bytes."""

    is_low: bool
    file: tuple[int, bytes]
    """Its length and its place in a file; forked processes share the page cache behind it."""
    rss: int
    pss: int
    """Pages that several processes hold counted in equal shares."""
    anonymous: int
    """Of `rss`, what no file backs: it can only be freed by swapping or killing."""
    is_shared_memory: bool = False
    """Its file is memory too."""
    start: int = 0
    """Its first address."""


class Resident(NamedTuple):
    """Resident bytes of some processes: pages that they share count once."""

    anonymous: int
    files: int
    """Pages of files: the kernel can drop and read them again."""

    @property
    def total(self) -> int:
        """Both."""
        return self.anonymous + self.files


def parse_smaps(text: bytes) -> list[Mapping]:
    """The mappings of one process. What does not parse is left out."""
    found = []
    for start, end, place, name, rss, pss, anonymous in _MAPPING.findall(text):
        first = int(start, 16)
        found.append(
            Mapping(
                is_low=first < GUEST_ADDRESS_LIMIT,
                file=(int(end, 16) - first, place),
                rss=int(rss) << 10,
                pss=int(pss) << 10,
                anonymous=int(anonymous) << 10,
                is_shared_memory=name.startswith(_SHARED_MEMORY),
                start=first,
            )
        )
    return found


def resident(processes: Sequence[Sequence[Mapping]]) -> Resident:
    """What these mappings of one process, or of a process and what it forked, hold together."""
    anonymous = 0
    files: dict[tuple[int, bytes], int] = {}
    shared: dict[tuple[int, bytes], int] = {}
    for mappings in processes:
        for each in mappings:
            # A fork shares anonymous pages until one side writes. Shares are rounded down, so one process goes by rss.
            divided = len(processes) > 1 and each.anonymous == each.rss
            anonymous += each.pss if divided else each.anonymous
            if each.rss > each.anonymous:
                kind = shared if each.is_shared_memory else files
                kind[each.file] = max(kind.get(each.file, 0), each.rss - each.anonymous)
    return Resident(anonymous=anonymous + sum(shared.values()), files=sum(files.values()))


def most_between(before: Sequence[Mapping], after: Sequence[Mapping]) -> int:
    """The most that two readings of a process allow for between them, in bytes.

    What is new in the second may have been there before what is gone from the first was given up, as where a program
    moves a table to a larger one; a range that is in both held no more than the larger of its two readings.
    """
    ranges = sorted(
        (each.start, each.file[0], is_after, each.rss)
        for is_after, mappings in enumerate((before, after))
        for each in mappings
    )
    total = end = 0
    held = [0, 0]
    for start, length, is_after, rss in ranges:
        if start >= end:  # overlaps nothing so far
            total += max(held)
            held = [0, 0]
        held[is_after] += rss
        end = max(end, start + length)
    return total + max(held)
