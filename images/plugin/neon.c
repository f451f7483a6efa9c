/* Sorts the Advanced SIMD and floating-point instructions that A32 and T32 share, and accesses to other coprocessors,
 * in their A32 form. Encodings: Arm Architecture Reference Manual, DDI 0487, F4.1 "A32 instruction set encoding",
 * "System register access, Advanced SIMD, floating-point ..." and "Unconditional instructions". */
#include "insn.h"

/* "Advanced SIMD data-processing". Bit 24 is U in the manual's tables. The vector instructions of the M profile in this
 * part of T32, with registers of 128 bits only, are a subset of these. */
static const struct insn_rule vectors[] = {
    /* three registers of the same length */
    {0xff800f10, 0xf2000c10, INSN_VFMA},   /* VFMA, VFMS */
    {0xfe800f10, 0xf2000d10, INSN_VFMA},   /* VMLA, VMLS, VMUL */
    {0xff800f10, 0xf3000c10, INSN_VIMA},   /* VQRDMLSH */
    {0xfe800f10, 0xf2000c00, INSN_CRYPTO}, /* SHA1, SHA256 */
    {0xfe800c00, 0xf2000c00, INSN_VFLOAT}, /* VADD, VABD, VCEQ, VMAX, VMAXNM, VRECPS ... */
    {0xfe800f00, 0xf2000900, INSN_VIMA},   /* VMLA, VMLS, VMUL, of polynomials too */
    {0xfe800f10, 0xf2000b00, INSN_VIMA},   /* VQDMULH, VQRDMULH */
    {0xff800f10, 0xf3000b10, INSN_VIMA},   /* VQRDMLAH */
    {0xfe800000, 0xf2000000, INSN_VINTEGER},

    /* two registers and others, where "size" is 11 */
    {0xffb00010, 0xf2b00000, INSN_PERMUTE}, /* VEXT */
    {0xffb00810, 0xf3b00800, INSN_PERMUTE}, /* VTBL, VTBX, VDUP (scalar) */
    {0xffb30f10, 0xf3b00300, INSN_CRYPTO},  /* AES */
    {0xffb30fd0, 0xf3b102c0, INSN_CRYPTO},  /* SHA1H */
    {0xffb30f90, 0xf3b20380, INSN_CRYPTO},  /* SHA1SU1, SHA256SU0 */
    {0xffb30e10, 0xf3b00000, INSN_PERMUTE}, /* VREV64, VREV32, VREV16 */
    {0xffb30c10, 0xf3b10400, INSN_VFLOAT},  /* VCEQ with zero ..., VABS, VNEG */
    {0xffb20010, 0xf3b00000, INSN_VINTEGER},
    {0xffb30e90, 0xf3b20600, INSN_PERMUTE}, /* VCVT between half and single precision, to bfloat16 */
    {0xffb30c10, 0xf3b20400, INSN_VFLOAT},  /* VRINT */
    {0xffb30010, 0xf3b20000, INSN_PERMUTE}, /* VSWP, VTRN, VUZP, VZIP, VMOVN, VQMOVN, VSHLL */
    {0xffb30e10, 0xf3b30400, INSN_VFLOAT},  /* VRECPE, VRSQRTE */
    {0xffb30010, 0xf3b30000, INSN_PERMUTE}, /* VCVT */

    /* three registers of different lengths, and by scalar */
    {0xffb00f50, 0xf2a00e00, INSN_CRYPTO}, /* VMULL of polynomials of 64 bits; of 8 bits it is as fast as a multiply */
    {0xfe800850, 0xf2800000, INSN_VINTEGER},
    {0xfe800b50, 0xf2800140, INSN_VFMA},   /* VMLA, VMLS */
    {0xfe800f50, 0xf2800940, INSN_VFMA},   /* VMUL */
    {0xfe800010, 0xf2800000, INSN_VIMA},

    /* immediates; a shift that narrows is a shift, with its rounding and saturation, one that only widens is a move */
    {0xfeb80090, 0xf2800010, INSN_VINTEGER}, /* VMOV, VMVN, VORR, VBIC */
    {0xfe800f10, 0xf2800a10, INSN_PERMUTE},  /* VSHLL, VMOVL */
    {0xfe800c10, 0xf2800c10, INSN_PERMUTE},  /* VCVT to and from fixed point */
    {0, 0, INSN_VINTEGER},                   /* VSHR, VSHL, VSHRN, VQSHRN ... */
};

