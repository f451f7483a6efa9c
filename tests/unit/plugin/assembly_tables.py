"""Instructions of every class as LLVM assembles them: ``class: instruction | instruction`` in each line."""

from __future__ import annotations

_A64 = """
integer: add x0, x1, x2 | subs w3, w4, #17 | cmp x1, #3 | mov x0, #65535 | movk x1, #7, lsl #16 | adr x2, .
integer: adrp x2, 0
integer: and x0, x1, #255 | orr w0, w1, w2, lsl #3 | ubfx x0, x1, #3, #5 | lsl x0, x1, x2 | ror w0, w1, #7
integer: clz x0, x1
integer: rev16 w0, w1 | csel x0, x1, x2, eq | ccmp x0, #0, #4, ne | adc x0, x1, x2 | sxtw x0, w1 | pacia x0, x1
multiply: madd x0, x1, x2, x3 | mul w0, w1, w2 | smull x0, w1, w2 | umsubl x0, w1, w2, x3 | smulh x0, x1, x2
divide: udiv x0, x1, x2 | sdiv w0, w1, w2 | fdiv s0, s1, s2 | fsqrt d0, d1 | fdiv v0.4s, v1.4s, v2.4s
divide: fsqrt v0.2d, v1.2d | fdiv v0.8h, v1.8h, v2.8h | fsqrt v0.4h, v1.4h
branch: b . | bl . | b.ne . | cbz x0, . | tbnz w0, #3, . | br x1 | blr x2 | ret | retaa | blraaz x1
load: ldr x0, [x1] | ldr w0, [x1, x2, lsl #2] | ldrsw x0, [x1], #4 | ldp x0, x1, [sp, #16] | ldnp x0, x1, [x2]
load: ldurb w0, [x1, #-3] | ldtr x0, [x1] | ldraa x0, [x1] | ldr x0, . | prfm pldl1keep, [x0] | ldpsw x0, x1, [x2]
store: str x0, [x1] | strb w0, [x1, #-1]! | stp x0, x1, [sp, #-16]! | stur w0, [x1, #3] | strh w0, [x1, w2, uxtw]
store: stnp x0, x1, [x2] | dc zva, x0
vector_load: ldr q0, [x1] | ldr s0, [x1], #4 | ldp d0, d1, [x2] | ldr d0, . | ld1 {v0.16b, v1.16b}, [x0], #32
vector_load: ld4 {v0.4s, v1.4s, v2.4s, v3.4s}, [x1] | ld1r {v0.4s}, [x0] | ld2 {v0.h, v1.h}[3], [x2]
vector_load: ldur h0, [x1, #-2]
vector_store: str q0, [x1, #16]! | stp s0, s1, [x2] | st1 {v0.8h}, [x0] | st3 {v0.b, v1.b, v2.b}[7], [x1]
vector_store: stnp q0, q1, [x2]
vector_fma: fmla v0.4s, v1.4s, v2.4s | fmla v0.4s, v1.4s, v2.s[1] | fmul v0.2d, v1.2d, v2.2d
vector_fma: fmls v0.8h, v1.8h, v2.8h
vector_fma: fmul v0.8h, v1.8h, v2.h[7] | fmulx v0.2s, v1.2s, v2.s[0] | fmlal v0.4s, v1.4h, v2.4h
vector_fma: fmlsl2 v0.4s, v1.4h, v2.h[1]
vector_fma: fcmla v0.4s, v1.4s, v2.4s, #90 | fcmla v0.8h, v1.8h, v2.h[0], #0 | bfmlalb v0.4s, v1.8h, v2.8h
vector_fma: bfmlalt v0.4s, v1.8h, v2.h[3]
vector_float: fadd v0.4s, v1.4s, v2.4s | fmaxnm v0.2d, v1.2d, v2.2d | fabd v0.4s, v1.4s, v2.4s
vector_float: fcmgt v0.4s, v1.4s, #0.0
vector_float: facge v0.2s, v1.2s, v2.2s | frecpe v0.4s, v1.4s | frsqrts v0.4s, v1.4s, v2.4s | frintn v0.4s, v1.4s
vector_float: fmin v0.8h, v1.8h, v2.8h | fabs v0.8h, v1.8h | fmaxnmv s0, v1.4s | fcadd v0.4s, v1.4s, v2.4s, #90
vector_float: faddp v0.4s, v1.4s, v2.4s | urecpe v0.4s, v1.4s | frint32z v0.4s, v1.4s | fneg v0.2d, v1.2d
vector_integer_multiply: mla v0.4s, v1.4s, v2.4s | mul v0.8h, v1.8h, v2.h[2] | smlal v0.4s, v1.4h, v2.4h
vector_integer_multiply: umull2 v0.8h, v1.16b, v2.16b | sqdmulh v0.4s, v1.4s, v2.s[3] | sqrdmlah v0.4s, v1.4s, v2.4s
vector_integer_multiply: pmul v0.16b, v1.16b, v2.16b | pmull v0.8h, v1.8b, v2.8b | sqdmlal s0, h1, h2
vector_integer_multiply: smlsl v0.2d, v1.2s, v2.s[1]
dot_product: sdot v0.4s, v1.16b, v2.16b | udot v0.2s, v1.8b, v2.4b[1] | usdot v0.4s, v1.16b, v2.16b
dot_product: sudot v0.4s, v1.16b, v2.4b[0] | smmla v0.4s, v1.16b, v2.16b | ummla v0.4s, v1.16b, v2.16b
dot_product: usmmla v0.4s, v1.16b, v2.16b | bfdot v0.4s, v1.8h, v2.2h[1] | bfdot v0.2s, v1.4h, v2.4h
dot_product: bfmmla v0.4s, v1.8h, v2.8h
vector_integer: add v0.4s, v1.4s, v2.4s | and v0.16b, v1.16b, v2.16b | sshr v0.4s, v1.4s, #3 | shrn v0.8b, v1.8h, #4
vector_integer: sqrshrn2 v0.8h, v1.4s, #5 | cmeq v0.16b, v1.16b, #0 | addv s0, v1.4s | saddlv h0, v1.8b
vector_integer: movi v0.4s, #1
vector_integer: mvni v0.8h, #2, lsl #8 | fmov v0.4s, #1.0 | bic v0.4s, #255 | uaddw v0.8h, v1.8h, v2.8b
vector_integer: addhn v0.8b, v1.8h, v2.8h
vector_integer: saddlp v0.4h, v1.8b | cnt v0.8b, v1.8b | add d0, d1, d2 | sqadd s0, s1, s2 | addp d0, v1.2d
vector_integer: smaxp v0.4s, v1.4s, v2.4s
permute: tbl v0.16b, {v1.16b, v2.16b}, v3.16b | zip1 v0.4s, v1.4s, v2.4s | ext v0.16b, v1.16b, v2.16b, #4
permute: rev64 v0.4s, v1.4s
permute: dup v0.4s, w1 | dup v0.4s, v1.s[2] | ins v0.s[1], v1.s[2] | umov w0, v1.b[3] | smov x0, v1.h[1]
permute: mov s0, v1.s[1]
permute: xtn v0.8b, v1.8h | sqxtun2 v0.16b, v1.8h | sshll v0.8h, v1.8b, #0 | shll v0.8h, v1.8b, #8
permute: fcvtl v0.4s, v1.4h
permute: fcvtzs v0.4s, v1.4s | scvtf v0.4s, v1.4s | scvtf v0.8h, v1.8h, #3 | ucvtf s0, w1 | fcvtas x0, d1
permute: scvtf d0, d1
permute: fcvt s0, h1 | bfcvt h0, s1 | bfcvtn v0.4h, v1.4s | fmov w0, s1 | fmov d0, x1 | fjcvtzs w0, d1
permute: fcvtzu w0, s1, #4
float: fadd s0, s1, s2 | fmadd d0, d1, d2, d3 | fcmp s0, #0.0 | fccmp s0, s1, #0, eq | fcsel d0, d1, d2, ne
float: fmov s0, #1.0
float: fmov d0, d1 | frintz s0, s1 | fabs h0, h1 | fabd s0, s1, s2 | fmul s0, s1, v2.s[3] | faddp s0, v1.2s
float: fcmeq d0, d1, #0.0
crypto: aese v0.16b, v1.16b | aesmc v0.16b, v1.16b | sha256h q0, q1, v2.4s | sha1h s0, s1 | pmull v0.1q, v1.1d, v2.1d
crypto: crc32b w0, w1, w2 | crc32cx w0, w1, x2 | sha512h q0, q1, v2.2d | eor3 v0.16b, v1.16b, v2.16b, v3.16b
atomic: ldxr x0, [x1] | stlxrb w0, w1, [x2] | ldaxp x0, x1, [x2] | ldar w0, [x1] | stlr x0, [x1] | cas x0, x1, [x2]
atomic: caspal x0, x1, x2, x3, [x4] | ldadd w0, w1, [x2] | swpal x0, x1, [x2] | ldaprb w0, [x1] | ldapur x0, [x1, #8]
atomic: dmb ish | dsb sy | isb | clrex | sb
system: svc #0 | brk #1 | mrs x0, tpidr_el0 | msr fpcr, x0 | nop | bti c | paciasp | csdb | sev | eret | ic ivau, x0
wait: yield | wfe | wfi
unknown: .inst 0x04200000 | .inst 0x85800000 | .inst 0xc0000000 | udf #0
"""

