/* Classes of instructions that a core's timing tells apart, and the decoders that sort instructions into them. */
#ifndef INSN_H
#define INSN_H

#include <stdint.h>

/* The order is part of the format of counter files; sandbox/profilers/counts.py has the same names. */
enum insn_class {
    INSN_INTEGER,      /* add, logic, shift, move, compare, address; also scalar select */
    INSN_MULTIPLY,     /* integer multiply and multiply-add */
    INSN_DIVIDE,       /* integer and float divide, square root, scalar and vector: not pipelined on small cores */
    INSN_BRANCH,
    INSN_LOAD,         /* into general registers; prefetches too */
    INSN_STORE,
    INSN_VLOAD,        /* into floating-point or vector registers */
    INSN_VSTORE,
    INSN_VFMA,         /* vector float multiply, multiply-add */
    INSN_VFLOAT,       /* other vector float arithmetic and comparison, estimates */
    INSN_VIMA,         /* vector integer multiply, multiply-add, with widening and saturation */
    INSN_DOT,          /* dot products and matrix multiply-accumulate, integer and bfloat16 */
    INSN_VINTEGER,     /* other vector integer arithmetic, logic, shift, comparison, reduction */
    INSN_PERMUTE,      /* permutes, lane moves, narrowing and widening moves, conversions, moves between register files */
    INSN_FLOAT,        /* scalar float arithmetic, fused multiply-add, comparison, move */
    INSN_CRYPTO,       /* AES, SHA, PMULL, CRC */
    INSN_ATOMIC,       /* exclusive and atomic accesses, barriers */
    INSN_SYSTEM,       /* system calls, system registers, hints, exception return */
    INSN_UNKNOWN,      /* not sorted: another architecture, SVE, SME, MVE beyond what is listed here */
    INSN_CLASSES
};

/* Yields the core to other threads of the machine: what a loop that waits for them executes. */
#define INSN_IS_WAIT 0x80

/* Instructions whose bits under the mask are these. Of a table the first rule that fits counts; the last fits all. */
struct insn_rule {
    uint32_t mask;
    uint32_t bits;
    uint8_t sort; /* an insn_class, with INSN_IS_WAIT */
};

static inline unsigned insn_sort(const struct insn_rule *rule, uint32_t insn)
{
    while ((insn & rule->mask) != rule->bits)
        rule++;
    return rule->sort;
}

/* The class of one A64 instruction; INSN_IS_WAIT is added for YIELD, WFE and WFI. */
unsigned a64_class(uint32_t insn);

/* The class of one A32 instruction, likewise. */
unsigned a32_class(uint32_t insn);

/* The class of one T32 instruction, likewise; the second halfword counts only where the first announces it. */
unsigned t32_class(uint16_t first, uint16_t second);

/* The class of an Advanced SIMD, floating-point or coprocessor instruction of A32, or of T32 in the form that it has
 * in A32. */
unsigned neon_class(uint32_t insn);

/* Whether a T32 instruction that begins with this halfword has two. */
static inline int t32_is_wide(uint16_t first)
{
    return (first & 0xe000) == 0xe000 && (first & 0x1800) != 0;
}

/* Whether a translated block of n instructions at pc is T32 rather than A32, on a core of the A profile. A word is what
 * lies at the instruction's address, little-endian; of one of 2 bytes only the low half counts. */
int block_is_thumb(const uint32_t *words, const uint8_t *sizes, unsigned n, uint64_t pc);

#endif
