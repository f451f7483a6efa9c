"""Finding instructions by their encodings."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.compatibility.instructions import find
from sandbox.isa import a64_feature

_NOP = 0xD503201F


@pytest.mark.parametrize(
    ("word", "feature"),
    [  # assembled with clang
        (0x4E284841, "aes"),  # aese v1.16b, v2.16b
        (0x0EE2E020, "pmull"),  # pmull v0.1q, v1.1d, v2.1d
        (0x5E020020, "sha1"),  # sha1c q0, s1, v2.4s
        (0x5E024020, "sha2"),  # sha256h q0, q1, v2.4s
        (0x4E829420, "asimddp"),  # sdot v0.4s, v1.16b, v2.16b
        (0x4E82A420, "i8mm"),  # smmla v0.4s, v1.16b, v2.16b
        (0x4E420C20, "asimdhp"),  # fmla v0.8h, v1.8h, v2.8h
        (0xB8210000, "atomics"),  # ldadd w1, w0, [x0]
        (0x04A00000, "sve"),  # add z0.s, z0.s, z0.s
    ],
)
def test_a64(word: int, feature: str) -> None:
    code = struct.pack("<4I", _NOP, word, _NOP, word)
    assert {name: hits.tolist() for name, hits in find(code, "A64").items()} == {feature: [4, 12]}


@pytest.mark.parametrize(
    ("code", "feature"),
    [
        (struct.pack("<I", 0xF3B00302), "aes"),  # A32: aese.8 q0, q1
        (struct.pack("<2H", 0xFFB0, 0x0302), "aes"),  # the same in T32
        (struct.pack("<I", 0xF2A20E04), "pmull"),  # A32: vmull.p64 q0, d2, d4
        (struct.pack("<2H", 0xEFA2, 0x0E04), "pmull"),
        (struct.pack("<I", 0xF3020C44), "sha2"),  # A32: sha256h.32 q0, q1, q2
    ],
)
def test_32_bit(code: bytes, feature: str) -> None:
    assert set(find(struct.pack("<H", 0xBF00) * 2 + code, "A32")) == {feature}


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50), st.binary(max_size=3))
def test_it_agrees_with_the_decoder(words: list[int], rest: bytes) -> None:
    found = find(struct.pack(f"<{len(words)}I", *words) + rest, "A64")
    assert {
        (feature, int(at) // 4) for feature, hits in found.items() for at in hits
    } == {
        (feature, place)
        for place, word in enumerate(words)
        if (feature := a64_feature(word)) and feature not in {"sme", "paca", "mte"}
    }  # fmt: skip


@given(st.binary(max_size=64))
def test_any_bytes(code: bytes) -> None:
    for hits in find(code, "A32").values():
        assert all(0 <= at < len(code) for at in hits)