_NEON = """
vector_load: vldr d0, [r0] | vldmia r0!, {d0-d3} | vpop {s0} | vld1.8 {d0, d1}, [r0]!
vector_load: vld4.16 {d0[1], d1[1], d2[1], d3[1]}, [r1]
vector_store: vstr s0, [r0, #4] | vstmia r0, {d0-d7} | vpush {d8} | vst1.32 {d0}, [r0] | vst2.8 {d0, d2}, [r1], r2
vector_fma: vfma.f32 q0, q1, q2 | vmla.f32 d0, d1, d2[1] | vmul.f32 q0, q1, q2 | vmul.f32 q0, q1, d2[0]
vector_fma: vfms.f16 q0, q1, q2
vector_fma: vfmal.f16 q0, d1, d2 | vcmla.f32 q0, q1, q2, #90 | vcmla.f16 d0, d1, d2[0], #0 | vfmab.bf16 q0, q1, q2
vector_float: vadd.f32 q0, q1, q2 | vabd.f32 d0, d1, d2 | vcgt.f32 q0, q1, #0 | vceq.f32 q0, q1, q2
vector_float: vmax.f32 q0, q1, q2
vector_float: vrecpe.f32 q0, q1 | vrsqrts.f32 d0, d1, d2 | vneg.f32 q0, q1 | vrintn.f32 q0, q1 | vpadd.f32 d0, d1, d2
vector_float: vcadd.f32 q0, q1, q2, #90 | vmaxnm.f32 q0, q1, q2 | vacge.f32 q0, q1, q2
vector_integer_multiply: vmla.i32 q0, q1, q2 | vmul.i16 q0, q1, d2[1] | vmlal.s16 q0, d1, d2 | vmull.u8 q0, d1, d2
vector_integer_multiply: vqdmulh.s32 q0, q1, q2 | vqrdmlah.s16 d0, d1, d2 | vmull.p8 q0, d1, d2
vector_integer_multiply: vmlal.s16 q0, d1, d2[3]
vector_integer_multiply: vmul.p8 q0, q1, q2 | vqdmull.s32 q0, d1, d2 | vqrdmulh.s32 q0, q1, d2[0]
dot_product: vsdot.s8 q0, q1, q2 | vudot.u8 d0, d1, d2[1] | vusdot.s8 q0, q1, q2 | vsudot.u8 q0, q1, d2[0]
dot_product: vsmmla.s8 q0, q1, q2 | vdot.bf16 q0, q1, q2 | vmmla.bf16 q0, q1, q2
vector_integer: vadd.i32 q0, q1, q2 | vand q0, q1, q2 | vshr.s32 q0, q1, #3 | vshrn.i32 d0, q1, #4 | vmov.i32 q0, #1
vector_integer: vceq.i8 q0, q1, #0 | vpadal.s8 q0, q1 | vcnt.8 q0, q1 | vmvn q0, q1 | vabal.u8 q0, d1, d2
vector_integer: vmov q0, q1
vector_integer: vqrshrun.s16 d0, q1, #2 | vpmax.u8 d0, d1, d2 | vbsl q0, q1, q2 | vaddl.s8 q0, d1, d2
permute: vext.8 q0, q1, q2, #4 | vtbl.8 d0, {d1, d2}, d3 | vdup.32 q0, d1[1] | vdup.8 q0, r0 | vrev64.32 q0, q1
permute: vzip.8 q0, q1
permute: vmovn.i32 d0, q1 | vqmovun.s16 d0, q1 | vmovl.u8 q0, d1 | vshll.s8 q0, d1, #3 | vshll.i8 q0, d1, #8
permute: vswp q0, q1
permute: vcvt.s32.f32 q0, q1 | vcvt.f32.u32 q0, q1, #3 | vcvt.f16.f32 d0, q1 | vcvt.f64.f32 d0, s1
permute: vcvt.f32.s32 s0, s1
permute: vmov r0, s0 | vmov d0, r0, r1 | vmov.u8 r0, d1[2] | vmov.32 d0[1], r0 | vmrs apsr_nzcv, fpscr
permute: vcvtb.f32.f16 s0, s1
permute: vcvta.s32.f32 s0, s1 | vcvtm.s32.f32 q0, q1 | vins.f16 s0, s1
float: vadd.f32 s0, s1, s2 | vmla.f64 d0, d1, d2 | vfnms.f32 s0, s1, s2 | vcmp.f32 s0, #0 | vmov.f32 s0, #1.0
float: vabs.f64 d0, d1
float: vseleq.f32 s0, s1, s2 | vmaxnm.f32 s0, s1, s2 | vrinta.f64 d0, d1 | vmov.f32 s0, s1 | vnmul.f16 s0, s1, s2
divide: vdiv.f32 s0, s1, s2 | vsqrt.f64 d0, d1
crypto: aese.8 q0, q1 | aesimc.8 q0, q1 | sha1h.32 q0, q1 | sha256h.32 q0, q1, q2 | sha256su0.32 q0, q1
crypto: vmull.p64 q0, d1, d2
crypto: crc32b r0, r1, r2 | crc32cw r0, r1, r2
system: vmrs r0, fpscr | vmsr fpscr, r0 | mrc p15, 0, r0, c13, c0, 3
"""

