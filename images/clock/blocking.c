/* Sleeps and locks with a deadline on the device's clock. See wait.c for the rule. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "wait.h"

#define FUNCTIONS(X) \
    X(clock_nanosleep) X(sem_timedwait) X(pthread_mutex_timedlock) X(pthread_rwlock_timedrdlock) \
    X(pthread_rwlock_timedwrlock) X(pthread_timedjoin_np) X(pthread_join) X(pthread_cond_timedwait) \
    X(pthread_cond_clockwait) X(pthread_cond_signal) X(pthread_cond_broadcast) X(sigtimedwait)
FUNCTIONS(DECLARE_REAL)

/* Before glibc 2.34 most of these are in a library of their own, which must be there to find them. */
__attribute__((used)) static int (*const needs_threads)() = (int (*)())pthread_create;

static void find_clock_word(void);

void blocking_resolve(void)
{
    FUNCTIONS(RESOLVE_REAL)
    find_clock_word();
}

/* A deadline of the host, by the clock that the primitives below go by. */
static struct timespec by_date(clockid_t id, const struct timespec *until)
{
    if (id == CLOCK_REALTIME || !valid(until)) {
        return *until;
    }
    return to_timespec(to_ns(until) - clock_host_ns(id) + clock_host_ns(CLOCK_REALTIME));
}

/* A primitive that waits until a date of the host; `id` is the clock that the caller means. What is not a time goes to
 * the C library as it is, for its own answer. */
#define LOCK(id, until, call) \
    const struct counts_thread *own = clock_thread(); \
    struct timespec host; \
    if (id != CLOCK_REALTIME && id != CLOCK_MONOTONIC) { \
        return EINVAL; \
    } \
    if (!own || !valid(until)) { \
        host = by_date(id, until); \
        return (call); \
    } \
    struct wait wait = wait_until(own, clock_kind(id), to_ns(until)); \
    do { \
        host = wait_host_deadline(&wait, CLOCK_REALTIME); \
        int result = (call); \
        if (result != ETIMEDOUT) { \
            return result; \
        } \
    } while (!wait_over(&wait)); \
    return ETIMEDOUT;

EXPORT int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t id, const struct timespec *until)
{
    LOCK(id, until, real_pthread_mutex_timedlock(mutex, &host))
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until)
{
    return pthread_mutex_clocklock(mutex, CLOCK_REALTIME, until);
}

EXPORT int pthread_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t id, const struct timespec *until)
{
    LOCK(id, until, real_pthread_rwlock_timedrdlock(lock, &host))
}

EXPORT int pthread_rwlock_timedrdlock(pthread_rwlock_t *restrict lock, const struct timespec *restrict until)
{
    return pthread_rwlock_clockrdlock(lock, CLOCK_REALTIME, until);
}

EXPORT int pthread_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t id, const struct timespec *until)
{
    LOCK(id, until, real_pthread_rwlock_timedwrlock(lock, &host))
}

EXPORT int pthread_rwlock_timedwrlock(pthread_rwlock_t *restrict lock, const struct timespec *restrict until)
{
    return pthread_rwlock_clockwrlock(lock, CLOCK_REALTIME, until);
}

static int semaphore_wait(sem_t *semaphore, clockid_t id, const struct timespec *until)
{
    LOCK(id, until, real_sem_timedwait(semaphore, &host) == 0 ? 0 : errno)
}

EXPORT int sem_clockwait(sem_t *semaphore, clockid_t id, const struct timespec *until)
{
    int error = semaphore_wait(semaphore, id, until);
    errno = error ? error : errno;
    return error ? -1 : 0;
}

EXPORT int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
    return sem_clockwait(semaphore, CLOCK_REALTIME, until);
}

/* The thread that is waited for may have ended before the wait began, so there need not have been a wake-up. */
static int joined(int result)
{
    const struct counts_thread *own = clock_thread();
    if (own && result == 0) {
        clock_advance(own, clock_counts->latest_exit);
    }
    return result;
}

