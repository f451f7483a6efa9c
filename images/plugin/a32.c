/* Sorts A32 instructions. Encodings: Arm Architecture Reference Manual, DDI 0487, F4.1 "A32 instruction set encoding".
 * Whatever writes the PC is a branch, loads too: refilling the pipeline costs more than the access. */
#include "insn.h"

/* "Unconditional instructions": bits 31:28 are 1111 */
static const struct insn_rule unconditional[] = {
    {0xff000000, 0xf1000000, INSN_SYSTEM}, /* CPS, SETEND, SETPAN */
    {0xfff00000, 0xf5700000, INSN_ATOMIC}, /* CLREX, DSB, DMB, ISB, SB */
    {0xfc000000, 0xf4000000, INSN_LOAD},   /* PLD, PLDW, PLI */
    {0xfe000000, 0xfa000000, INSN_BRANCH}, /* BLX */
    {0, 0, INSN_SYSTEM},                   /* RFE, SRS */
};

static const struct insn_rule conditional[] = {
    /* "Multiply and Accumulate", "Load/Store Exclusive and Load-Acquire/Store-Release", "Extra load/store" */
    {0x0f0000f0, 0x00000090, INSN_MULTIPLY},
    {0x0f0000f0, 0x01000090, INSN_ATOMIC},
    {0x0e1000f0, 0x000000b0, INSN_STORE}, /* STRH */
    {0x0e1000f0, 0x000000f0, INSN_STORE}, /* STRD */
    {0x0e000090, 0x00000090, INSN_LOAD},  /* LDRH, LDRSB, LDRSH, LDRD */
    /* "Miscellaneous", "Halfword Multiply and Accumulate" */
    {0x0f900090, 0x01000080, INSN_MULTIPLY},
    {0x0ff000d0, 0x01200010, INSN_BRANCH}, /* BX, BLX */
    {0x0ff000f0, 0x01200020, INSN_BRANCH}, /* BXJ */
    {0x0f9000f0, 0x01000000, INSN_SYSTEM}, /* MRS, MSR */
    {0x0f9000f0, 0x01000040, INSN_CRYPTO}, /* CRC32 */
    {0x0f9000f0, 0x01000060, INSN_SYSTEM}, /* ERET */
    {0x0f9000f0, 0x01000070, INSN_SYSTEM}, /* HLT, BKPT, HVC, SMC */
    /* "Data-processing immediate", "Move Special Register and Hints" */
    {0x0fffffff, 0x0320f001, INSN_SYSTEM | INSN_IS_WAIT}, /* YIELD */
    {0x0ffffffe, 0x0320f002, INSN_SYSTEM | INSN_IS_WAIT}, /* WFE, WFI */
    {0x0fb00000, 0x03200000, INSN_SYSTEM},
    {0x0c00f000, 0x0000f000, INSN_BRANCH},
    {0x0c000000, 0x00000000, INSN_INTEGER},
    /* "Media instructions" */
    {0x0fd000f0, 0x07100010, INSN_DIVIDE},   /* SDIV, UDIV */
    {0x0f800010, 0x07000010, INSN_MULTIPLY}, /* SMLAD, SMLALD, SMMLA ... */
    {0x0ff000f0, 0x07800010, INSN_MULTIPLY}, /* USAD8, USADA8: in the multiplier */
    {0x0ff000f0, 0x07f000f0, INSN_SYSTEM},   /* UDF */
    {0x0e000010, 0x06000010, INSN_INTEGER},
    /* "Load/Store Word, Unsigned Byte" */
    {0x0c100000, 0x04000000, INSN_STORE},
    {0x0c50f000, 0x0410f000, INSN_BRANCH}, /* LDR pc */
    {0x0c000000, 0x04000000, INSN_LOAD},
    /* "Branch, branch with link, and block data transfer" */
    {0x0e108000, 0x08108000, INSN_BRANCH}, /* LDM with the PC */
    {0x0e100000, 0x08100000, INSN_LOAD},
    {0x0e000000, 0x08000000, INSN_STORE},
    {0x0e000000, 0x0a000000, INSN_BRANCH},
    {0, 0, INSN_SYSTEM}, /* SVC */
};

unsigned a32_class(uint32_t insn)
{
    if ((insn & 0x0c000000) == 0x0c000000 && (insn & 0x0f000000) != 0x0f000000)
        return neon_class(insn); /* coprocessors */
    if (insn < 0xf0000000)
        return insn_sort(conditional, insn);
    if ((insn & 0xfe000000) == 0xf2000000 || (insn & 0xff100000) == 0xf4000000)
        return neon_class(insn);
    return insn_sort(unconditional, insn);
}