_CORE = """
integer: adds r0, r1, r2 | subs r3, #1 | cmp r0, #3 | movs r0, #1 | movw r0, #65535 | movt r0, #1 | clz r0, r1
integer: rev r0, r1
integer: eor r0, r1, r2, lsl #3 | ubfx r0, r1, #3, #5 | bfi r0, r1, #3, #5 | sxtb16 r0, r1 | pkhbt r0, r1, r2
integer: sadd16 r0, r1, r2
integer: ssat r0, #8, r1 | usat16 r0, #7, r1 | qadd r0, r1, r2 | sel r0, r1, r2 | adr r0, . | uxtab r0, r1, r2
integer: mov r8, r9
multiply: mul r0, r1, r2 | mla r0, r1, r2, r3 | umull r0, r1, r2, r3 | smlad r0, r1, r2, r3 | smuad r0, r1, r2
multiply: smlald r0, r1, r2, r3 | smlabb r0, r1, r2, r3 | smmul r0, r1, r2 | umaal r0, r1, r2, r3 | smulwb r0, r1, r2
multiply: usad8 r0, r1, r2 | smlaltt r0, r1, r2, r3
divide: sdiv r0, r1, r2 | udiv r0, r1, r2
branch: b . | bl . | bne . | bx lr | blx r3 | mov pc, lr | pop {r4, pc} | ldr pc, [r0] | ldmdb r0, {r1, pc}
branch: ldr pc, [sp], #4
load: ldr r0, [r1] | ldrb r0, [r1, r2] | ldrsh r0, [r1, #2] | ldrd r0, r1, [r2] | ldm r0, {r1, r2} | pop {r4, r5}
load: ldr r0, [r1, r2, lsl #2] | ldr r0, [r1], #4 | ldrsb r0, [r1] | pld [r0] | ldrh r0, [r1, r2] | ldr r0, [pc, #4]
store: str r0, [r1] | strb r0, [r1, r2] | strh r0, [r1, #2]! | strd r0, r1, [r2] | stm r0!, {r1, r2} | push {r4, lr}
store: str r0, [r1, r2, lsl #2] | stmdb r0!, {r1, r8} | str r0, [sp, #8]
atomic: ldrex r0, [r1] | strexb r0, r1, [r2] | ldrexd r0, r1, [r2] | lda r0, [r1] | stlex r0, r1, [r2] | clrex
atomic: dmb ish | dsb sy | isb
system: svc #0 | bkpt #1 | nop | mrs r0, apsr | msr apsr_nzcvq, r0 | sev | udf #0
wait: yield | wfe | wfi
"""

