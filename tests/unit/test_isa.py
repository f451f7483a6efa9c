"""Instructions and what they need. The words are what GNU as makes of the text beside them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.isa import INSTRUCTION_SETS, InstructionSet, a64_feature, decode


@pytest.mark.parametrize(
    ("word", "text", "feature"),
    [
        (0x0F03FC01, "fmov v1.4h, #0.50000000", "asimdhp"),
        (0x4E401400, "fadd v0.8h, v0.8h, v0.8h", "asimdhp"),
        (0x4F021020, "fmla v0.8h, v1.8h, v2.h[0]", "asimdhp"),
        (0x1EE02800, "fadd h0, h0, h0", "fphp"),
        (0x1EE24000, "fcvt s0, h0", None),
        (0x4E809400, "sdot v0.4s, v0.16b, v0.16b", "asimddp"),
        (0x4F81E000, "sdot v0.4s, v0.16b, v1.4b[0]", "asimddp"),
        (0x4E80A400, "smmla v0.4s, v0.16b, v0.16b", "i8mm"),
        (0x6E40EC00, "bfmmla v0.4s, v0.8h, v0.8h", "bf16"),
        (0xB8E00020, "ldaddal w0, w0, [x1]", "atomics"),
        (0xC8E0FC41, "casal x0, x1, [x2]", "atomics"),
        (0x38BFC000, "ldaprb w0, [x0]", "lrcpc"),
        (0x9AC04C00, "crc32x w0, w0, x0", "crc32"),
        (0x4E284800, "aese v0.16b, v0.16b", "aes"),
        (0x0EE0E000, "pmull v0.1q, v0.1d, v0.1d", "pmull"),
        (0x0E20E000, "pmull v0.8h, v0.8b, v0.8b", None),
        (0x5E280800, "sha1h s0, s0", "sha1"),
        (0x5E004000, "sha256h q0, q0, v0.4s", "sha2"),
        (0x2E408400, "sqrdmlah v0.4h, v0.4h, v0.4h", "asimdrdm"),
        (0x04A0E3E0, "cntw x0", "sve"),
        (0x4E20D400, "fadd v0.4s, v0.4s, v0.4s", None),
        (0x4E20CC00, "fmla v0.4s, v0.4s, v0.4s", None),
        (0x1E202800, "fadd s0, s0, s0", None),
        (0xC85F7C00, "ldxr x0, [x0]", None),
        (0xD503233F, "paciasp", None),
        (0xD65F03C0, "ret", None),
    ],
)
def test_a64(word: int, text: str, feature: str | None) -> None:
    assert a64_feature(word) == feature
    assert decode(struct.pack("<I", word), "a64").text == text


@pytest.mark.parametrize(
    ("code", "instruction_set", "text", "encoding", "feature"),
    [
        ("10f130e7", "a32", "udiv r0, r0, r1", "e730f110", "idiva"),
        ("b0fbf1f0", "t32", "udiv r0, r0, r1", "fbb0 f0f1", "idivt"),
        ("420001e1", "a32", "crc32b r0, r1, r2", "e1010042", "crc32"),
        ("0003b0f3", "a32", "aese.8 q0, q0", "f3b00300", "aes"),
        ("100d00f3", "a32", "vmul.f32 d0, d0, d0", "f3000d10", "neon"),
        ("1eff2fe1", "a32", "bx lr", "e12fff1e", None),
        ("c5fc58c0", "x86", "vaddps ymm0, ymm0, ymm0", "c5fc58c0", None),
    ],
)
def test_others(code: str, instruction_set: InstructionSet, text: str, encoding: str, feature: str | None) -> None:
    found = decode(bytes.fromhex(code) + bytes(4), instruction_set)
    assert (found.text, found.encoding, found.feature, found.trap) == (text, encoding, feature, False)


@pytest.mark.parametrize(
    ("code", "instruction_set"), [("00000000", "a64"), ("f000f0e7", "a32"), ("0f0b0000", "x86"), ("ffde0000", "t32")]
)
def test_what_no_core_executes_is_a_trap(code: str, instruction_set: InstructionSet) -> None:
    assert decode(bytes.fromhex(code), instruction_set).trap


@given(st.binary(min_size=4, max_size=8), st.sampled_from(INSTRUCTION_SETS))
def test_any_bytes_have_an_answer(code: bytes, instruction_set: InstructionSet) -> None:
    found = decode(code, instruction_set)
    assert found.text
    assert set(found.encoding) <= set("0123456789abcdef ")


def test_too_few_bytes() -> None:
    with pytest.raises(ValueError, match="3 bytes are no whole instruction"):
        decode(b"abc", "a64")
