/* Sorts T32 instructions of the A and M profiles. Encodings: Arm Architecture Reference Manual, DDI 0487, F3.1 "T32
 * instruction set encoding"; for the M profile DDI 0553, C2 "Instruction Specification".
 * Whatever writes the PC is a branch, loads too: refilling the pipeline costs more than the access. */
#include "insn.h"

/* "16-bit" */
static const struct insn_rule narrow[] = {
    {0xffc0, 0x4340, INSN_MULTIPLY},
    {0xff00, 0x4700, INSN_BRANCH},  /* BX, BLX */
    {0xfd87, 0x4487, INSN_BRANCH},  /* ADD and MOV to the PC */
    {0xf800, 0x4800, INSN_LOAD},    /* literal */
    {0xfc00, 0x5000, INSN_STORE},   /* STR, STRH (register) */
    {0xfe00, 0x5400, INSN_STORE},   /* STRB */
    {0xf000, 0x5000, INSN_LOAD},
    {0xe800, 0x6000, INSN_STORE},   /* STR, STRB (immediate) */
    {0xe800, 0x6800, INSN_LOAD},
    {0xe800, 0x8000, INSN_STORE},   /* STRH, STR at the stack pointer */
    {0xe800, 0x8800, INSN_LOAD},
    {0xf500, 0xb100, INSN_BRANCH},  /* CBZ, CBNZ */
    {0xfe00, 0xb400, INSN_STORE},   /* PUSH */
    {0xff00, 0xb600, INSN_SYSTEM},  /* CPS, SETEND */
    {0xffc0, 0xba80, INSN_SYSTEM},  /* HLT */
    {0xff00, 0xbc00, INSN_LOAD},    /* POP */
    {0xff00, 0xbd00, INSN_BRANCH},  /* POP with the PC */
    {0xff00, 0xbe00, INSN_SYSTEM},  /* BKPT */
    {0xffff, 0xbf10, INSN_SYSTEM | INSN_IS_WAIT}, /* YIELD */
    {0xffef, 0xbf20, INSN_SYSTEM | INSN_IS_WAIT}, /* WFE, WFI */
    {0xff0f, 0xbf00, INSN_SYSTEM},  /* other hints; IT is an integer instruction */
    {0xf800, 0xc000, INSN_STORE},   /* STM */
    {0xf800, 0xc800, INSN_LOAD},
    {0xfe00, 0xde00, INSN_SYSTEM},  /* UDF, SVC */
    {0xf000, 0xd000, INSN_BRANCH},
    {0xf800, 0xe000, INSN_BRANCH},
    {0, 0, INSN_INTEGER},
};