_ONLY_A32 = """
integer: rsc r0, r1, r2 | addne r0, r0, #1
branch: add pc, pc, r0, lsl #2 | blx . | ldrls pc, [pc, r0, lsl #2] | bxne lr
load: ldmib r0, {r1, r2} | ldrht r0, [r1], #2
store: stmda r0, {r1, r2}
system: svc #0x900001 | setend be
atomic: .inst 0xe1010092 | mcr p15, 0, r0, c7, c10, 5
"""

_ONLY_T32 = """
integer: addw r0, r1, #3 | it eq | moveq r0, r1 | ite ne | movne r0, r1 | moveq r0, r2 | lsls r0, r1, #3
integer: add r0, sp, #8 | add sp, #16 | mvns r0, r1 | orn r0, r1, r2
branch: .inst.n 0xb100 | .inst.n 0xb909 | tbb [pc, r0] | tbh [pc, r0, lsl #1] | b.w . | bne.w . | add pc, r0
branch: pop.w {r8, pc}
branch: blx . | ldr.w pc, [r0, r1]
load: ldr.w r0, [r1, #4] | pop.w {r8, r9} | ldrsb r0, [r1, r2] | ldmia r0!, {r1, r2} | pld [r0, #-4]
store: strb r0, [r1, #3] | push.w {r8, lr} | strh r0, [r1, r2] | stmia.w r0, {r1, r8}
wait: yield.w | wfe.w | wfi.w
system: nop.w | cpsie i
"""

