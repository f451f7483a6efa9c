/* A program for a bare Cortex-M core whose end is known beforehand; FATE says which.
 *
 * It prints and ends by semihosting (Arm's "Semihosting for AArch32 and AArch64"). Between `bench_begin` and `bench_end`
 * lies a loop that is counted by hand: `spin` runs TURNS times 3 instructions (subs, nop, bne), and round it come
 * bl bench_begin's bx lr, the load of TURNS and the two bl and the bx of spin: see hand_counts in __init__.py. */
#include <stdint.h>

#define TURNS 100000
#define STRINGIFY(x) #x
#define TEXT(x) STRINGIFY(x)

extern uint32_t __StackTop, __bss_start__, __bss_end__, __data_start__, __data_end__, __etext;

uint8_t tensor_arena[ARENA_BYTES] __attribute__((aligned(16)));
volatile uint32_t initialised = 0x12345678;
volatile uint32_t zero;

static uint32_t semihosting(uint32_t call, const void *argument)
{
    register uint32_t r0 __asm__("r0") = call;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void print(const char *text) { semihosting(0x04, text); }

static void end(uint32_t status)
{
    const uint32_t block[2] = {0x20026, status};
    semihosting(0x20, block);
    for (;;) {
    }
}

__attribute__((naked, noinline)) void bench_begin(void) { __asm__ volatile("bx lr"); }
__attribute__((naked, noinline)) void bench_end(void) { __asm__ volatile("bx lr"); }

/* From the first instruction of bench_begin to that of bench_end: bx, ldr, 3 * TURNS, bl = 3 * TURNS + 3. */
__attribute__((naked, noinline)) void measured(void)
{
    __asm__ volatile("push {r4, lr}\n"
                     "bl bench_begin\n"
                     "ldr r4, =" TEXT(TURNS) "\n"
                     "1: subs r4, r4, #1\n"
                     "nop\n"
                     "bne 1b\n"
                     "bl bench_end\n"
                     "pop {r4, pc}\n"
                     ".ltorg\n");
}

__attribute__((noinline)) uint32_t recurse(uint32_t depth)
{
    volatile uint32_t frame[16];
    frame[depth & 15] = depth;
    return recurse(depth + 1) + frame[(depth + 1) & 15];
}

__attribute__((noinline)) void write_beyond(void) { *(volatile uint32_t *)(BEYOND) = 1; }
__attribute__((noinline)) uint32_t divide(uint32_t a, uint32_t b) { return a / b; }
__attribute__((noinline)) void hang(void)
{
    for (;;) {
        __asm__ volatile("nop");
    }
}

int main(void)
{
    print("hello from cortex-m\n");
    measured();
#if defined(FATE_OVERFLOW)
    end(recurse(1));
#elif defined(FATE_BEYOND)
    write_beyond();
#elif defined(FATE_DIVIDE)
    *(volatile uint32_t *)0xE000ED14 |= 1u << 4; /* CCR.DIV_0_TRP */
    end(divide(7, zero));
#elif defined(FATE_HANG)
    hang();
#elif defined(FATE_RUN_AWAY)
    ((void (*)(void))0x70000001)();
#elif defined(FATE_UNDEFINED)
    __asm__ volatile("udf #0");
#elif defined(FATE_FPU)
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: from here on the core saves FPU registers, too */
    __asm__ volatile("dsb\nisb\nvmov.f32 s0, #1.0\nudf #0");
#elif defined(FATE_VECTOR)
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: the vector unit is switched on with the FPU */
    __asm__ volatile("dsb\nisb\n");
    {
        uint32_t sum;
        __asm__ volatile("vdup.32 q0, %1\nvaddv.u32 %0, q0" : "=Te"(sum) : "r"(11));
        end(sum == 44 ? 0 : 5);
    }
#elif defined(FATE_FLOOD)
    for (;;) {
        *(volatile uint32_t *)0x40011004 = 'x'; /* USART1 of the STM32F4 */
    }
#elif defined(FATE_LOCKUP)
    *(volatile uint32_t *)0xE000ED08 = 0x70000000; /* VTOR: where nothing is */
    __asm__ volatile("udf #0");
#elif defined(FATE_FILE)
    {
        const struct {
            const char *name;
            uint32_t mode, length;
        } open = {"/etc/passwd", 0, 11};
        end(semihosting(0x01, &open) == 0xFFFFFFFF ? 0 : 9);
    }
#elif defined(FATE_FEATURES)
    {
        /* What newlib asks before it ends with a status: the magic of the file, then its one byte of features. */
        char read[5] = "";
        const struct {
            const char *name;
            uint32_t mode, length;
        } open = {":semihosting-features", 0, 21};
        const uint32_t handle = semihosting(0x01, &open);
        const struct {
            uint32_t handle;
            char *to;
            uint32_t size;
        } magic = {handle, read, 4}, features = {handle, read + 4, 1}, seek = {handle, (char *)4, 0};
        if (semihosting(0x0C, &handle) != 5 || semihosting(0x06, &magic) != 0 || semihosting(0x0A, &seek) != 0 ||
            semihosting(0x06, &features) != 0 || semihosting(0x06, &features) != 1) {
            end(9);
        }
        end(read[0] == 'S' && read[1] == 'H' && read[2] == 'F' && read[3] == 'B' && (read[4] & 1) ? -2 : 8);
    }
#elif defined(FATE_RESET)
    *(volatile uint32_t *)0xE000ED0C = 0x05FA0004; /* AIRCR.SYSRESETREQ */
    hang();
#elif defined(FATE_BREAKPOINT)
    __asm__ volatile("bkpt 0");
#elif defined(FATE_CALL)
    __asm__ volatile("svc 0");
#elif defined(FATE_UNALIGNED)
    {
        uint32_t word; /* in assembly: the compiler would read it byte by byte */
        __asm__ volatile("ldr %0, [%1]" : "=l"(word) : "l"(tensor_arena + 1));
        end(word ? 5 : 0);
    }
#elif defined(FATE_DOUBLE)
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
    __asm__ volatile("dsb\nisb\nvmov.f64 d0, #1.0\nvadd.f64 d0, d0, d0");
#elif defined(FATE_PROCESS_STACK)
    __asm__ volatile("msr psp, %0\nmovs r0, #2\nmsr control, r0\nisb\nudf #0" ::"r"(tensor_arena + 512) : "r0");
#endif
    end(initialised == 0x12345678 ? 0 : 3);
    return 0;
}

void Reset_Handler(void)
{
    for (uint32_t *to = &__data_start__, *from = &__etext; to < &__data_end__;) {
        *to++ = *from++;
    }
    for (uint32_t *to = &__bss_start__; to < &__bss_end__;) {
        *to++ = 0;
    }
    main();
}

void HardFault_Handler(void)
{
    for (;;) {
    }
}

void Default_Handler(void)
{
    for (;;) {
        __asm__ volatile("nop");
    }
}
void SVC_Handler(void) __attribute__((weak, alias("Default_Handler")));

__attribute__((section(".isr_vector"), used)) void *const vectors[16] = {
    &__StackTop,       Reset_Handler,     HardFault_Handler, HardFault_Handler,
    HardFault_Handler, HardFault_Handler, HardFault_Handler, 0, 0, 0, 0,
    SVC_Handler,
};
