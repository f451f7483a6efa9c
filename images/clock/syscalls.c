/* System calls made by their numbers: the language libraries of C++ and Rust and others read the clock and wait for
 * futexes that way. Those calls are answered like the functions of the C library; all others go to the kernel. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "time64.h"
#include "wait.h"

#define FUNCTIONS(X) X(syscall)
FUNCTIONS(DECLARE_REAL)

void syscalls_resolve(void)
{
    FUNCTIONS(RESOLVE_REAL)
}

static long wait_futex(const struct counts_thread *own, const long *arguments, const struct timespec *time)
{
    int operation = (int)arguments[1], relative = (operation & FUTEX_CMD_MASK) == FUTEX_WAIT;
    clockid_t id = operation & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    struct wait wait = relative ? wait_for(own, to_ns(time)) : wait_until(own, clock_kind(id), to_ns(time));
    long result;
    do {
        struct timespec host = relative ? wait_remaining(&wait) : wait_host_deadline(&wait, id);
        result = real_syscall(SYS_futex, arguments[0], arguments[1], arguments[2], &host, arguments[4], arguments[5]);
    } while (result < 0 && errno == ETIMEDOUT && !wait_over(&wait));
    if (result < 0 && errno == EINTR) {
        wait_ended(&wait);
    }
    return result;
}

static int is_timed_wait(const long *arguments)
{
    int command = (int)arguments[1] & FUTEX_CMD_MASK;
    return arguments[3] && (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET);
}

EXPORT long syscall(long number, ...)
{
    long arguments[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        arguments[i] = va_arg(list, long);
    }
    va_end(list);
    const struct counts_thread *own = clock_thread();
    struct timespec *time = (void *)arguments[3];
    int error;
    switch (own ? number : -1) {
    case SYS_clock_gettime:
        return clock_gettime((clockid_t)arguments[0], (void *)arguments[1]);
    case SYS_clock_getres:
        return clock_getres((clockid_t)arguments[0], (void *)arguments[1]);
    case SYS_gettimeofday:
        return gettimeofday((void *)arguments[0], (void *)arguments[1]);
    case SYS_nanosleep:
        return nanosleep((void *)arguments[0], (void *)arguments[1]);
    case SYS_clock_nanosleep:
        error = clock_nanosleep((clockid_t)arguments[0], (int)arguments[1], (void *)arguments[2], time);
        errno = error ? error : errno;
        return error ? -1 : 0;
    case SYS_futex:
        if (is_timed_wait(arguments) && valid(time)) {
            return wait_futex(own, arguments, time);
        }
        break;
#ifdef TIME64
    case SYS_clock_gettime64:
        return __clock_gettime64((clockid_t)arguments[0], (void *)arguments[1]);
    case SYS_futex_time64:
        if (is_timed_wait(arguments) && valid(NARROW((void *)arguments[3]))) {
            return wait_futex(own, arguments, NARROW((void *)arguments[3]));
        }
        break;
#endif
    default:
        break;
    }
    return real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}
