/* A program that is counted by hand: one loop for each class of instructions that a Cortex-M3 has, in T32, without an
 * operating system. It ends by semihosting (Arm's "Semihosting for AArch32 and AArch64", SYS_EXIT).
 *
 * A loop runs 1000 times and holds k instructions of its class; k is the number beside it. Around those:
 *   integer   1 (movw) for a loop, 1 (subs) for each run of it: 8 * 1 + 8 * 1000
 *   branch    1 (bne) for each run: 8 * 1000
 * and outside of the loops 1 integer instruction for the address of 8 bytes, 3 before the exit, and 1 system (bkpt).
 *
 *   integer         1 * 1000 + 8 + 8 * 1000 + 4 = 9012
 *   multiply        2 * 1000                    = 2000
 *   divide          3 * 1000                    = 3000
 *   branch          4 * 1000 + 8 * 1000         = 12000
 *   load            5 * 1000                    = 5000
 *   store           6 * 1000                    = 6000
 *   atomic          7 * 1000                    = 7000
 *   system          8 * 1000 + 1                = 8001
 *   all             k: 36 * 1000, around: 16008 + 5 = 52013
 */
        .syntax unified
        .thumb

        .macro  loop k:req, insn:vararg
        movw    r6, #1000
1:
        .rept   \k
        \insn
        .endr
        subs    r6, r6, #1
        bne     1b
        .endm

        .section .vectors, "a"
        .word   stack
        .word   _start

        .text
        .global _start
        .type   _start, %function
_start:
        sub     r1, sp, #8

        loop    1, add r2, r3, r4
        loop    2, mla r2, r3, r4, r5
        loop    3, udiv r2, r3, r4
        loop    4, b.w . + 4
        loop    5, ldr r2, [r1]
        loop    6, strd r2, r3, [r1]
        loop    7, dmb
        loop    8, mrs r2, primask

        movs    r0, #0x18 /* SYS_EXIT */
        movw    r1, #0x26 /* 0x20026: ADP_Stopped_ApplicationExit */
        movt    r1, #0x2
        bkpt    #0xab

        .bss
        .balign 8
        .skip   1024
stack:
