/* 32-bit guests: glibc's second set of names, for programs that were built for times of 64 bits (Debian from 13). */
#define _GNU_SOURCE
#include "time64.h"

#ifdef TIME64
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "clock.h"

struct rusage64 {
    struct timeval64 ru_utime, ru_stime;
    long others[14];
};

struct itimerspec64 {
    struct timespec64 it_interval, it_value;
};

/* glibc has these since 2.30, 2.31 and 2.35. */
int pthread_cond_clockwait(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
int pthread_mutex_clocklock(pthread_mutex_t *, clockid_t, const struct timespec *);
int pthread_rwlock_clockrdlock(pthread_rwlock_t *, clockid_t, const struct timespec *);
int pthread_rwlock_clockwrlock(pthread_rwlock_t *, clockid_t, const struct timespec *);
int pthread_clockjoin_np(pthread_t, void **, clockid_t, const struct timespec *);
int sem_clockwait(sem_t *, clockid_t, const struct timespec *);
int epoll_pwait2(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);
int mtx_timedlock(void *, const struct timespec *);
int cnd_timedwait(void *, void *, const struct timespec *);
int thrd_sleep(const struct timespec *, struct timespec *);

static void widen(struct timespec64 *wide, struct timespec time)
{
    if (wide) {
        *wide = (struct timespec64){.tv_sec = time.tv_sec, .tv_nsec = (int32_t)time.tv_nsec};
    }
}

static struct timeval64 widened(struct timeval time)
{
    return (struct timeval64){.tv_sec = time.tv_sec, .tv_usec = time.tv_usec};
}

EXPORT int __clock_gettime64(clockid_t id, struct timespec64 *now)
{
    struct timespec time;
    int result = clock_gettime(id, &time);
    if (result == 0) {
        widen(now, time);
    }
    return result;
}

EXPORT int __clock_getres64(clockid_t id, struct timespec64 *resolution)
{
    struct timespec time;
    int result = clock_getres(id, &time);
    if (result == 0) {
        widen(resolution, time);
    }
    return result;
}

EXPORT int __gettimeofday64(struct timeval64 *now, void *zone)
{
    struct timeval time;
    int result = gettimeofday(&time, zone);
    *now = widened(time);
    return result;
}

EXPORT int64_t __time64(int64_t *now)
{
    time_t seconds = time(NULL);
    if (now) {
        *now = seconds;
    }
    return seconds;
}

EXPORT int __timespec_get64(struct timespec64 *now, int base)
{
    struct timespec time = {0};
    int result = timespec_get(&time, base);
    widen(now, time);
    return result;
}

static void widen_usage(struct rusage64 *wide, const struct rusage *usage)
{
    if (wide) {
        wide->ru_utime = widened(usage->ru_utime);
        wide->ru_stime = widened(usage->ru_stime);
        memcpy(wide->others, &usage->ru_maxrss, sizeof wide->others);
    }
}

EXPORT int __getrusage64(__rusage_who_t who, struct rusage64 *wide)
{
    struct rusage usage;
    int result = getrusage(who, &usage);
    if (result == 0) {
        widen_usage(wide, &usage);
    }
    return result;
}

EXPORT pid_t __wait4_time64(pid_t child, int *status, int options, struct rusage64 *wide)
{
    struct rusage usage = {0};
    pid_t result = wait4(child, status, options, &usage);
    widen_usage(wide, &usage);
    return result;
}

EXPORT pid_t __wait3_time64(int *status, int options, struct rusage64 *wide)
{
    return __wait4_time64(-1, status, options, wide);
}

/* A wait that returns `type` and hands what is left back. */
#define SLEEP(type, name, parameters, call) \
    EXPORT type name parameters \
    { \
        struct timespec rest = {0}; \
        type result = call; \
        if (result != 0) { \
            widen(left, rest); \
        } \
        return result; \
    }

SLEEP(int, __nanosleep64, (const struct timespec64 *time, struct timespec64 *left), nanosleep(NARROW(time), &rest))
SLEEP(int, __clock_nanosleep_time64, (clockid_t id, int flags, const struct timespec64 *time, struct timespec64 *left),
      clock_nanosleep(id, flags, NARROW(time), &rest))
SLEEP(int, __thrd_sleep64, (const struct timespec64 *time, struct timespec64 *left), thrd_sleep(NARROW(time), &rest))

/* The others differ in the type of a parameter only. */
#define WAIT(name, parameters, call) \
    EXPORT int name parameters \
    { \
        return call; \
    }

WAIT(__ppoll64, (struct pollfd *files, nfds_t count, const struct timespec64 *time, const sigset_t *mask),
     ppoll(files, count, NARROW(time), mask))
WAIT(__pselect64,
     (int count, fd_set *readable, fd_set *writable, fd_set *other, const struct timespec64 *time,
      const sigset_t *mask),
     pselect(count, readable, writable, other, NARROW(time), mask))
WAIT(__epoll_pwait2_time64,
     (int epoll, struct epoll_event *events, int count, const struct timespec64 *time, const sigset_t *mask),
     epoll_pwait2(epoll, events, count, NARROW(time), mask))
WAIT(__sigtimedwait64, (const sigset_t *set, siginfo_t *info, const struct timespec64 *time),
     sigtimedwait(set, info, NARROW(time)))
WAIT(__sem_timedwait64, (sem_t *semaphore, const struct timespec64 *until), sem_timedwait(semaphore, NARROW(until)))
WAIT(__sem_clockwait64, (sem_t *semaphore, clockid_t id, const struct timespec64 *until),
     sem_clockwait(semaphore, id, NARROW(until)))
WAIT(__pthread_mutex_timedlock64, (pthread_mutex_t *mutex, const struct timespec64 *until),
     pthread_mutex_timedlock(mutex, NARROW(until)))
WAIT(__pthread_mutex_clocklock64, (pthread_mutex_t *mutex, clockid_t id, const struct timespec64 *until),
     pthread_mutex_clocklock(mutex, id, NARROW(until)))
WAIT(__pthread_rwlock_timedrdlock64, (pthread_rwlock_t *lock, const struct timespec64 *until),
     pthread_rwlock_timedrdlock(lock, NARROW(until)))
WAIT(__pthread_rwlock_timedwrlock64, (pthread_rwlock_t *lock, const struct timespec64 *until),
     pthread_rwlock_timedwrlock(lock, NARROW(until)))
WAIT(__pthread_rwlock_clockrdlock64, (pthread_rwlock_t *lock, clockid_t id, const struct timespec64 *until),
     pthread_rwlock_clockrdlock(lock, id, NARROW(until)))
WAIT(__pthread_rwlock_clockwrlock64, (pthread_rwlock_t *lock, clockid_t id, const struct timespec64 *until),
     pthread_rwlock_clockwrlock(lock, id, NARROW(until)))
WAIT(__pthread_cond_timedwait64, (pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec64 *until),
     pthread_cond_timedwait(condition, mutex, NARROW(until)))
WAIT(__pthread_cond_clockwait64,
     (pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t id, const struct timespec64 *until),
     pthread_cond_clockwait(condition, mutex, id, NARROW(until)))
WAIT(__pthread_timedjoin_np64, (pthread_t thread, void **value, const struct timespec64 *until),
     pthread_timedjoin_np(thread, value, NARROW(until)))
WAIT(__pthread_clockjoin_np64, (pthread_t thread, void **value, clockid_t id, const struct timespec64 *until),
     pthread_clockjoin_np(thread, value, id, NARROW(until)))
WAIT(__mtx_timedlock64, (void *mutex, const struct timespec64 *until), mtx_timedlock(mutex, NARROW(until)))
WAIT(__cnd_timedwait64, (void *condition, void *mutex, const struct timespec64 *until),
     cnd_timedwait(condition, mutex, NARROW(until)))

EXPORT int __select64(int count, fd_set *readable, fd_set *writable, fd_set *other, struct timeval64 *time)
{
    struct timeval narrowed = {0};
    if (time) {
        int64_t seconds = time->tv_sec < INT32_MAX ? time->tv_sec : INT32_MAX;
        narrowed = (struct timeval){.tv_sec = (time_t)seconds, .tv_usec = (suseconds_t)time->tv_usec};
    }
    int result = select(count, readable, writable, other, time ? &narrowed : NULL);
    if (time) {
        *time = widened(narrowed);
    }
    return result;
}

EXPORT int __timerfd_settime64(int file, int flags, const struct itimerspec64 *time, struct itimerspec64 *old)
{
    struct itimerspec narrowed, before;
    narrow(&narrowed.it_interval, &time->it_interval);
    narrow(&narrowed.it_value, &time->it_value);
    int result = timerfd_settime(file, flags, &narrowed, old ? &before : NULL);
    if (result == 0 && old) {
        widen(&old->it_interval, before.it_interval);
        widen(&old->it_value, before.it_value);
    }
    return result;
}
#endif
