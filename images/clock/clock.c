/* The clocks of the device.
 *
 * A thread's time is what the plugin has counted for it: instructions retired and what it waited for, in ticks. The
 * monotonic clocks and the date show that time at the device's pace, the CPU clocks show the instructions alone.
 * Threads have times of their own, but no program expects a clock to differ between threads: so a thread that reads its clock
 * is moved up to the latest time that any thread has read before. Reading costs no system call. Clocks made by
 * clock_getcpuclockid and pthread_getcpuclockid stay the host's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <unistd.h>

#include "clock.h"

#define FUNCTIONS(X) \
    X(clock_gettime) X(clock_getres) X(gettimeofday) X(time) X(clock) X(times) X(getrusage) X(timespec_get) X(syscall)
FUNCTIONS(DECLARE_REAL)

const struct counts *clock_counts;
__thread const struct counts_thread *clock_own;

/* What the process and its thread had executed when the process was forked: the CPU clocks of a child begin at 0. */
static uint64_t inherited;
static const struct counts_thread *inheritor;
static uint64_t inheritor_retired;

static const char *folder; /* of the files of counts; a copy, since programs may change their environment */

EXPORT int edge_recording; /* every reading of a clock makes a mark */

const struct counts *clock_map(int pid, const struct counts *place)
{
    char path[PATH_MAX];
    if (!folder || snprintf(path, sizeof path, "%s/%d.counts", folder, pid) >= (int)sizeof path) {
        errno = folder ? ENAMETOOLONG : ENOENT;
        return NULL;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return NULL;
    }
    struct stat status;
    void *mapped = MAP_FAILED;
    if (fstat(file, &status) == 0 && status.st_size >= (off_t)sizeof(struct counts)) {
        /* Private, though the file changes below it: what is never written to stays the file's. Shared memory would
         * make QEMU, and so the plugin, ready for several threads, which costs every program without threads a fifth. */
        mapped = mmap((void *)place, sizeof(struct counts), PROT_READ, MAP_PRIVATE | (place ? MAP_FIXED : 0), file, 0);
    } else {
        errno = EINVAL;
    }
    int error = errno;
    close(file);
    errno = error;
    if (mapped == MAP_FAILED) {
        return NULL;
    }
    const struct counts *counts = mapped;
    if (counts->magic != COUNTS_MAGIC || counts->version != COUNTS_VERSION || !counts->rate[0] || !counts->rate[1]) {
        munmap(mapped, sizeof *counts);
        errno = EPROTO;
        return NULL;
    }
    return counts;
}

/* Without the C library's buffers, which a forked child of a threaded program may find locked. */
static void cannot_map(void)
{
    char line[PATH_MAX + 128];
    int length = snprintf(line, sizeof line, "edge-sandbox clock: cannot map %s/%d.counts: %s; times are the host's\n",
                          folder ? folder : "$EDGE_COUNTS", (int)getpid(), strerror(errno));
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0) {
        return; /* there is nobody left to tell */
    }
}

static uint64_t retired_by_all(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < clock_counts->threads && i < COUNTS_THREADS; i++) {
        sum += clock_counts->thread[i].retired;
    }
    return sum;
}

/* The plugin has given the child a file of its own, a copy.  */
static void follow_fork(void)
{
    int error = errno;
    if (clock_counts && !clock_map((int)getpid(), clock_counts)) {
        cannot_map();
        clock_counts = NULL;
    }
    clock_own = NULL;
    inheritor = clock_thread();
    if (inheritor) {
        inherited = retired_by_all();
        inheritor_retired = inheritor->retired;
    }
    errno = error;
}

__attribute__((constructor)) static void prepare(void)
{
    static int prepared;
    if (prepared++) {
        return;
    }
    FUNCTIONS(RESOLVE_REAL)
    blocking_resolve();
    ready_resolve();
    children_resolve();
    spawn_resolve();
    syscalls_resolve();
    shell_resolve();
    folder = getenv("EDGE_COUNTS") ? strdup(getenv("EDGE_COUNTS")) : NULL;
    clock_counts = clock_map((int)getpid(), NULL);
    if (!clock_counts) {
        cannot_map();
        return;
    }
    pthread_atfork(NULL, NULL, follow_fork);
}

/* A slot is only used until the plugin's answer is read, so taking turns is enough. */
const struct counts_thread *clock_attach_thread(void)
{
    int error = errno;
    prepare();
    if (clock_counts) {
        static uint32_t slots;
        uint32_t slot = __atomic_fetch_add(&slots, 1, __ATOMIC_RELAXED) % (COUNTS_THREADS * 4);
        real_syscall(COUNTS_SYSCALL, (long)COUNTS_ATTACH, (long)slot);
        clock_own = &clock_counts->thread[clock_counts->slot[slot] % COUNTS_THREADS];
    }
    errno = error;
    return clock_own;
}

uint64_t clock_latest(const struct counts *counts)
{
    uint64_t latest = 0;
    for (uint32_t i = 0; i < counts->threads && i < COUNTS_THREADS; i++) {
        uint64_t time = counts_time(&counts->thread[i]);
        latest = time > latest ? time : latest;
    }
    return latest;
}

void clock_advance(const struct counts_thread *own, uint64_t ticks)
{
    if (counts_time(own) < ticks) {
        int error = errno;
        real_syscall(COUNTS_SYSCALL, (long)COUNTS_ADVANCE, (long)(uint32_t)ticks, (long)(uint32_t)(ticks >> 32));
        errno = error;
    }
}

uint64_t clock_now(const struct counts_thread *own)
{
    static uint64_t latest_read; /* by any thread */
    uint64_t now = counts_time(own);
    uint64_t latest = __atomic_load_n(&latest_read, __ATOMIC_RELAXED);
    while (latest < now && !__atomic_compare_exchange_n(&latest_read, &latest, now, 1, __ATOMIC_RELAXED,
                                                        __ATOMIC_RELAXED)) {
    }
    if (now < latest) {
        clock_advance(own, latest);
        now = latest;
    }
    return now;
}

/* Products of a time and a rate need more than 64 bits, quotient and remainder apart do not. */
static uint64_t scale(uint64_t value, uint32_t numerator, uint32_t denominator, uint32_t round)
{
    return value / denominator * numerator + (value % denominator * numerator + round) / denominator;
}

static int64_t to_ns(const struct counts *counts, uint64_t ticks)
{
    return (int64_t)scale(ticks, counts->rate[0], counts->rate[1], 0);
}

int64_t clock_ns_in(const struct counts *counts, uint64_t ticks)
{
    return (int64_t)counts->start_ns + to_ns(counts, ticks);
}

int64_t clock_ns(uint64_t ticks)
{
    return clock_ns_in(clock_counts, ticks);
}

static uint64_t ticks_after(int64_t ns)
{
    uint32_t nanoseconds = clock_counts->rate[0], ticks = clock_counts->rate[1];
    if (ns <= 0) {
        return 0;
    }
    if ((uint64_t)ns / nanoseconds >= INT64_MAX / ticks) {
        return INT64_MAX; /* further away than any clock will get */
    }
    return scale((uint64_t)ns, ticks, nanoseconds, nanoseconds - 1);
}

uint64_t clock_ticks_at(int64_t monotonic_ns)
{
    return ticks_after(monotonic_ns - (int64_t)clock_counts->start_ns);
}

uint64_t clock_ticks_at_date(int64_t realtime_ns)
{
    return ticks_after(realtime_ns - (int64_t)clock_counts->realtime_ns);
}

int64_t clock_host_ns(clockid_t id)
{
    struct timespec now;
    real_clock_gettime(id, &now);
    return (int64_t)now.tv_sec * NS + now.tv_nsec;
}

enum clock_kind clock_kind(clockid_t id)
{
    switch (id) {
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
        return CLOCK_ELAPSED;
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI:
        return CLOCK_DATE;
    case CLOCK_PROCESS_CPUTIME_ID:
        return CLOCK_PROCESS;
    case CLOCK_THREAD_CPUTIME_ID:
        return CLOCK_THREAD;
    default:
        return CLOCK_FOREIGN;
    }
}

/* The plugin ties a mark to a reading by the token, so both come from one look at the counts. */
static uint64_t read_ticks(const struct counts_thread *own)
{
    uint64_t now = clock_now(own);
    if (edge_recording) {
        int error = errno;
        real_syscall(COUNTS_SYSCALL, (long)COUNTS_MARK_CLOCK, (long)now);
        errno = error;
    }
    return now;
}

