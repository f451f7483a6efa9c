/* From reset to main, and what a fault ends in. The linker script (sandbox/microcontroller/toolchain.py) has the names. */
#include <stdint.h>

extern uint32_t runner_stack_top, runner_data_start, runner_data_end, runner_data_stored, runner_bss_start,
    runner_bss_end;
extern void (*const runner_constructors_start[])(void), (*const runner_constructors_end[])(void);

int main(void);

/* The emulator stops here: the run is over, and the report says how. */
__attribute__((noinline, used)) void runner_done(void)
{
    for (;;) {
        __asm__ volatile("nop");
    }
}

void Reset_Handler(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: the FPU is off after reset */
    __asm__ volatile("dsb\n isb");
#endif
    const uint32_t *from = &runner_data_stored;
    for (uint32_t *to = &runner_data_start; to < &runner_data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = &runner_bss_start; to < &runner_bss_end;) {
        *to++ = 0;
    }
    for (void (*const *each)(void) = runner_constructors_start; each < runner_constructors_end; each++) {
        (*each)();
    }
    main();
    runner_done();
}

/* The emulator stops at the first instruction, with the stacked frame untouched. */
__attribute__((naked, used)) void Fault_Handler(void) { __asm__ volatile("b ."); }

__attribute__((section(".vectors"), used)) const void *const runner_vectors[16] = {
    &runner_stack_top, (const void *)Reset_Handler, (const void *)Fault_Handler, (const void *)Fault_Handler,
    (const void *)Fault_Handler, (const void *)Fault_Handler, (const void *)Fault_Handler,
};