_M55 = """
vector_load: vldrw.u32 q0, [r0], #16 | vldrb.s16 q0, [r0] | vldrh.u16 q0, [r0, q1, uxtw #1] | vld20.8 {q0, q1}, [r0]
vector_load: vldrw.u32 q0, [q1, #4] | vldr s0, [r0] | vld43.32 {q0, q1, q2, q3}, [r0]!
vector_store: vstrw.32 q0, [r0] | vstrb.8 q0, [r0], #16 | vst41.16 {q0, q1, q2, q3}, [r0] | vstrb.32 q0, [r0, q1]
vector_integer_multiply: vmladava.s8 r0, q0, q1 | vmlaldav.s16 r0, r1, q0, q1 | vrmlaldavha.s32 r0, r1, q0, q1
vector_integer_multiply: vmla.s32 q0, q1, r0 | vmul.i16 q0, q1, q2 | vmul.i32 q0, q1, r0 | vqrdmulh.s32 q0, q1, q2
vector_integer_multiply: vmullb.s8 q0, q1, q2 | vmulh.u8 q0, q1, q2 | vqdmladh.s16 q0, q1, q2
vector_integer_multiply: vqdmullb.s16 q0, q1, q2
vector_fma: vfma.f32 q0, q1, q2 | vfma.f16 q0, q1, r0 | vmul.f32 q0, q1, r0 | vcmul.f32 q0, q1, q2, #90
vector_fma: vfmas.f32 q0, q1, r0
vector_float: vadd.f32 q0, q1, q2 | vadd.f32 q0, q1, r0 | vcmp.f32 gt, q0, q1 | vpt.f16 le, q0, r0
vector_float: vaddt.f16 q0, q1, q2 | vmaxnma.f32 q0, q1
vector_float: vmaxnmv.f32 r0, q0 | vcmp.f32 eq, q0, r0
vector_integer: vadd.i32 q0, q1, q2 | vadd.i8 q0, q1, r0 | vidup.u32 q0, r0, #1 | vdwdup.u8 q0, r0, r1, #8
vector_integer: vctp.32 r0
vector_integer: vcmp.i32 eq, q0, q1 | vpst | vaddt.i32 q0, q1, q2 | vpsel q0, q1, q2 | vaddva.s32 r0, q0
vector_integer: vabav.u8 r0, q0, q1 | vmaxv.s8 r0, q0
vector_integer: vshl.s32 q0, r0 | vbrsr.16 q0, q1, r0 | vqshrnb.s16 q0, q1, #3 | vshlc q0, r0, #5
vector_integer: vadc.i32 q0, q1, q2
permute: vdup.32 q0, r0 | vmov q0[2], q0[0], r0, r1 | vmovlb.s8 q0, q1 | vmovnt.i16 q0, q1 | vcvtt.f32.f16 q0, q1
permute: vrev32.8 q0, q1 | vcvt.s32.f32 q0, q1 | vmov.8 q0[3], r0 | vshllt.u8 q0, q1, #2 | vqmovunb.s16 q0, q1
branch: dls lr, r0 | wls lr, r0, end | le lr, begin | dlstp.8 lr, r0 | letp lr, begin | bxns lr | b .
integer: csel r0, r1, r2, eq | asrl r0, r1, #3 | clrm {r0, r1} | sqrshr r0, r1
system: sg | tt r0, r1 | cpsid i | mrs r0, primask
"""

_ARM = "generic+v8_6a+neon+fp_armv8+fullfp16+fp16fml+dotprod+i8mm+bf16+crypto+aes+sha2+crc+hwdiv+hwdiv_arm"
_ARMHF = ("-target", "arm-linux-gnueabihf", f"-mcpu={_ARM}")
TABLES = {
    "a64": (
        _A64,
        ".arch armv8.6-a+fp16+fp16fml+dotprod+i8mm+bf16+crypto+sha3+crc+rcpc",
        ("-target", "aarch64-linux-gnu"),
    ),
    "a32": (_CORE + _NEON + _ONLY_A32, ".arm", _ARMHF),
    "t32": (_CORE + _NEON + _ONLY_T32, ".thumb", _ARMHF),
    "m55": (_M55, ".thumb\n.cpu cortex-m55", ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m55")),
}
