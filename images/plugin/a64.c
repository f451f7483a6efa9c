/* Sorts A64 instructions. Encodings: Arm Architecture Reference Manual, DDI 0487, C4.1 "A64 instruction set encoding",
 * to Armv8.6. Encodings that are not allocated fall wherever their group does: they never retire. */
#include "insn.h"

/* C4.1 "Branches, Exception Generating and System instructions" */
static const struct insn_rule branches[] = {
    {0x7c000000, 0x14000000, INSN_BRANCH}, /* B, BL */
    {0x7c000000, 0x34000000, INSN_BRANCH}, /* CBZ, CBNZ, TBZ, TBNZ */
    {0xfe000000, 0x54000000, INSN_BRANCH}, /* B.cond */
    {0xffc00000, 0xd6800000, INSN_SYSTEM}, /* ERET, DRPS */
    {0xfe000000, 0xd6000000, INSN_BRANCH}, /* BR, BLR, RET, and with pointer authentication */
    {0xff000000, 0xd4000000, INSN_SYSTEM}, /* SVC, HVC, SMC, BRK, HLT */
    {0xffffffff, 0xd503203f, INSN_SYSTEM | INSN_IS_WAIT}, /* YIELD */
    {0xffffffdf, 0xd503205f, INSN_SYSTEM | INSN_IS_WAIT}, /* WFE, WFI */
    {0xffffffc0, 0xd5031000, INSN_SYSTEM | INSN_IS_WAIT}, /* WFET, WFIT */
    {0xfffff01f, 0xd503301f, INSN_ATOMIC}, /* CLREX, DSB, DMB, ISB, SB */
    {0xffffffe0, 0xd50b7420, INSN_STORE},  /* DC ZVA: memset's store of a whole cache line */
    {0xff000000, 0xd5000000, INSN_SYSTEM}, /* other hints, with NOP, BTI and PACIASP; MSR, MRS, SYS */
    {0, 0, INSN_UNKNOWN},
};

/* C4.1 "Loads and Stores" */
static const struct insn_rule accesses[] = {
    {0x3f000000, 0x08000000, INSN_ATOMIC}, /* LDXR, STXR, LDAR, STLR, CAS, CASP */
    {0xbe400000, 0x0c400000, INSN_VLOAD},  /* LD1 to LD4, LD1R to LD4R */
    {0xbe400000, 0x0c000000, INSN_VSTORE}, /* ST1 to ST4 */
    {0xff600c00, 0xd9600000, INSN_LOAD},   /* LDG, LDGM */
    {0xff200000, 0xd9200000, INSN_STORE},  /* STG, ST2G, STGM, and zeroing */
    {0x3f200c00, 0x19000000, INSN_ATOMIC}, /* LDAPUR, STLUR */
    {0x3f000000, 0x18000000, INSN_LOAD},   /* LDR (literal), PRFM (literal) */
    {0x3f000000, 0x1c000000, INSN_VLOAD},
    {0x3e400000, 0x28000000, INSN_STORE},  /* STP, STNP, STGP */
    {0x3e400000, 0x28400000, INSN_LOAD},   /* LDP, LDNP, LDPSW */
    {0x3e400000, 0x2c000000, INSN_VSTORE},
    {0x3e400000, 0x2c400000, INSN_VLOAD},
    {0x3f200c00, 0x38200000, INSN_ATOMIC}, /* LDADD and the like, SWP, LDAPR */
    {0x3f200400, 0x38200400, INSN_LOAD},   /* LDRAA, LDRAB */
    {0x3ec00000, 0x38000000, INSN_STORE},  /* STR, STUR, STTR */
    {0x3e000000, 0x38000000, INSN_LOAD},   /* LDR, LDUR, LDTR, sign-extending too; PRFM */
    {0x3e400000, 0x3c000000, INSN_VSTORE},
    {0x3e400000, 0x3c400000, INSN_VLOAD},
    {0, 0, INSN_UNKNOWN},
};

