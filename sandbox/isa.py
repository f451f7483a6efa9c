"""Which feature of the core an instruction needs, by its encoding. Pure.

Features have the names that Linux shows in /proc/cpuinfo ("ARM64 ELF hwcaps", Documentation/arch/arm64/elf_hwcaps.rst).
Encodings of A64: Arm Architecture Reference Manual, DDI 0487, C4.1 "A64 instruction set encoding", to Armv8.7.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import Literal, get_args

InstructionSet = Literal["a64", "a32", "t32", "x86"]
INSTRUCTION_SETS: tuple[InstructionSet, ...] = get_args(InstructionSet)

#: (mask, value, feature). The first that fits counts; "" is what the first Armv8.0 cores have.
A64_FEATURES: tuple[tuple[int, int, str], ...] = (
    # half precision: conversions to and from the other precisions are of Armv8.0
    (0xFFFFFC00, 0x1EE24000, ""),  # FCVT to single
    (0xFFFFFC00, 0x1EE2C000, ""),  # FCVT to double
    (0x5FE00000, 0x1EE00000, "fphp"),  # scalar
    (0x7FE00000, 0x1EC00000, "fphp"),  # to and from fixed point
    (0xFFC00000, 0x1FC00000, "fphp"),  # FMADD ...
    (0xBFF8FC00, 0x0F00FC00, "asimdhp"),  # FMOV (vector, immediate)
    (0x9F60C400, 0x0E400400, "asimdhp"),  # three registers
    (0xDF60C400, 0x5E400400, "asimdhp"),
    (0x9F7E0C00, 0x0E780800, "asimdhp"),  # two registers
    (0xDF7E0C00, 0x5E780800, "asimdhp"),
    (0xBF7FCC00, 0x0E30C800, "asimdhp"),  # across lanes
    (0xFF7FCC00, 0x5E30C800, "asimdhp"),  # scalar pairwise
    (0x9FC0B400, 0x0F001000, "asimdhp"),  # by element: FMLA, FMLS
    (0x9FC0F400, 0x0F009000, "asimdhp"),  # by element: FMUL, FMULX
    (0xDFC0B400, 0x5F001000, "asimdhp"),
    (0xDFC0F400, 0x5F009000, "asimdhp"),
    (0x9FF8FC00, 0x0F08E400, "asimdhp"),  # from fixed point
    (0x9FF8FC00, 0x0F08FC00, "asimdhp"),  # to fixed point
    # atomics and orderings
    (0x3FFFFC00, 0x38BFC000, "lrcpc"),  # LDAPR
    (0x3F200C00, 0x19000000, "ilrcpc"),  # LDAPUR, STLUR
    (0x3F200C00, 0x38200000, "atomics"),  # LDADD ..., SWP
    (0x3FA07C00, 0x08A07C00, "atomics"),  # CAS
    (0xBFA07C00, 0x08207C00, "atomics"),  # CASP
    # checksums and cryptography
    (0x7FE0E000, 0x1AC04000, "crc32"),
    (0xFFFF0C00, 0x4E280800, "aes"),
    (0xBFE0FC00, 0x0EE0E000, "pmull"),
    (0xFFFFFC00, 0x5E282800, "sha2"),
    (0xFFFFCC00, 0x5E280800, "sha1"),
    (0xFFE0CC00, 0x5E000000, "sha1"),
    (0xFFE0CC00, 0x5E004000, "sha2"),
    (0xFFE0F800, 0xCE608000, "sha512"),
    (0xFFE0FC00, 0xCE608800, "sha512"),
    (0xFFFFFC00, 0xCEC08000, "sha512"),
    (0xFFE0FC00, 0xCE608C00, "sha3"),  # RAX1
    (0xFFC08000, 0xCE000000, "sha3"),  # EOR3, BCAX
    (0xFFE00000, 0xCE800000, "sha3"),  # XAR
    (0xFFE0F800, 0xCE60C000, "sm3"),
    (0xFFE08000, 0xCE400000, "sm3"),
    (0xFFE0C000, 0xCE408000, "sm3"),
    (0xFFE0FC00, 0xCE60C800, "sm4"),
    (0xFFFFFC00, 0xCEC08400, "sm4"),
    # Advanced SIMD
    (0x9FE0FC00, 0x0E809400, "asimddp"),  # SDOT, UDOT
    (0x9FC0F400, 0x0F80E000, "asimddp"),
    (0xBFE0FC00, 0x2E40FC00, "bf16"),  # BFDOT
    (0xFFE0FC00, 0x6E40EC00, "bf16"),  # BFMMLA
    (0xBFE0FC00, 0x2EC0FC00, "bf16"),  # BFMLALB, BFMLALT
    (0xBFC0F400, 0x0F40F000, "bf16"),
    (0xBFC0F400, 0x0FC0F000, "bf16"),
    (0xBFFFFC00, 0x0EA16800, "bf16"),  # BFCVTN
    (0xFFFFFC00, 0x1E634000, "bf16"),  # BFCVT
    (0xDFE0F400, 0x4E80A400, "i8mm"),  # SMMLA, UMMLA, USMMLA
    (0xBFE0FC00, 0x0E809C00, "i8mm"),  # USDOT
    (0xBFC0F400, 0x0F80F000, "i8mm"),
    (0xBFC0F400, 0x0F00F000, "i8mm"),  # SUDOT
    (0xBF20F400, 0x2E008400, "asimdrdm"),  # SQRDMLAH, SQRDMLSH
    (0xFF20F400, 0x7E008400, "asimdrdm"),
    (0xBF00D400, 0x2F00D000, "asimdrdm"),
    (0xFF00D400, 0x7F00D000, "asimdrdm"),
    (0xBF20E400, 0x2E00C400, "fcma"),  # FCMLA
    (0xBF20EC00, 0x2E00E400, "fcma"),  # FCADD
    (0xBF009400, 0x2F001000, "fcma"),
    (0xBF60FC00, 0x0E20EC00, "asimdfhm"),  # FMLAL, FMLSL
    (0xBF60FC00, 0x2E20CC00, "asimdfhm"),
    (0xBFC0B400, 0x0F800000, "asimdfhm"),
    (0xBFC0B400, 0x2F808000, "asimdfhm"),
    (0x9FBFEC00, 0x0E21E800, "frint"),  # FRINT32Z ...
    (0xFFBE7C00, 0x1E284000, "frint"),
    (0xFFFFFC00, 0x1E7E0000, "jscvt"),
    (0x1E000000, 0x04000000, "sve"),
    (0x9E000000, 0x80000000, "sme"),
    # the rest
    (0xFFFFFFFF, 0xD500401F, "flagm"),  # CFINV
    (0xFFE07C10, 0xBA000400, "flagm"),  # RMIF
    (0xFFFFBC1F, 0x3A00080D, "flagm"),  # SETF8, SETF16
    (0xFFFFFFFF, 0xD50330FF, "sb"),
    (0xFFFFFFDF, 0xD53B2400, "rng"),
    (0xFFFFFFE0, 0xD50B7C20, "dcpop"),
    (0xFFFFFFE0, 0xD50B7D20, "dcpodp"),
    (0xFFFF0000, 0xDAC10000, "paca"),
    (0xFFFFFBFF, 0xD65F0BFF, "paca"),  # RETAA
    (0xFEDFF800, 0xD61F0800, "paca"),  # BRAA, BLRAA
    (0xFF200400, 0xF8200400, "paca"),  # LDRAA
    (0xFFE0FC00, 0x9AC03000, "pacg"),
    (0xBFC00000, 0x91800000, "mte"),  # ADDG, SUBG
    (0xFFE0F800, 0x9AC01000, "mte"),  # IRG, GMI
    (0xFF200000, 0xD9200000, "mte"),  # STG, LDG
)
#: capstone's groups of 32-bit instructions, the most telling first.
_ARM_GROUPS = {
    "crypto": "aes", "crc": "crc32", "fparmv8": "ARMv8 floating point", "v8": "ARMv8", "neon": "neon",
    "vfp4": "vfpv4", "vfp3": "vfpv3", "vfp2": "vfp", "v7": "ARMv7", "v6t2": "Thumb-2", "v6": "ARMv6",
}  # fmt: skip
_ARM_MNEMONICS = {"sdiv": ("idiva", "idivt"), "udiv": ("idiva", "idivt")}
_TRAPS = {"udf", "ud0", "ud1", "ud2"}


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One decoded instruction."""

    text: str
    """Mnemonic and operands; "unknown" where no disassembler of ours knows it."""
    encoding: str
    """Hexadecimal: the word of A64 and A32, the halfwords of T32 in their order, the bytes of x86."""
    feature: str | None
    """What the core needs to execute it; None where every core has it or it is not known."""
    trap: bool
    """Whether it is undefined on every core: compilers write it where the program must not get."""


