"""What cannot be linked from a library that is not whole."""

from __future__ import annotations

from sandbox.microcontroller.archive import ObjectSymbols, in_need_of, object_symbols
from tests.unit.microcontroller.elf_files import elf_file
from tests.unit.microcontroller.test_tflm import archive


def unit(defined: str, *needed: str) -> ObjectSymbols:
    return ObjectSymbols(defined=frozenset(defined.split()), needed=frozenset(needed))


def test_what_is_missing_is_followed_to_its_users() -> None:
    objects = (
        unit("fft", "sin", "table"),
        unit("rfft rfft_init", "fft"),
        unit("conv", "dot"),
        unit("dot"),
    )
    assert in_need_of(objects, frozenset({"table"})) == {"fft", "rfft", "rfft_init"}
    assert in_need_of(objects, frozenset({"nobody's"})) == frozenset()


def test_a_ring_of_objects_ends() -> None:
    objects = (unit("a", "b", "missing"), unit("b", "a"))
    assert in_need_of(objects, frozenset({"missing"})) == {"a", "b"}


def test_global_names_are_read_from_the_members_that_can_be() -> None:
    good = elf_file(symbols=[("convolve", 0x0800_0040, 4, 2)])
    content = archive(("/", b""), ("a.o/", good), ("b.o/", good[:60]), ("notes/", b"no object"))
    assert object_symbols(content) == (unit("convolve"),)