/* C4.1 "Data Processing -- Register" */
static const struct insn_rule registers[] = {
    {0x1f000000, 0x1b000000, INSN_MULTIPLY}, /* MADD, SMADDL, SMULH ... */
    {0x5fe0f800, 0x1ac00800, INSN_DIVIDE},   /* UDIV, SDIV */
    {0x5fe0e000, 0x1ac04000, INSN_CRYPTO},   /* CRC32 */
    {0, 0, INSN_INTEGER},                    /* pointer authentication too */
};

/* C4.1 "Data Processing -- Scalar Floating-Point and Advanced SIMD". The scalar forms of Advanced SIMD differ from the
 * vector forms only in bits 28 and 30, so one rule serves both where its mask leaves those out: 0x8f... or 0xaf...
 * Bit 29 is U in the manual's tables, bit 23 the high bit of "size". */
static const struct insn_rule simd[] = {
    {0xff3e0c00, 0x4e280800, INSN_CRYPTO}, /* AES */
    {0xff208c00, 0x5e000000, INSN_CRYPTO}, /* SHA1, SHA256, three registers */
    {0xff3e0c00, 0x5e280800, INSN_CRYPTO}, /* two registers */
    {0xff000000, 0xce000000, INSN_CRYPTO}, /* SHA512, SHA3 with EOR3 and BCAX, SM3, SM4 */

    /* scalar floating point */
    {0x7f200000, 0x1e000000, INSN_PERMUTE}, /* conversion to and from fixed point */
    {0x7f20fc00, 0x1e200000, INSN_PERMUTE}, /* to and from integer, FMOV to and from general registers */
    {0x7f3ffc00, 0x1e21c000, INSN_DIVIDE},  /* FSQRT */
    {0x7f3e7c00, 0x1e224000, INSN_PERMUTE}, /* FCVT, BFCVT */
    {0x7f20fc00, 0x1e201800, INSN_DIVIDE},  /* FDIV */
    {0x7e000000, 0x1e000000, INSN_FLOAT},   /* the rest: FMOV, FADD, FMADD, FCMP, FCSEL, FRINT ... */

    {0x9f208400, 0x0e000000, INSN_PERMUTE}, /* TBL, TBX, ZIP, UZP, TRN, EXT */
    {0x8fe08400, 0x0e000400, INSN_PERMUTE}, /* DUP, INS, UMOV, SMOV */

    /* three registers, same type */
    {0x8f20fc00, 0x0e20cc00, INSN_VFMA},    /* FMLA, FMLS, FMLAL2, FMLSL2 */
    {0x8f20fc00, 0x0e20dc00, INSN_VFMA},    /* FMUL, FMULX */
    {0xaf20fc00, 0x0e20ec00, INSN_VFMA},    /* FMLAL, FMLSL */
    {0xafa0fc00, 0x2e20fc00, INSN_DIVIDE},  /* FDIV */
    {0x8f20c400, 0x0e20c400, INSN_VFLOAT},  /* FADD, FABD, FMAXNM, FCMEQ, FRECPS ... */
    {0x8f20f400, 0x0e209400, INSN_VIMA},    /* MLA, MLS, MUL, PMUL */
    {0x8f20fc00, 0x0e20b400, INSN_VIMA},    /* SQDMULH, SQRDMULH */
    {0x8f200400, 0x0e200400, INSN_VINTEGER},
    /* three registers, extra */
    {0xaf20f400, 0x2e008400, INSN_VIMA},    /* SQRDMLAH, SQRDMLSH */
    {0x8f20f400, 0x0e009400, INSN_DOT},     /* SDOT, UDOT, USDOT */
    {0x8f20f400, 0x0e00a400, INSN_DOT},     /* SMMLA, UMMLA, USMMLA */
    {0xaf20e400, 0x2e00c400, INSN_VFMA},    /* FCMLA */
    {0xafe0fc00, 0x2ec0fc00, INSN_VFMA},    /* BFMLALB, BFMLALT */
    {0xafe0ec00, 0x2e40ec00, INSN_DOT},     /* BFMMLA, BFDOT */
    {0xaf20ec00, 0x2e00e400, INSN_VFLOAT},  /* FCADD */

    /* three registers, different types */
    {0x8fe0fc00, 0x0ee0e000, INSN_CRYPTO},  /* PMULL of 64 bits; of 8 bits it is as fast as a multiply */
    {0x8f208c00, 0x0e208000, INSN_VIMA},    /* SMULL, SMLAL, SQDMLAL ... */
    {0x8f200c00, 0x0e200000, INSN_VINTEGER},

    /* across lanes, and scalar pairwise */
    {0x8f3fcc00, 0x0e30c800, INSN_VFLOAT},
    {0x8f3e0c00, 0x0e300800, INSN_VINTEGER},

    /* two registers */
    {0x8f3fec00, 0x0e200800, INSN_PERMUTE}, /* REV16, REV32, REV64 */
    {0x8f3fcc00, 0x0e20c800, INSN_VFLOAT},  /* FCMEQ with zero ..., FABS, FNEG */
    {0x8f3f0c00, 0x0e200800, INSN_VINTEGER},
    {0x8f3f8c00, 0x0e210800, INSN_PERMUTE}, /* XTN, SQXTN, SHLL, FCVTN, FCVTL */
    {0x8f3fec00, 0x0e21a800, INSN_PERMUTE}, /* FCVTNS, FCVTZS ... */
    {0x8fbfec00, 0x0e21c800, INSN_PERMUTE}, /* FCVTAS, SCVTF */
    {0xafbffc00, 0x2ea1f800, INSN_DIVIDE},  /* FSQRT */
    {0x8f3f0c00, 0x0e210800, INSN_VFLOAT},  /* FRINT, FRECPE, URECPE ... */

    /* immediates; a shift that narrows is a shift, with its rounding and saturation, one that only widens is a move */
    {0x9ff80400, 0x0f000400, INSN_VINTEGER}, /* MOVI, MVNI, ORR, BIC, FMOV */
    {0x8f80fc00, 0x0f00a400, INSN_PERMUTE},  /* SSHLL, USHLL */
    {0x8f80fc00, 0x0f00e400, INSN_PERMUTE},  /* SCVTF from fixed point */
    {0x8f80fc00, 0x0f00fc00, INSN_PERMUTE},  /* FCVTZS to fixed point */
    {0x8f800400, 0x0f000400, INSN_VINTEGER}, /* SSHR, SHL, SHRN, SQSHRN ... */

    /* by element */
    {0xafc0f400, 0x0fc0f000, INSN_VFMA}, /* BFMLALB, BFMLALT */
    {0xaf00f400, 0x0f00f000, INSN_DOT},  /* USDOT, SUDOT, BFDOT */
    {0x8f00f400, 0x0f00e000, INSN_DOT},  /* SDOT, UDOT */
    {0x8f00f400, 0x0f009000, INSN_VFMA}, /* FMUL, FMULX */
    {0xaf00a400, 0x0f000000, INSN_VFMA}, /* FMLA, FMLS, FMLAL, FMLSL */
    {0xaf00b400, 0x2f008000, INSN_VFMA}, /* FMLAL2, FMLSL2 */
    {0xaf009400, 0x2f001000, INSN_VFMA}, /* FCMLA */
    {0x8f000400, 0x0f000000, INSN_VIMA},
    {0, 0, INSN_UNKNOWN},
};

static unsigned simd_class(uint32_t insn)
{
    unsigned sort;

    /* Half precision has groups of its own, with the opcodes of the other precisions: move it there. */
    if ((insn & 0x8f60c400) == 0x0e400400)
        insn ^= 0x0060c000; /* three registers, same type */
    else if ((insn & 0x8f7e0c00) == 0x0e780800)
        insn ^= 0x00580000; /* two registers */
    sort = insn_sort(simd, insn);
    if ((insn & 1u << 28) && (sort == INSN_VFMA || sort == INSN_VFLOAT))
        return INSN_FLOAT;
    return sort;
}

unsigned a64_class(uint32_t insn)
{
    switch (insn >> 25 & 15) { /* "op0" of C4.1 */
    case 8: case 9:
        return INSN_INTEGER; /* "Data Processing -- Immediate" */
    case 10: case 11:
        return insn_sort(branches, insn);
    case 4: case 6: case 12: case 14:
        return insn_sort(accesses, insn);
    case 5: case 13:
        return insn_sort(registers, insn);
    case 7: case 15:
        return simd_class(insn);
    default:
        return INSN_UNKNOWN; /* SVE, SME, not allocated */
    }
}
