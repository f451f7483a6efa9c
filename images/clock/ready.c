/* poll, select and epoll with a time-out on the device's clock, and timers that are read as files. See wait.c for the
 * rule. Each asks the kernel first without waiting: what is ready costs no time then, and it is known who waited. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/timerfd.h>

#include "wait.h"

#define FUNCTIONS(X) \
    X(ppoll) X(select) X(pselect) X(epoll_wait) X(epoll_pwait) X(epoll_pwait2) X(timerfd_create) \
    X(timerfd_settime)
FUNCTIONS(DECLARE_REAL)

void ready_resolve(void)
{
    FUNCTIONS(RESOLVE_REAL)
}

/* What is asked of the kernel, perhaps repeatedly. */
struct query {
    int (*ask)(const struct query *query, const struct timespec *time); /* null: until something is ready */
    const sigset_t *mask;
    unsigned long count;
    union {
        struct pollfd *files;
        struct {
            fd_set *set[3], wanted[3]; /* a time-out clears the sets */
        };
        struct {
            int epoll;
            struct epoll_event *events;
        };
    };
};

/* `*left` is the time-out, negative if there is none, and becomes what is left of it. */
static int wait_ready(const struct counts_thread *own, const struct query *query, int64_t *left)
{
    int result = query->ask(query, &(struct timespec){0});
    if (result > 0) {
        wait_for_any_thread(own);
    }
    if (result != 0 || *left == 0) {
        return result;
    }
    struct wait wait = wait_for(own, *left);
    do {
        struct timespec time = wait_remaining(&wait);
        result = query->ask(query, *left < 0 ? NULL : &time);
        if (result != 0) {
            wait_ended(&wait);
            break;
        }
    } while (!wait_over(&wait));
    *left = wait_left(&wait);
    return result;
}

static int usable(const struct timespec *time)
{
    return !time || (valid(time) && time->tv_sec >= 0);
}

static int ask_poll(const struct query *query, const struct timespec *time)
{
    return real_ppoll(query->files, query->count, time, query->mask);
}

EXPORT int ppoll(struct pollfd *files, nfds_t count, const struct timespec *time, const sigset_t *mask)
{
    const struct counts_thread *own = clock_thread();
    if (!own || !usable(time)) {
        return real_ppoll(files, count, time, mask);
    }
    int64_t left = time ? to_ns(time) : -1;
    return wait_ready(own, &(struct query){.ask = ask_poll, .mask = mask, .count = count, .files = files}, &left);
}

EXPORT int poll(struct pollfd *files, nfds_t count, int ms)
{
    struct timespec time = to_timespec((int64_t)ms * 1000000);
    return ppoll(files, count, ms < 0 ? NULL : &time, NULL);
}

static int ask_select(const struct query *query, const struct timespec *time)
{
    for (int i = 0; i < 3; i++) {
        if (query->set[i]) {
            *query->set[i] = query->wanted[i];
        }
    }
    return real_pselect((int)query->count, query->set[0], query->set[1], query->set[2], time, query->mask);
}

static int select_left(const struct counts_thread *own, int count, fd_set *sets[3], const sigset_t *mask, int64_t *left)
{
    struct query query = {.ask = ask_select, .mask = mask, .count = (unsigned long)count};
    for (int i = 0; i < 3; i++) {
        query.set[i] = sets[i];
        if (sets[i]) {
            query.wanted[i] = *sets[i];
        }
    }
    return wait_ready(own, &query, left);
}

/* Programs may allocate larger sets than the type has room for; those wait by the host's clock. */
EXPORT int pselect(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict other,
                   const struct timespec *restrict time, const sigset_t *restrict mask)
{
    const struct counts_thread *own = clock_thread();
    if (!own || !usable(time) || count < 0 || count > FD_SETSIZE) {
        return real_pselect(count, readable, writable, other, time, mask);
    }
    int64_t left = time ? to_ns(time) : -1;
    return select_left(own, count, (fd_set *[]){readable, writable, other}, mask, &left);
}