def decode(code: bytes, instruction_set: InstructionSet) -> Instruction:
    """The instruction at the start of ``code``, which holds 4 bytes or more. Raises `ValueError` for less."""
    if len(code) < 4:
        raise ValueError(f"{len(code)} bytes are no whole instruction")
    found = next(_disassembler(instruction_set).disasm(code[:8], 0, 1), None)
    mnemonic = "" if found is None else str(found.mnemonic)
    text = "unknown" if found is None else f"{mnemonic} {found.op_str}".rstrip()
    feature: str | None = None
    if instruction_set == "a64":
        feature = a64_feature(struct.unpack_from("<I", code)[0])
    elif found is not None and instruction_set in {"a32", "t32"}:
        feature = _arm_feature(mnemonic, {found.group_name(group) for group in found.groups}, instruction_set)
    size = 4 if found is None else found.size
    return Instruction(
        text=text, encoding=_encoding(code, size, instruction_set), feature=feature, trap=mnemonic in _TRAPS
    )


def a64_feature(word: int) -> str | None:
    """The feature that an A64 instruction needs beyond Armv8.0, or None. CRC32, AES, PMULL and SHA count as beyond."""
    return next((feature or None for mask, value, feature in A64_FEATURES if word & mask == value), None)


def _arm_feature(mnemonic: str, groups: set[str], instruction_set: InstructionSet) -> str | None:
    stem = mnemonic.partition(".")[0]
    if "crypto" in groups and stem.startswith("sha"):
        return "sha1" if stem.startswith("sha1") else "sha2"
    if stem[:4] in _ARM_MNEMONICS:
        return _ARM_MNEMONICS[stem[:4]][instruction_set == "t32"]
    return next((feature for group, feature in _ARM_GROUPS.items() if group in groups), None)


def _encoding(code: bytes, size: int, instruction_set: InstructionSet) -> str:
    if instruction_set == "x86":
        return code[:size].hex()
    if instruction_set == "t32":
        halves = struct.unpack_from("<2H", code)[: size // 2]
        return " ".join(f"{half:04x}" for half in halves)
    return f"{struct.unpack_from('<I', code)[0]:08x}"


@functools.cache
def _disassembler(instruction_set: InstructionSet):  # type: ignore[no-untyped-def]  # capstone has no types
    import capstone  # type: ignore[import-untyped]  # noqa: PLC0415  # needed once an instruction was refused

    architecture, mode = {
        "a64": (capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
        "a32": (capstone.CS_ARCH_ARM, capstone.CS_MODE_ARM | capstone.CS_MODE_V8),
        "t32": (capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_V8),
        "x86": (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
    }[instruction_set]
    disassembler = capstone.Cs(architecture, mode)
    disassembler.detail = True
    return disassembler
