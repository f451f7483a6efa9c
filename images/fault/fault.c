/* Says where a program of the guest met an instruction that its core does not have.
 *
 * Preloaded into the guest. The first handler of SIGILL is this library's: it writes the program counter, the
 * instruction's bytes and the memory map to the file that EDGE_FAULT names, then does what the program had asked for,
 * so that nothing runs otherwise than without it. A program may have a handler of its own, to try instructions out
 * (OpenSSL on 32-bit Arm) or to print a trace (Python's faulthandler): then the file holds the last one that was met,
 * and whoever reads it looks only where the program died of SIGILL. Only async-signal-safe functions are called. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define BYTES 8 /* an instruction, and on Arm the next */

static int (*real_sigaction)(int, const struct sigaction *, struct sigaction *);
static char path[PATH_MAX];
static int installed;
static struct sigaction asked; /* what the program wants to happen */

static uintptr_t program_counter(const ucontext_t *context)
{
#if defined __aarch64__
    return (uintptr_t)context->uc_mcontext.pc;
#elif defined __arm__
    return (uintptr_t)context->uc_mcontext.arm_pc;
#else
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#endif
}

static const char *instruction_set(const ucontext_t *context)
{
#if defined __aarch64__
    (void)context;
    return "a64";
#elif defined __arm__
    return context->uc_mcontext.arm_cpsr & 0x20 ? "t32" : "a32";
#else
    (void)context;
    return "x86";
#endif
}

static void put(int file, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(file, text, length);
        if (written <= 0) {
            return;
        }
        text += written;
        length -= (size_t)written;
    }
}

static void put_hex(int file, uintmax_t number, unsigned digits)
{
    char text[2 * sizeof number];
    for (unsigned i = 0; i < digits; i++) {
        text[i] = "0123456789abcdef"[number >> 4 * (digits - 1 - i) & 15];
    }
    put(file, text, digits);
}

/* "a64 PC BYTES", then the map. */
static void record(const ucontext_t *context)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) {
        return;
    }
    uintptr_t counter = program_counter(context);
    const unsigned char *code = (const unsigned char *)counter;
    put(file, instruction_set(context), 3);
    put(file, " ", 1);
    put_hex(file, counter, 2 * sizeof counter);
    put(file, " ", 1);
    /* the page of the instruction is there, for it was fetched; the next need not be */
    unsigned there = (unsigned)(4096 - (counter & 4095));
    for (unsigned i = 0; i < BYTES && i < there; i++) {
        put_hex(file, code[i], 2);
    }
    put(file, "\n", 1);
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (maps >= 0) {
        char text[4096];
        ssize_t length;
        while ((length = read(maps, text, sizeof text)) > 0) {
            put(file, text, (size_t)length);
        }
        close(maps);
    }
    close(file);
}

static void pass_on(int number, siginfo_t *info, void *context)
{
    struct sigaction theirs = asked;
    if (!(theirs.sa_flags & SA_SIGINFO) && (theirs.sa_handler == SIG_DFL || theirs.sa_handler == SIG_IGN)) {
        if (theirs.sa_handler == SIG_IGN && info->si_code <= 0) {
            return;
        }
        struct sigaction plain = {.sa_handler = SIG_DFL};
        real_sigaction(number, &plain, NULL);
        if (info->si_code <= 0) {
            raise(number); /* it was sent, so going back would not meet it again */
        }
        return;
    }
    if (theirs.sa_flags & (int)SA_RESETHAND) {
        asked = (struct sigaction){.sa_handler = SIG_DFL};
    }
    if (theirs.sa_flags & SA_SIGINFO) {
        theirs.sa_sigaction(number, info, context);
    } else {
        theirs.sa_handler(number);
    }
}

static void meet(int number, siginfo_t *info, void *context)
{
    int error = errno;
    if (info->si_code > 0) { /* else a process sent it */
        record(context);
    }
    pass_on(number, info, context);
    errno = error;
}

__attribute__((constructor)) static void prepare(void)
{
    const char *file = getenv("EDGE_FAULT");
    if (!real_sigaction) {
        real_sigaction = (__typeof__(real_sigaction))dlsym(RTLD_NEXT, "sigaction");
    }
    if (installed || !file || strlen(file) >= sizeof path) {
        return;
    }
    strcpy(path, file);
    struct sigaction ours = {.sa_sigaction = meet, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    installed = real_sigaction(SIGILL, &ours, &asked) == 0;
}

EXPORT int sigaction(int number, const struct sigaction *restrict action, struct sigaction *restrict old)
{
    prepare();
    if (number != SIGILL || !installed) {
        return real_sigaction(number, action, old);
    }
    struct sigaction before = asked;
    if (action) {
        asked = *action;
    }
    if (old) {
        *old = before;
    }
    return 0;
}

EXPORT sighandler_t signal(int number, sighandler_t handler)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;
    return sigaction(number, &action, &before) == 0 ? before.sa_handler : SIG_ERR;
}
