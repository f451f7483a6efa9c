"""Whose memory a page is, by its address; pages that several processes share count once."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.engines.smaps import GUEST_ADDRESS_LIMIT, Mapping, Resident, most_between, parse_smaps, resident

#: Some mappings of qemu-aarch64 with Python in it: five of the guest, one of them without access, and the emulator's.
RECORDED = (Path(__file__).parents[2] / "data" / "memory" / "smaps_qemu_aarch64.txt").read_bytes()


def mapping(address: int, rss_kib: int, anonymous_kib: int) -> bytes:
    sizes = f"Size: 4 kB\nRss: {rss_kib:>12} kB\nPss: 1 kB\nAnonymous: {anonymous_kib:>6} kB\n"
    return f"{address:x}-{address + 4096:x} rw-p 0 00:00 0\n{sizes}".encode()


def held(mappings: list[Mapping], *, low: bool) -> Resident:
    return resident([[each for each in mappings if each.is_low is low]])


def test_recorded_emulator() -> None:
    mappings = parse_smaps(RECORDED)
    guest = 2624 + 1212 + 392 + 28 + 736
    emulator, files = 2748 + 10240 + 1696 + 12 + 20, 1696
    assert held(mappings, low=True).total == guest << 10
    assert held(mappings, low=False) == Resident(anonymous=(emulator - files) << 10, files=files << 10)


def test_the_limit_itself_is_the_emulator_s() -> None:
    mappings = parse_smaps(mapping(GUEST_ADDRESS_LIMIT - 4096, 8, 8) + mapping(GUEST_ADDRESS_LIMIT, 4, 1))
    assert held(mappings, low=True) == Resident(anonymous=8 << 10, files=0)
    assert held(mappings, low=False) == Resident(anonymous=1 << 10, files=3 << 10)


@pytest.mark.parametrize("text", [b"", b"nonsense", b"00400000-00500000 r--p 0 00:00 0\nSize: 4 kB\n"])
def test_nothing_to_see(text: bytes) -> None:
    assert parse_smaps(text) == []
    assert resident([]) == Resident(anonymous=0, files=0)


def a_mapping(*, place: bytes = b"0 00:00 0", rss: int = 0, pss: int = 0, anonymous: int = 0) -> Mapping:
    return Mapping(is_low=True, file=(4096, place), rss=rss, pss=pss, anonymous=anonymous)


def at(start: int, length: int, rss: int) -> Mapping:
    return Mapping(is_low=False, file=(length, b"0 00:00 0"), rss=rss, pss=rss, anonymous=rss, start=start)


@pytest.mark.parametrize(
    ("before", "after", "most"),
    [
        ([], [], 0),
        ([at(0, 9, 5)], [at(0, 9, 7)], 7),
        ([at(0, 9, 7)], [at(0, 9, 5)], 7),
        ([at(0, 9, 4)], [at(20, 9, 8)], 12),  # a table moved: for a moment there were two
        ([at(0, 9, 4), at(30, 5, 1)], [at(20, 9, 8), at(30, 5, 1)], 13),
        ([at(10, 10, 6)], [at(0, 20, 9)], 9),  # grown downwards: the same memory
        ([at(0, 5, 2), at(5, 5, 2)], [at(0, 10, 4)], 4),  # two that became one
        ([at(0, 10, 4)], [at(0, 5, 3), at(5, 5, 3)], 6),
    ],
)
def test_the_most_between_two_readings(before: list[Mapping], after: list[Mapping], most: int) -> None:
    assert most_between(before, after) == most


def test_a_fork_shares_what_neither_side_has_written() -> None:
    shared = a_mapping(rss=8, pss=4, anonymous=8)
    own = a_mapping(rss=6, pss=6, anonymous=6)
    assert resident([[shared], [shared, own]]) == Resident(anonymous=4 + 4 + 6, files=0)


def test_one_process_goes_by_its_own_pages() -> None:
    """A page that another job of this host maps too is still this guest's."""
    assert resident([[a_mapping(rss=8, pss=2, anonymous=8)]]).total == 8


def test_a_file_counts_once_however_many_processes_map_it() -> None:
    library, other = a_mapping(place=b"1000 fe:00 7", rss=9), a_mapping(place=b"2000 fe:00 7", rss=5)
    assert resident([[library, other], [library]]) == Resident(anonymous=0, files=14)


def test_written_pages_of_a_private_mapping_are_no_longer_the_file_s() -> None:
    data = a_mapping(place=b"1000 fe:00 7", rss=9, pss=9, anonymous=3)
    assert resident([[data]]) == Resident(anonymous=3, files=6)


def test_shared_memory_is_no_file_s() -> None:
    text = mapping(0x1000, 8, 0).replace(b"00:00 0\n", b"00:01 7        /dev/zero (deleted)\n")
    both = [parse_smaps(text), parse_smaps(text)]
    assert resident(both) == Resident(anonymous=8 << 10, files=0)
