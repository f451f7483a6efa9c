/* The guest's clock library: what its files share. It is preloaded into every dynamically linked program of the guest
 * and shows it the device's time, which the counting plugin keeps (see counts.h), instead of the host's. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

#include "counts.h"

#define EXPORT __attribute__((visibility("default")))
#define NS 1000000000

/* The functions of the C library that a file interposes, as a list of X(name): DECLARE_REAL makes a pointer real_name
 * of each, RESOLVE_REAL sets it. That is done once and early, because dlsym is not safe in signal handlers nor between
 * fork and exec. */
#define DECLARE_REAL(name) static __typeof__(&name) real_##name;
#define RESOLVE_REAL(name) real_##name = (__typeof__(&name))dlsym(RTLD_NEXT, #name);

/* The file of counts; null as long as the process is not attached to one. */
extern const struct counts *clock_counts;

/* The calling thread's record there. */
extern __thread const struct counts_thread *clock_own __attribute__((tls_model("initial-exec")));
const struct counts_thread *clock_attach_thread(void);

/* The calling thread's record, or null when there are no counts to read: the host's times are all there is then. Each
 * interposed function asks for it first, which also makes sure that this library is ready: the constructors of other
 * libraries run before its own. */
static inline const struct counts_thread *clock_thread(void)
{
    return clock_own ? clock_own : clock_attach_thread();
}

/* clock.c: the present time in ticks, no earlier than any thread has read before. */
uint64_t clock_now(const struct counts_thread *own);
/* The calling thread has waited until that time. */
void clock_advance(const struct counts_thread *own, uint64_t ticks);
/* The latest time of any thread. */
uint64_t clock_latest(const struct counts *counts);
/* What the monotonic clock shows at a time, in this process or another. */
int64_t clock_ns(uint64_t ticks);
int64_t clock_ns_in(const struct counts *counts, uint64_t ticks);
/* The first time at which the monotonic clock or the date shows at least that. */
uint64_t clock_ticks_at(int64_t monotonic_ns);
uint64_t clock_ticks_at_date(int64_t realtime_ns);
/* What the host shows. */
int64_t clock_host_ns(clockid_t id);
/* Map the file of counts of process `pid`, at `place` if that is not null. Null with errno when that fails. */
const struct counts *clock_map(int pid, const struct counts *place);

enum clock_kind { CLOCK_FOREIGN, CLOCK_ELAPSED, CLOCK_DATE, CLOCK_PROCESS, CLOCK_THREAD };
enum clock_kind clock_kind(clockid_t id);
/* What that clock shows to the calling thread, in nanoseconds; negative if it is foreign or there are no counts. */
int64_t clock_shown(enum clock_kind kind);

/* Each file finds its real functions. */
void blocking_resolve(void);
void ready_resolve(void);
void children_resolve(void);
void spawn_resolve(void);
void syscalls_resolve(void);
void shell_resolve(void);

#endif