int64_t clock_shown(enum clock_kind kind)
{
    const struct counts_thread *own = clock_thread();
    if (!own) {
        return -1;
    }
    switch (kind) {
    case CLOCK_ELAPSED:
        return clock_ns(read_ticks(own));
    case CLOCK_DATE:
        return (int64_t)clock_counts->realtime_ns + to_ns(clock_counts, read_ticks(own));
    case CLOCK_PROCESS:
        return to_ns(clock_counts, retired_by_all() - inherited);
    case CLOCK_THREAD:
        return to_ns(clock_counts, own->retired - (own == inheritor ? inheritor_retired : 0));
    default:
        return -1;
    }
}

/* For the profiler of a runtime. */
EXPORT void edge_mark(unsigned long token)
{
    if (clock_thread()) {
        real_syscall(COUNTS_SYSCALL, (long)COUNTS_MARK, (long)token);
    }
}

/* For the same: which operator of the model begins, or goes on. */
void edge_operator(uint32_t index_plus_one, uint32_t subgraph)
{
    if (clock_thread()) {
        real_syscall(COUNTS_SYSCALL, (long)COUNTS_OPERATOR, (long)index_plus_one, (long)subgraph);
    }
}

EXPORT int clock_gettime(clockid_t id, struct timespec *now)
{
    int64_t ns = clock_shown(clock_kind(id));
    if (ns < 0) {
        return real_clock_gettime(id, now);
    }
    now->tv_sec = (time_t)(ns / NS);
    now->tv_nsec = (long)(ns % NS);
    return 0;
}

EXPORT int clock_getres(clockid_t id, struct timespec *resolution)
{
    if (clock_kind(id) == CLOCK_FOREIGN || !clock_thread()) {
        return real_clock_getres(id, resolution);
    }
    if (resolution) {
        *resolution = (struct timespec){.tv_nsec = 1};
    }
    return 0;
}

EXPORT int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int64_t ns = clock_shown(CLOCK_DATE);
    if (ns < 0) {
        return real_gettimeofday(now, zone);
    }
    *now = (struct timeval){.tv_sec = (time_t)(ns / NS), .tv_usec = (suseconds_t)(ns % NS / 1000)};
    if (zone) {
        *(struct timezone *)zone = (struct timezone){0};
    }
    return 0;
}

EXPORT time_t time(time_t *now)
{
    int64_t ns = clock_shown(CLOCK_DATE);
    if (ns < 0) {
        return real_time(now);
    }
    if (now) {
        *now = (time_t)(ns / NS);
    }
    return (time_t)(ns / NS);
}

EXPORT int timespec_get(struct timespec *now, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : real_timespec_get(now, base);
}

EXPORT clock_t clock(void)
{
    int64_t ns = clock_shown(CLOCK_PROCESS);
    return ns < 0 ? real_clock() : (clock_t)(ns / (NS / CLOCKS_PER_SEC));
}

/* What ended children took stays the host's, here and in getrusage. */
EXPORT clock_t times(struct tms *used)
{
    struct tms children = {0};
    int64_t ns = clock_shown(CLOCK_PROCESS);
    if (ns < 0) {
        return real_times(used);
    }
    long tick = NS / sysconf(_SC_CLK_TCK);
    real_times(&children);
    if (used) {
        *used = children;
        used->tms_utime = (clock_t)(ns / tick);
        used->tms_stime = 0;
    }
    return (clock_t)(clock_shown(CLOCK_ELAPSED) / tick);
}

EXPORT int getrusage(__rusage_who_t who, struct rusage *usage)
{
    int result = real_getrusage(who, usage);
    int64_t ns = clock_shown(who == RUSAGE_SELF     ? CLOCK_PROCESS
                             : who == RUSAGE_THREAD ? CLOCK_THREAD
                                                    : CLOCK_FOREIGN);
    if (result == 0 && ns >= 0) {
        usage->ru_utime = (struct timeval){.tv_sec = (time_t)(ns / NS), .tv_usec = (suseconds_t)(ns % NS / 1000)};
        usage->ru_stime = (struct timeval){0};
    }
    return result;
}
