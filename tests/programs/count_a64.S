/* A program that is counted by hand: one loop for each class of instructions, in A64.
 *
 * A loop runs 1000 times and holds k instructions of its class; k is the number beside it. Around those:
 *   integer   1 (mov) for a loop, 1 (subs) for each run of it: 18 * 1 + 18 * 1000
 *   branch    1 (b.ne) for each run: 18 * 1000
 * and outside of the loops 1 integer instruction for the address of 16 bytes, 2 before the exit, and 1 system (svc).
 *
 *   integer         1 * 1000 + 18 + 18 * 1000 + 3 = 19021
 *   multiply        2 * 1000                      =  2000
 *   divide          3 * 1000                      =  3000
 *   branch          4 * 1000 + 18 * 1000          = 22000
 *   load, store, vector_load, vector_store, vector_fma, vector_float, vector_integer_multiply, dot_product,
 *   vector_integer, permute, float, crypto, atomic: 5 * 1000, 6 * 1000 ... 17 * 1000
 *   system         18 * 1000 + 1                  = 18001
 *   all             k: 171 * 1000, around: 36018 + 4 = 207022
 */
        .arch   armv8.2-a+dotprod+crypto

        .macro  loop k:req, insn:vararg
        mov     w9, #1000
1:
        .rept   \k
        \insn
        .endr
        subs    w9, w9, #1
        b.ne    1b
        .endm

        .global _start
_start:
        sub     x1, sp, #16

        loop    1, add x2, x3, x4
        loop    2, madd x2, x3, x4, x5
        loop    3, udiv x2, x3, x4
        loop    4, b . + 4
        loop    5, ldr x2, [x1]
        loop    6, stp x2, x3, [x1]
        loop    7, ldr q0, [x1]
        loop    8, st1 {v0.4s}, [x1]
        loop    9, fmla v0.4s, v1.4s, v2.s[1]
        loop    10, fadd v0.4s, v1.4s, v2.4s
        loop    11, smlal v0.4s, v1.4h, v2.4h
        loop    12, sdot v0.4s, v1.16b, v2.16b
        loop    13, add v0.4s, v1.4s, v2.4s
        loop    14, zip1 v0.4s, v1.4s, v2.4s
        loop    15, fmadd s0, s1, s2, s3
        loop    16, aese v0.16b, v1.16b
        loop    17, dmb ish
        loop    18, mrs x2, fpcr

        mov     x8, #93 /* exit */
        mov     x0, #0
        svc     #0
