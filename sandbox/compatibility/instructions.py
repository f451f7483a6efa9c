"""Finds instructions of optional Arm features in machine code, word by word, by the encodings of `sandbox.isa`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sandbox.isa import A64_FEATURES

if TYPE_CHECKING:
    import numpy as np

InstructionSet = Literal["A64", "A32"]

EMULATED_ANYWAY = frozenset({"aes", "pmull", "sha1", "sha2"})
"""What QEMU's Cortex-A53 and A72 execute although a Raspberry Pi's lack it: a run there cannot refute these."""

#: (mask, value, feature) of A32: Arm Architecture Reference Manual, DDI 0487, F4.1 "A32 instruction set encoding".
_A32 = (
    (0xFFBF0F10, 0xF3B00300, "aes"),
    (0xFFB00F50, 0xF2A00E00, "pmull"),
    (0xFF800F50, 0xF2000C40, "sha1"),
    (0xFFBF0FD0, 0xF3B902C0, "sha1"),
    (0xFFA00F50, 0xF3000C40, "sha2"),
    (0xFFBF0FD0, 0xF3BA03C0, "sha2"),
)
_MARGIN = {"sme", "paca", "mte"}
"""Their encodings are so wide or so far from what compilers write that constants among the code are all one finds."""


def find(code: bytes, instruction_set: InstructionSet) -> dict[str, np.ndarray[Any, Any]]:
    """Feature → offsets in ``code`` of its instructions, ascending.

    32-bit code is searched for the A32 and the T32 encodings: which one a place holds is only known with symbols.
    """
    import numpy as np  # noqa: PLC0415

    if instruction_set == "A32":
        return _find_a32(code)
    words = np.frombuffer(code[: len(code) // 4 * 4], "<u4")
    taken = np.zeros(words.size, bool)  # as in isa.a64_feature, the first rule that fits counts
    found: dict[str, list[np.ndarray[Any, Any]]] = {}
    for mask, value, feature in A64_FEATURES:
        hits = np.flatnonzero((words & np.uint32(mask)) == np.uint32(value))
        hits = hits[~taken[hits]]
        if hits.size:
            taken[hits] = True
            if feature and feature not in _MARGIN:
                found.setdefault(feature, []).append(hits * 4)
    return {feature: np.sort(np.concatenate(each)) for feature, each in found.items()}


def _find_a32(code: bytes) -> dict[str, np.ndarray[Any, Any]]:
    import numpy as np  # noqa: PLC0415

    words = np.frombuffer(code[: len(code) // 4 * 4], "<u4")
    halves = np.frombuffer(code[: len(code) // 2 * 2], "<u2").astype(np.uint32)
    thumb = (halves[:-1] << np.uint32(16)) | halves[1:]
    found: dict[str, np.ndarray[Any, Any]] = {}
    for mask, value, feature in _A32:
        arm = np.flatnonzero((words & np.uint32(mask)) == np.uint32(value)) * 4
        other = np.flatnonzero((thumb & np.uint32(mask)) == np.uint32(_as_t32(value))) * 2
        hits = np.union1d(arm, other)
        if hits.size:
            found[feature] = np.union1d(found[feature], hits) if feature in found else hits
    return found


def _as_t32(value: int) -> int:
    """Advanced SIMD data processing: A32 has 1111 001U, T32 has 111U 1111 (F4.1 and F3.1)."""
    top = value >> 24
    return ({0xF2: 0xEF, 0xF3: 0xFF}.get(top, top) << 24) | (value & 0xFFFFFF)