/* "32-bit", but Advanced SIMD, floating point and coprocessors */
static const struct insn_rule wide[] = {
    /* "Load/store multiple", "Load/store dual, load/store exclusive, ... and table branch" */
    {0xffff0000, 0xe89f0000, INSN_INTEGER}, /* CLRM */
    {0xffc00000, 0xe8000000, INSN_SYSTEM},  /* RFE, SRS */
    {0xffc00000, 0xe9800000, INSN_SYSTEM},
    {0xfe508000, 0xe8108000, INSN_BRANCH},  /* LDM with the PC */
    {0xfe500000, 0xe8100000, INSN_LOAD},
    {0xfe500000, 0xe8000000, INSN_STORE},
    {0xfff0f03f, 0xe840f000, INSN_SYSTEM},  /* TT */
    {0xffffffff, 0xe97fe97f, INSN_SYSTEM},  /* SG */
    {0xfff0ffe0, 0xe8d0f000, INSN_BRANCH},  /* TBB, TBH */
    {0xff600000, 0xe8400000, INSN_ATOMIC},  /* LDREX, STREX, LDA, STL ... */
    {0xfe500000, 0xe8400000, INSN_STORE},   /* STRD */
    {0xfe500000, 0xe8500000, INSN_LOAD},
    {0xfe000000, 0xea000000, INSN_INTEGER}, /* "Data-processing (shifted register)" */

    /* "Branches and miscellaneous control" */
    {0xffffffff, 0xf3af8001, INSN_SYSTEM | INSN_IS_WAIT}, /* YIELD */
    {0xfffffffe, 0xf3af8002, INSN_SYSTEM | INSN_IS_WAIT}, /* WFE, WFI */
    {0xfff0d000, 0xf3b08000, INSN_ATOMIC},   /* CLREX, DSB, DMB, ISB, SB */
    {0xfff0d000, 0xf3c08000, INSN_BRANCH},   /* BXJ */
    {0xfb80d000, 0xf3808000, INSN_SYSTEM},   /* MSR, MRS, other hints, CPS, ERET, HVC, SMC, UDF */
    {0xffc0ffff, 0xf000e801, INSN_VINTEGER}, /* VCTP */
    {0xf8008000, 0xf0008000, INSN_BRANCH},   /* loops of the M profile too: DLS, WLS, LE */
    {0xf8008000, 0xf0000000, INSN_INTEGER},  /* "Data-processing (immediate)" */

    /* "Load/store single" */
    {0xff100000, 0xf8000000, INSN_STORE},
    {0xff70f000, 0xf850f000, INSN_BRANCH}, /* LDR pc */
    {0xfe100000, 0xf8100000, INSN_LOAD},   /* PLD, PLI too */
    /* "Data-processing (register)", "Multiply, ... absolute difference", "Long multiply and divide" */
    {0xffe0f0c0, 0xfac0f080, INSN_CRYPTO}, /* CRC32 */
    {0xff000000, 0xfa000000, INSN_INTEGER},
    {0xffd000f0, 0xfb9000f0, INSN_DIVIDE}, /* SDIV, UDIV */
    {0xff000000, 0xfb000000, INSN_MULTIPLY},
    {0, 0, INSN_UNKNOWN},
};

/* The vector instructions of the M profile that stand where the A profile has coprocessors 14 and 15: of those, only
 * what user programs can do there is kept apart. Bit 28 is U; the size, bits 21:20, is 11 for floating point. */
static const struct insn_rule mve[] = {
    {0xffa01fe0, 0xec000f00, INSN_PERMUTE},  /* VMOV of two lanes */
    {0xffe00000, 0xec400000, INSN_SYSTEM},   /* MCRR, MRRC */
    {0xee100000, 0xec000000, INSN_VSTORE},   /* VSTR, VST2, VST4 */
    {0xee100000, 0xec100000, INSN_VLOAD},
    {0xef000010, 0xee000010, INSN_SYSTEM},   /* MCR, MRC */

    /* bits 23 and 8 are 0 */
    {0xefbf0fd1, 0xee3f0e01, INSN_PERMUTE},  /* VCVTB, VCVTT */
    {0xefbf0fd1, 0xee3f0e81, INSN_VFLOAT},   /* VMAXNMA, VMINNMA */
    {0xefb30fd1, 0xee330e81, INSN_VINTEGER}, /* VMAXA, VMINA */
    {0xefb10f51, 0xee310e01, INSN_PERMUTE},  /* VSHLL, VMOVN, VQMOVN, VQMOVUN */
    {0xefb10f50, 0xee300e00, INSN_VFMA},     /* VCMUL */
    {0xefb11f70, 0xee311e60, INSN_VINTEGER}, /* VSHL, VRSHL, VQSHL by scalar */
    {0xff811f70, 0xfe011e60, INSN_VINTEGER}, /* VBRSR */
    {0xefb10f50, 0xee310e40, INSN_VFMA},     /* VMUL, VFMA, VFMAS by scalar */
    {0xef800f00, 0xee000e00, INSN_VIMA},     /* VMULL, VMULH, VQDMLADH, VMUL and VMLA by scalar ... */
    /* bit 23 is 0, bit 8 is 1 */
    {0xef810f51, 0xee000f01, INSN_VIMA},     /* VQDMULL */
    {0xefb10f70, 0xee300f60, INSN_VIMA},     /* by scalar */
    {0xefb10f70, 0xee300f40, INSN_VFLOAT},   /* VADD, VSUB by scalar */
    {0xffbf1fff, 0xfe310f4d, INSN_VINTEGER}, /* VPST, VPNOT */
    {0xffb11f51, 0xfe310f01, INSN_VINTEGER}, /* VPSEL */
    {0xefb10f00, 0xee310f00, INSN_VFLOAT},   /* VCMP, VPT */
    {0xef800f00, 0xee000f00, INSN_VINTEGER}, /* VADD by scalar, VHCADD, VADC, VIDUP, VCMP, VPT ... */
    /* bit 23 is 1 */
    {0xefa00fd1, 0xeea00f40, INSN_PERMUTE},  /* VSHLL, VMOVL */
    {0xef800f40, 0xee800f40, INSN_VINTEGER}, /* VSHRN, VQSHRN ..., VSHLC */
    {0xefc00f51, 0xee800f01, INSN_VINTEGER}, /* VABAV */
    {0xeffd0f51, 0xeeec0f00, INSN_VFLOAT},   /* VMAXNMV, VMINNMAV ... */
    {0xeff00f51, 0xeee00f00, INSN_VINTEGER}, /* VMAXV, VMINAV ... */
    {0xef810f51, 0xee810f00, INSN_VINTEGER}, /* VADDV, VADDLV */
    {0xef800e00, 0xee800e00, INSN_VIMA},     /* VMLADAV, VMLALDAV, VRMLALDAVH ... */
    {0, 0, INSN_UNKNOWN},
};