static const struct insn_rule coprocessors[] = {
    /* "Advanced SIMD three registers of the same length extension" */
    {0xfe000e00, 0xfc000c00, INSN_DOT},    /* VSDOT, VUDOT, VUSDOT, VSMMLA, VMMLA, VDOT */
    {0xfe200f00, 0xfc000800, INSN_VFLOAT}, /* VCADD */
    {0xfe000f00, 0xfc000800, INSN_VFMA},   /* VCMLA, VFMAL, VFMSL, VFMAB, VFMAT */
    /* "Advanced SIMD two registers and a scalar extension" */
    {0xff000e00, 0xfe000c00, INSN_DOT},
    {0xff000f00, 0xfe000800, INSN_VFMA},
    /* "Floating-point extraction and insertion", "directed convert to integer" */
    {0xffbf0fd0, 0xfeb00a40, INSN_PERMUTE}, /* VMOVX, VINS */
    {0xffbf0fd0, 0xfeb00ac0, INSN_PERMUTE},
    {0xffbc0c50, 0xfebc0840, INSN_PERMUTE}, /* VCVTA, VCVTN, VCVTP, VCVTM */
    {0xff000c10, 0xfe000800, INSN_FLOAT},   /* VSEL, VMAXNM, VMINNM, VRINTA, VRINTN, VRINTP, VRINTM */

    /* "Advanced SIMD and floating-point 64-bit move", "load/store" */
    {0x0fe00c00, 0x0c400800, INSN_PERMUTE},
    {0x0e100c00, 0x0c000800, INSN_VSTORE},
    {0x0e100c00, 0x0c100800, INSN_VLOAD},
    /* "Floating-point data-processing" */
    {0x0fb00c50, 0x0e800800, INSN_DIVIDE},  /* VDIV */
    {0x0fbf0cd0, 0x0eb108c0, INSN_DIVIDE},  /* VSQRT */
    {0x0fbe0c50, 0x0eb20840, INSN_PERMUTE}, /* VCVTB, VCVTT */
    {0x0fbf0cd0, 0x0eb708c0, INSN_PERMUTE}, /* VCVT between single and double precision */
    {0x0fb80c50, 0x0eb80840, INSN_PERMUTE}, /* VCVT to and from integer and fixed point */
    {0x0f000c10, 0x0e000800, INSN_FLOAT},   /* the rest */
    /* "Advanced SIMD and floating-point 8, 16, and 32-bit element move/duplicate" */
    {0x0fffffff, 0x0ef1fa10, INSN_PERMUTE}, /* VMRS APSR_nzcv, FPSCR: how a comparison's result gets to the core */
    {0x0fe00f10, 0x0ee00a10, INSN_SYSTEM},  /* VMSR, VMRS */
    {0x0f000c10, 0x0e000810, INSN_PERMUTE}, /* VMOV, VDUP */

    {0x0fff0fdf, 0x0e070f9a, INSN_ATOMIC}, /* MCR p15: the barriers of Armv6 */
    {0, 0, INSN_SYSTEM},                   /* MCR, MRC, LDC ... */
};

unsigned neon_class(uint32_t insn)
{
    switch (insn >> 24) {
    case 0xf2: case 0xf3:
        return insn_sort(vectors, insn);
    case 0xf4: /* "Advanced SIMD element or structure load/store" */
        return insn & 1u << 21 ? INSN_VLOAD : INSN_VSTORE;
    default:
        return insn_sort(coprocessors, insn);
    }
}