EXPORT int pthread_join(pthread_t thread, void **value)
{
    clock_thread();
    return joined(real_pthread_join(thread, value));
}

static int timed_join(pthread_t thread, void **value, clockid_t id, const struct timespec *until)
{
    LOCK(id, until, real_pthread_timedjoin_np(thread, value, &host))
}

EXPORT int pthread_clockjoin_np(pthread_t thread, void **value, clockid_t id, const struct timespec *until)
{
    return joined(until ? timed_join(thread, value, id, until) : pthread_join(thread, value));
}

EXPORT int pthread_timedjoin_np(pthread_t thread, void **value, const struct timespec *until)
{
    return pthread_clockjoin_np(thread, value, CLOCK_REALTIME, until);
}

/* Condition variables. A signal that is sent between the host's time-out and the next wait finds nobody waiting. So
 * signals are counted, by address: when there was one, the wait ends as if woken, which the caller must expect anyway.
 * One sent after that look is found when the next wait ends, so that one is short. */
#define AGAIN_AT_MOST (100 * 1000000)

static uint32_t signals[256];

static uint32_t *signals_to(const void *condition)
{
    return &signals[((uintptr_t)condition >> 3) % 256];
}

EXPORT int pthread_cond_signal(pthread_cond_t *condition)
{
    clock_thread();
    __atomic_fetch_add(signals_to(condition), 1, __ATOMIC_RELAXED);
    return real_pthread_cond_signal(condition);
}

EXPORT int pthread_cond_broadcast(pthread_cond_t *condition)
{
    clock_thread();
    __atomic_fetch_add(signals_to(condition), 1, __ATOMIC_RELAXED);
    return real_pthread_cond_broadcast(condition);
}

/* The clock of a condition variable is fixed when it is made. Where it is kept differs between releases of glibc, so
 * one of each kind shows it. */
static size_t clock_word;
static uint32_t clock_bits;

static void find_clock_word(void)
{
    pthread_condattr_t attributes;
    pthread_cond_t by_date, monotonic;
    uint32_t words[2][sizeof by_date / sizeof(uint32_t)];
    pthread_condattr_init(&attributes);
    pthread_cond_init(&by_date, &attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&monotonic, &attributes);
    memcpy(words[0], &by_date, sizeof words[0]);
    memcpy(words[1], &monotonic, sizeof words[1]);
    while (clock_word < sizeof words[0] / sizeof words[0][0] - 1 && words[0][clock_word] == words[1][clock_word]) {
        clock_word++;
    }
    clock_bits = words[0][clock_word] ^ words[1][clock_word];
}

static clockid_t clock_of(const pthread_cond_t *condition)
{
    return ((const uint32_t *)condition)[clock_word] & clock_bits ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

EXPORT int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t id,
                                  const struct timespec *until)
{
    const struct counts_thread *own = clock_thread();
    if (!own || !valid(until) || (id != CLOCK_REALTIME && id != CLOCK_MONOTONIC)) {
        return real_pthread_cond_clockwait(condition, mutex, id, until);
    }
    struct wait wait = wait_until(own, clock_kind(id), to_ns(until));
    wait.longest_again = AGAIN_AT_MOST;
    uint32_t before = __atomic_load_n(signals_to(condition), __ATOMIC_RELAXED);
    for (;;) {
        struct timespec host = wait_host_deadline(&wait, clock_of(condition));
        int result = real_pthread_cond_timedwait(condition, mutex, &host);
        if (result != ETIMEDOUT || wait_over(&wait)) {
            return result;
        }
        if (__atomic_load_n(signals_to(condition), __ATOMIC_RELAXED) != before) {
            return 0;
        }
    }
}

EXPORT int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                                  const struct timespec *restrict until)
{
    if (!clock_thread() || !valid(until)) {
        return real_pthread_cond_timedwait(condition, mutex, until);
    }
    return pthread_cond_clockwait(condition, mutex, clock_of(condition), until);
}