unsigned t32_class(uint16_t first, uint16_t second)
{
    uint32_t insn = (uint32_t)first << 16 | second;

    if (!t32_is_wide(first))
        return insn_sort(narrow, first);
    if ((insn & 0xef000000) == 0xef000000) /* "Advanced SIMD data-processing": U is bit 28, in A32 bit 24 */
        return neon_class(0xf2000000 | (insn >> 4 & 0x01000000) | (insn & 0x00ffffff));
    if ((insn & 0xec000e00) == 0xec000e00)
        return insn_sort(mve, insn);
    if ((insn & 0xec000000) == 0xec000000)
        return neon_class(insn);
    if ((insn & 0xff100000) == 0xf9000000) /* "Advanced SIMD element or structure load/store" */
        return neon_class(0xf4000000 | (insn & 0x00ffffff));
    return insn_sort(wide, insn);
}

int block_is_thumb(const uint32_t *words, const uint8_t *sizes, unsigned n, uint64_t pc)
{
    uint16_t first = (uint16_t)words[n - 1], second = (uint16_t)(words[n - 1] >> 16);
    int ends_page = (pc + 4 * n) % 4096 == 0;

    if (pc & 2)
        return 1;
    for (unsigned i = 0; i < n; i++) {
        if (sizes[i] == 2)
            return 1;
        /* Where a T32 instruction of 4 bytes crosses the end of a page, QEMU 7.2 ends the block before it, but gives
         * the half that it has read to the instruction of 2 bytes before that. */
        if (!t32_is_wide((uint16_t)words[i]))
            return ends_page && i == n - 1 && second >= 0xf000;
    }
    /* Few A32 instructions get here, most of them BX LR and B to a little before. A block ends with a branch or with
     * its page, and branches of A32 are none in T32, but for BLX: there the lowest bit has to be 0, and those that tell
     * a target more than 4 MiB away are taken for A32. */
    if (ends_page)
        return 1;
    if (t32_class(first, second) == INSN_BRANCH)
        return (second & 0xd000) != 0xc000 || (second & 0xf801) == 0xe800;
    return a32_class(words[n - 1]) != INSN_BRANCH;
}
