/* 32-bit guests: the structures of programs that were built for times of 64 bits. */
#ifndef TIME64_H
#define TIME64_H

#include <stdint.h>
#include <time.h>

#if __SIZEOF_LONG__ == 4
#define TIME64

struct timespec64 {
    int64_t tv_sec;
    int32_t tv_nsec, padding;
};

struct timeval64 {
    int64_t tv_sec, tv_usec;
};

/* A time as the rest of the library takes it, or null. What is later than 2038 becomes 2038. */
#define NARROW(time) narrow(&(struct timespec){0}, time)

static inline struct timespec *narrow(struct timespec *narrowed, const struct timespec64 *time)
{
    if (!time) {
        return NULL;
    }
    int64_t seconds = time->tv_sec < INT32_MAX ? time->tv_sec : INT32_MAX;
    narrowed->tv_sec = (time_t)(seconds > INT32_MIN ? seconds : INT32_MIN);
    narrowed->tv_nsec = time->tv_nsec;
    return narrowed;
}

int __clock_gettime64(clockid_t id, struct timespec64 *now);

#endif
#endif
