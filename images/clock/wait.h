/* wait.c's rule for waits with a deadline, as a loop around a call that waits in the kernel. */
#ifndef WAIT_H
#define WAIT_H

#include "clock.h"

#define NEVER UINT64_MAX

struct wait {
    const struct counts_thread *own;
    uint64_t deadline;        /* in ticks, or NEVER */
    uint64_t device;          /* the latest time of any thread at the last look */
    uint64_t retired, worked; /* what the other threads had executed at the last look, with and without idle loops */
    uint64_t worked_before;   /* the same when the wait began */
    int64_t host_began;
    int64_t longest_again; /* ns that the kernel waits at most when it waits again, or 0 */
    int looks;
};

/* A wait begins; its deadline is `ns` on a clock of the device, which is CLOCK_ELAPSED or CLOCK_DATE. */
struct wait wait_until(const struct counts_thread *own, enum clock_kind kind, int64_t ns);
/* The same with a deadline `ns` from now; negative: none. */
struct wait wait_for(const struct counts_thread *own, int64_t ns);
/* How long the kernel is to wait now, and until when by the host's clock `id`. */
struct timespec wait_remaining(const struct wait *wait);
struct timespec wait_host_deadline(const struct wait *wait, clockid_t id);
/* The kernel's time-out came: is the deadline reached? If so the thread has moved there. If not, wait again. */
int wait_over(struct wait *wait);
/* Something else than the deadline ended the wait, which did block: the thread moves to when that was. */
void wait_ended(const struct wait *wait);
/* What is left of it, in nanoseconds. */
int64_t wait_left(const struct wait *wait);
/* Something outside took that long by the host's clock: the best guess for the device. */
void wait_took_host_time(const struct counts_thread *own, int64_t ns);
/* Something in this process happened, it is not known in which thread. */
void wait_for_any_thread(const struct counts_thread *own);

static inline int64_t to_ns(const struct timespec *time)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)time->tv_sec, NS, &ns) || __builtin_add_overflow(ns, time->tv_nsec, &ns)) {
        return time->tv_sec < 0 ? INT64_MIN / 2 : INT64_MAX / 2;
    }
    return ns / 2 > INT64_MAX / 4 ? INT64_MAX / 2 : ns;
}

static inline struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS), .tv_nsec = (long)(ns % NS)};
}

/* A time that the C library will not refuse. What it refuses is left to it. */
static inline int valid(const struct timespec *time)
{
    return time && time->tv_nsec >= 0 && time->tv_nsec < NS;
}

#endif
