"""Finds instructions of optional Arm features in machine code, by mask and value, word by word.

Encodings: Arm Architecture Reference Manual, DDI 0487, C4 "A64 Instruction Set Encoding" and F4 "T32 and A32".
Features have the names of the ``Features`` line of ``/proc/cpuinfo`` (Linux, Documentation/arch/arm64/elf_hwcaps.rst).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

InstructionSet = Literal["A64", "A32"]


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """Words whose bits under ``mask`` are ``value`` are this instruction."""

    feature: str
    instruction: str
    mask: int
    value: int


_A64: Mapping[str, tuple[tuple[str, int, int], ...]] = {
    "aes": (("AESE", 0xFFFFCC00, 0x4E284800),),
    "pmull": (("PMULL", 0xBFE0FC00, 0x0EE0E000),),
    "sha1": (("SHA1C", 0xFFE0CC00, 0x5E000000), ("SHA1H", 0xFFFFEC00, 0x5E280800)),
    "sha2": (
        ("SHA256H", 0xFFE0EC00, 0x5E004000),
        ("SHA256SU1", 0xFFE0FC00, 0x5E006000),
        ("SHA256SU0", 0xFFFFFC00, 0x5E282800),
    ),
    "sha512": (("SHA512H", 0xFFE0F800, 0xCE608000), ("SHA512SU0", 0xFFFFFC00, 0xCEC08000)),
    "sha3": (("EOR3", 0xFFC08000, 0xCE000000), ("RAX1", 0xFFE0FC00, 0xCE608C00)),
    "sm3": (("SM3PARTW1", 0xFFE0F800, 0xCE60C000), ("SM3SS1", 0xFFE08000, 0xCE400000)),
    "sm4": (("SM4E", 0xFFFFFC00, 0xCEC08400), ("SM4EKEY", 0xFFE0FC00, 0xCE60C800)),
    "crc32": (("CRC32", 0x7FE0E000, 0x1AC04000),),
    "atomics": (
        ("LDADD", 0x3F208C00, 0x38200000),
        ("SWP", 0x3F20FC00, 0x38208000),
        ("CAS", 0x3FA07C00, 0x08A07C00),
        ("CASP", 0xBFA07C00, 0x08207C00),
    ),
    "asimdrdm": (("SQRDMLAH", 0xBFE0F400, 0x2E408400), ("SQRDMLAH", 0xBFE0F400, 0x2E808400)),
    "asimddp": (("SDOT", 0x9FE0FC00, 0x0E809400), ("SDOT", 0x9FC0F400, 0x0F80E000)),
    "asimdfhm": (("FMLAL", 0xBF60FC00, 0x0E20EC00), ("FMLAL2", 0xBF60FC00, 0x2E20CC00)),
    "i8mm": (
        ("SMMLA", 0xDFE0FC00, 0x4E80A400),
        ("USMMLA", 0xFFE0FC00, 0x4E80AC00),
        ("USDOT", 0xBFE0FC00, 0x0E809C00),
        ("USDOT", 0xBFC0F400, 0x0F80F000),
        ("SUDOT", 0xBFC0F400, 0x0F00F000),
    ),
    "bf16": (
        ("BFDOT", 0xBFE0FC00, 0x2E40FC00),
        ("BFMMLA", 0xFFE0FC00, 0x6E40EC00),
        ("BFCVT", 0xFFFFFC00, 0x1E634000),
        ("BFCVTN", 0xBFFFFC00, 0x0EA16800),
        ("BFMLAL", 0xBFE0FC00, 0x2EC0FC00),
    ),
    "fphp": (
        ("FADD (half)", 0xFFE0EC00, 0x1EE02800),
        ("FMUL (half)", 0xFFE0EC00, 0x1EE00800),
        ("FSQRT (half)", 0xFFFFFC00, 0x1EE1C000),
    ),
    "asimdhp": (("FMLA (half)", 0xBFE0FC00, 0x0E400C00), ("FMLA (half)", 0xBFC0F400, 0x0F001000)),
    "fcma": (("FCMLA", 0xBF20E400, 0x2E00C400),),
    "jscvt": (("FJCVTZS", 0xFFFFFC00, 0x1E7E0000),),
    "lrcpc": (("LDAPR", 0x3FFFFC00, 0x38BFC000),),
    "frint": (("FRINT32Z", 0xFFBE7C00, 0x1E284000),),
    "flagm": (("CFINV", 0xFFFFFFFF, 0xD500401F), ("RMIF", 0xFFE07C10, 0xBA000400)),
    "paca": (("RETAA", 0xFFFFFBFF, 0xD65F0BFF),),
    "sve": (("SVE", 0x1E000000, 0x04000000),),
    "sme": (("SMSTART", 0xFFFFF8FF, 0xD503407F),),
}
# SETF8 and what else the base instruction set shares a group with is left out rather than guessed at.

_A32: Mapping[str, tuple[tuple[str, int, int], ...]] = {
    "aes": (("AESE", 0xFFBF0F10, 0xF3B00300),),
    "pmull": (("VMULL.P64", 0xFFB00F50, 0xF2A00E00),),
    "sha1": (("SHA1C", 0xFF800F50, 0xF2000C40), ("SHA1H", 0xFFBF0FD0, 0xF3B902C0)),
    "sha2": (("SHA256H", 0xFFA00F50, 0xF3000C40), ("SHA256SU0", 0xFFBF0FD0, 0xF3BA03C0)),
    "asimddp": (("VSDOT", 0xFFB00F40, 0xFC200D00),),
}


def patterns(instruction_set: InstructionSet) -> tuple[Pattern, ...]:
    """All patterns of an instruction set."""
    table = _A64 if instruction_set == "A64" else _A32
    return tuple(
        Pattern(feature=feature, instruction=name, mask=mask, value=value)
        for feature, rows in table.items()
        for name, mask, value in rows
    )


FEATURES = tuple(_A64)
"""The features that can be told in A64 code."""

EMULATED_ANYWAY = frozenset({"aes", "pmull", "sha1", "sha2"})
"""What QEMU's Cortex-A53 and A72 execute although a Raspberry Pi's lack it: a run there cannot refute these."""


def find(code: bytes, instruction_set: InstructionSet) -> dict[Pattern, np.ndarray[Any, Any]]:
    """Offsets in ``code`` of every pattern that occurs in it, ascending.

    A32 code is searched for both its own and the T32 encodings: which one a place holds is only known with symbols.
    """
    import numpy as np  # noqa: PLC0415

    words = np.frombuffer(code[: len(code) // 4 * 4], "<u4")
    found = {}
    halves = None
    if instruction_set == "A32":
        short = np.frombuffer(code[: len(code) // 2 * 2], "<u2").astype(np.uint32)
        halves = (short[:-1] << np.uint32(16)) | short[1:]
    for pattern in patterns(instruction_set):
        hits = np.flatnonzero((words & np.uint32(pattern.mask)) == np.uint32(pattern.value)) * 4
        if halves is not None:
            thumb = np.flatnonzero((halves & np.uint32(pattern.mask)) == np.uint32(_as_t32(pattern.value))) * 2
            hits = np.union1d(hits, thumb)
        if hits.size:
            found[pattern] = hits
    return found


def identify(word: int) -> Pattern | None:
    """The A64 pattern that a word matches, or None."""
    return next((p for p in patterns("A64") if word & p.mask == p.value), None)


def _as_t32(value: int) -> int:
    """Advanced SIMD data processing: A32 has 1111 001U, T32 has 111U 1111 (F4.1 and F3.1)."""
    top = value >> 24
    return ({0xF2: 0xEF, 0xF3: 0xFF}.get(top, top) << 24) | (value & 0xFFFFFF)