EXPORT int select(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict other,
                  struct timeval *restrict time)
{
    const struct counts_thread *own = clock_thread();
    struct timespec span = {0};
    if (time) {
        /* More than a million microseconds are allowed here. */
        span = (struct timespec){.tv_sec = time->tv_sec + time->tv_usec / 1000000,
                                 .tv_nsec = (long)(time->tv_usec % 1000000 * 1000)};
    }
    if (!own || (time && !usable(&span)) || count < 0 || count > FD_SETSIZE) {
        return real_select(count, readable, writable, other, time);
    }
    int64_t left = time ? to_ns(&span) : -1;
    int result = select_left(own, count, (fd_set *[]){readable, writable, other}, NULL, &left);
    if (time) {
        *time = (struct timeval){.tv_sec = (time_t)(left / NS), .tv_usec = (suseconds_t)(left % NS / 1000)};
    }
    return result;
}

/* Milliseconds, rounded up, are what every kernel understands. */
static int ask_epoll(const struct query *query, const struct timespec *time)
{
    int64_t ms = time ? (to_ns(time) + 999999) / 1000000 : -1;
    return real_epoll_pwait(query->epoll, query->events, (int)query->count, ms < INT32_MAX ? (int)ms : INT32_MAX,
                            query->mask);
}

static int epoll_left(const struct counts_thread *own, int epoll, struct epoll_event *events, int count, int64_t left,
                      const sigset_t *mask)
{
    struct query query = {.ask = ask_epoll, .mask = mask, .count = (unsigned)count, .epoll = epoll, .events = events};
    return wait_ready(own, &query, &left);
}

EXPORT int epoll_pwait(int epoll, struct epoll_event *events, int count, int ms, const sigset_t *mask)
{
    const struct counts_thread *own = clock_thread();
    if (!own) {
        return real_epoll_pwait(epoll, events, count, ms, mask);
    }
    return epoll_left(own, epoll, events, count, ms < 0 ? -1 : (int64_t)ms * 1000000, mask);
}

EXPORT int epoll_wait(int epoll, struct epoll_event *events, int count, int ms)
{
    return epoll_pwait(epoll, events, count, ms, NULL);
}

EXPORT int epoll_pwait2(int epoll, struct epoll_event *events, int count, const struct timespec *time,
                        const sigset_t *mask)
{
    const struct counts_thread *own = clock_thread();
    if (own && usable(time)) {
        return epoll_left(own, epoll, events, count, time ? to_ns(time) : -1, mask);
    }
    if (!real_epoll_pwait2) {
        errno = ENOSYS;
        return -1;
    }
    return real_epoll_pwait2(epoll, events, count, time, mask);
}

/* Which timers go by the date, by file descriptor; of those beyond, the kernel's answer is taken for right. */
static unsigned char by_date[1024];

EXPORT int timerfd_create(clockid_t id, int flags)
{
    clock_thread();
    int file = real_timerfd_create(id, flags);
    if (file >= 0 && file < (int)sizeof by_date) {
        by_date[file] = clock_kind(id) == CLOCK_DATE;
    }
    return file;
}

/* The kernel's timer runs on the host's clock, for as long as it is until then on the device's. */
EXPORT int timerfd_settime(int file, int flags, const struct itimerspec *time, struct itimerspec *old)
{
    const struct counts_thread *own = clock_thread();
    int set = time && valid(&time->it_value) && to_ns(&time->it_value) > 0;
    if (!own || !set || !(flags & TFD_TIMER_ABSTIME) || file < 0 || file >= (int)sizeof by_date) {
        return real_timerfd_settime(file, flags, time, old);
    }
    struct wait wait = wait_until(own, by_date[file] ? CLOCK_DATE : CLOCK_ELAPSED, to_ns(&time->it_value));
    struct itimerspec span = {.it_interval = time->it_interval, .it_value = wait_remaining(&wait)};
    if (to_ns(&span.it_value) == 0) {
        span.it_value.tv_nsec = 1; /* 0 would stop the timer */
    }
    return real_timerfd_settime(file, flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET), &span, old);
}
