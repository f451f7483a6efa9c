/* Waits with a deadline, on the device's clock.
 *
 * The kernel can only wait by the host's clock, and the device's is slower. A timed wait ends
 *  (a) when what it waits for happens. For locks the plugin sees the wake-up and moves the thread to when that was.
 *      Otherwise it happened no later than the latest time of any thread; or, when no thread did anything meanwhile, it
 *      came from outside, and the host's time that passed is the best guess;
 *  (b) when the device's clock, the latest time of any thread, has come to the deadline. So first the kernel waits for
 *      the remaining time. If the device's clock is not there by then and another thread works, that is repeated for
 *      what remains. If no other thread works nothing else will move the clock: time has passed as on an idle device.
 * Either way a wait that times out ends exactly at its deadline: sleep(1) takes one second on the device. A time-out is
 * never early for a thread that works. Where the emulator is faster than the device's clock, it can be late for one.
 *
 * Timers that send signals (alarm, setitimer, timer_settime), SO_RCVTIMEO and child processes that still run stay on
 * the host's time. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wait.h"

#define LEAST_AGAIN 1000000               /* ns that the kernel waits at least when it waits again */
#define LONGEST (INT64_C(100000000) * NS) /* 3 years: what can be added to any date without overflow */

static void look(struct wait *wait)
{
    wait->device = clock_latest(clock_counts);
    wait->retired = wait->worked = 0;
    for (uint32_t i = 0; i < clock_counts->threads && i < COUNTS_THREADS; i++) {
        const struct counts_thread *thread = &clock_counts->thread[i];
        if (thread != wait->own) {
            wait->retired += thread->retired;
            wait->worked += thread->retired - thread->waited;
        }
    }
}

static int runs(const char *thread)
{
    char path[64], status[128];
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", thread);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    ssize_t length = read(file, status, sizeof status - 1);
    close(file);
    status[length > 0 ? length : 0] = 0;
    const char *state = strrchr(status, ')'); /* number (name) state …; a name may hold parentheses */
    return state && (state[2] == 'R' || state[2] == 'D');
}

/* Does the kernel have any other thread of this process to run? Without allocating: signal handlers may sleep. */
static int any_other_runs(void)
{
    struct entry {
        uint64_t inode, offset;
        unsigned short length;
        unsigned char type;
        char name[];
    };
    _Alignas(struct entry) char entries[2048];
    int running = 0;
    int self = (int)syscall(SYS_gettid);
    int folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long length;
    while (folder >= 0 && !running && (length = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
        for (long at = 0; at < length && !running; at += ((struct entry *)(entries + at))->length) {
            const char *name = ((struct entry *)(entries + at))->name;
            running = name[0] != '.' && atoi(name) != self && runs(name);
        }
    }
    if (folder >= 0) {
        close(folder);
    }
    return running;
}

static struct wait begin(const struct counts_thread *own)
{
    struct wait wait = {.own = own, .host_began = clock_host_ns(CLOCK_MONOTONIC), .deadline = NEVER};
    look(&wait);
    wait.worked_before = wait.worked;
    return wait;
}

struct wait wait_until(const struct counts_thread *own, enum clock_kind kind, int64_t ns)
{
    struct wait wait = begin(own);
    wait.device = clock_now(own);
    wait.deadline = kind == CLOCK_DATE ? clock_ticks_at_date(ns) : clock_ticks_at(ns);
    return wait;
}

struct wait wait_for(const struct counts_thread *own, int64_t ns)
{
    if (ns < 0) {
        return begin(own);
    }
    int64_t now = clock_ns(clock_now(own));
    return wait_until(own, CLOCK_ELAPSED, ns < INT64_MAX - now ? now + ns : INT64_MAX);
}

static int64_t between(uint64_t from, uint64_t to)
{
    if (to >= INT64_MAX) {
        return LONGEST;
    }
    int64_t ns = from < to ? clock_ns(to) - clock_ns(from) : 0;
    return ns < LONGEST ? ns : LONGEST;
}

static int64_t remaining(const struct wait *wait)
{
    int64_t ns = between(wait->device, wait->deadline);
    if (wait->looks) {
        ns = ns < LEAST_AGAIN ? LEAST_AGAIN : ns;
        ns = wait->longest_again && ns > wait->longest_again ? wait->longest_again : ns;
    }
    return ns;
}

struct timespec wait_remaining(const struct wait *wait)
{
    return to_timespec(remaining(wait));
}

struct timespec wait_host_deadline(const struct wait *wait, clockid_t id)
{
    return to_timespec(clock_host_ns(id) + remaining(wait));
}

/* A thread that runs but only executes idle loops waits too. One that executed nothing may not have had its turn. */
int wait_over(struct wait *wait)
{
    int error = errno;
    struct wait before = *wait;
    look(wait);
    wait->looks++;
    int idles = wait->retired != before.retired && wait->worked == before.worked;
    int over = wait->device >= wait->deadline || clock_counts->threads < 2 || idles || !any_other_runs();
    if (over) {
        clock_advance(wait->own, wait->deadline);
    }
    errno = error;
    return over;
}

void wait_for_any_thread(const struct counts_thread *own)
{
    clock_advance(own, clock_latest(clock_counts));
}

void wait_took_host_time(const struct counts_thread *own, int64_t ns)
{
    if (ns > 0) {
        clock_advance(own, clock_ticks_at(clock_ns(counts_time(own)) + ns));
    }
}

void wait_ended(const struct wait *wait)
{
    int error = errno;
    struct wait now = *wait;
    look(&now);
    int64_t ns = clock_host_ns(CLOCK_MONOTONIC) - wait->host_began;
    if (now.worked != wait->worked_before) {
        clock_advance(wait->own, now.device < wait->deadline ? now.device : wait->deadline);
    } else {
        int64_t left = wait_left(wait);
        wait_took_host_time(wait->own, ns < left ? ns : left);
    }
    errno = error;
}

int64_t wait_left(const struct wait *wait)
{
    return between(counts_time(wait->own), wait->deadline);
}