/* The locks of C11, which glibc has since 2.28, are those of POSIX there. */
enum { THRD_SUCCESS, THRD_BUSY, THRD_ERROR, THRD_NOMEM, THRD_TIMEDOUT };

static int c11(int error)
{
    return error == 0 ? THRD_SUCCESS : error == ETIMEDOUT ? THRD_TIMEDOUT : THRD_ERROR;
}

EXPORT int mtx_timedlock(void *restrict mutex, const struct timespec *restrict until)
{
    return c11(pthread_mutex_timedlock(mutex, until));
}

EXPORT int cnd_timedwait(void *restrict condition, void *restrict mutex, const struct timespec *restrict until)
{
    return c11(pthread_cond_timedwait(condition, mutex, until));
}

EXPORT int cnd_signal(void *condition)
{
    return c11(pthread_cond_signal(condition));
}

EXPORT int cnd_broadcast(void *condition)
{
    return c11(pthread_cond_broadcast(condition));
}

/* Sleep until the wait is over: 0, or EINTR when a signal came first. */
static int sleep_through(struct wait *wait)
{
    int result;
    do {
        struct timespec host = wait_remaining(wait);
        result = real_clock_nanosleep(CLOCK_MONOTONIC, 0, &host, NULL);
    } while (result == 0 && !wait_over(wait));
    if (result == EINTR) {
        wait_ended(wait);
    }
    return result;
}

EXPORT int clock_nanosleep(clockid_t id, int flags, const struct timespec *time, struct timespec *left)
{
    const struct counts_thread *own = clock_thread();
    enum clock_kind kind = clock_kind(id);
    if (!own || !valid(time) || time->tv_sec < 0 || (kind != CLOCK_ELAPSED && kind != CLOCK_DATE)) {
        return real_clock_nanosleep(id, flags, time, left);
    }
    int absolute = flags & TIMER_ABSTIME;
    struct wait wait = absolute ? wait_until(own, kind, to_ns(time)) : wait_for(own, to_ns(time));
    int result = sleep_through(&wait);
    if (result == EINTR && !absolute && left) {
        *left = to_timespec(wait_left(&wait));
    }
    return result;
}

EXPORT int nanosleep(const struct timespec *time, struct timespec *left)
{
    int error = clock_nanosleep(CLOCK_REALTIME, 0, time, left);
    errno = error ? error : errno;
    return error ? -1 : 0;
}

EXPORT int usleep(useconds_t microseconds)
{
    return nanosleep(&(struct timespec){.tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000},
                     NULL);
}

EXPORT unsigned sleep(unsigned seconds)
{
    int error = errno;
    struct timespec left = {0};
    int result = nanosleep(&(struct timespec){.tv_sec = (time_t)seconds}, &left);
    errno = result == 0 ? error : errno;
    return result == 0 ? 0 : (unsigned)(left.tv_sec + (left.tv_nsec >= NS / 2));
}

EXPORT int thrd_sleep(const struct timespec *time, struct timespec *left)
{
    int error = clock_nanosleep(CLOCK_REALTIME, 0, time, left);
    return error == 0 ? 0 : error == EINTR ? -1 : -2;
}

EXPORT int sigtimedwait(const sigset_t *restrict set, siginfo_t *restrict info, const struct timespec *restrict time)
{
    const struct counts_thread *own = clock_thread();
    if (!own || !valid(time) || time->tv_sec < 0) {
        return real_sigtimedwait(set, info, time);
    }
    int signal = real_sigtimedwait(set, info, &(struct timespec){0});
    if (signal >= 0 || errno != EAGAIN || to_ns(time) == 0) {
        return signal;
    }
    struct wait wait = wait_for(own, to_ns(time));
    do {
        struct timespec host = wait_remaining(&wait);
        signal = real_sigtimedwait(set, info, &host);
        if (signal >= 0 || errno != EAGAIN) {
            wait_ended(&wait);
            break;
        }
    } while (!wait_over(&wait));
    return signal;
}
