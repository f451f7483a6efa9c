/* Waiting for child processes. A child's clock began at its parent's time; when the parent has reaped it, the parent is
 * no earlier than the child's end. Of a child that kept no counts, the host's time that it took is all there is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "wait.h"

#define FUNCTIONS(X) X(wait4) X(waitid)
FUNCTIONS(DECLARE_REAL)

void children_resolve(void)
{
    FUNCTIONS(RESOLVE_REAL)
}

/* The child ended; the calling thread learns when. 0 if the child kept no counts. */
static int learn_end(const struct counts_thread *own, pid_t child)
{
    const struct counts *counts = clock_map(child, NULL);
    if (!counts) {
        return 0;
    }
    clock_advance(own, clock_ticks_at(clock_ns_in(counts, clock_latest(counts))));
    munmap((void *)counts, sizeof *counts);
    return 1;
}

static void reaped(const struct counts_thread *own, pid_t ended, int64_t blocked_since)
{
    int error = errno;
    if (!(ended > 0 && learn_end(own, ended)) && blocked_since) {
        wait_took_host_time(own, clock_host_ns(CLOCK_MONOTONIC) - blocked_since);
    }
    errno = error;
}

EXPORT pid_t wait4(pid_t child, int *status, int options, struct rusage *usage)
{
    const struct counts_thread *own = clock_thread();
    int unwanted, *how = status ? status : &unwanted;
    if (!own) {
        return real_wait4(child, status, options, usage);
    }
    int64_t blocked_since = 0;
    pid_t result = real_wait4(child, how, options | WNOHANG, usage);
    if (result == 0 && !(options & WNOHANG)) {
        blocked_since = clock_host_ns(CLOCK_MONOTONIC);
        result = real_wait4(child, how, options, usage);
    }
    reaped(own, result > 0 && (WIFEXITED(*how) || WIFSIGNALED(*how)) ? result : 0, blocked_since);
    return result;
}

EXPORT pid_t waitpid(pid_t child, int *status, int options)
{
    return wait4(child, status, options, NULL);
}

EXPORT pid_t wait(int *status)
{
    return wait4(-1, status, 0, NULL);
}

EXPORT pid_t wait3(int *status, int options, struct rusage *usage)
{
    return wait4(-1, status, options, usage);
}

EXPORT int waitid(idtype_t type, id_t child, siginfo_t *info, int options)
{
    const struct counts_thread *own = clock_thread();
    siginfo_t unwanted, *how = info ? info : &unwanted;
    if (!own) {
        return real_waitid(type, child, info, options);
    }
    int64_t blocked_since = 0;
    how->si_pid = 0;
    int result = real_waitid(type, child, how, options | WNOHANG);
    if (result == 0 && how->si_pid == 0 && !(options & WNOHANG)) {
        blocked_since = clock_host_ns(CLOCK_MONOTONIC);
        result = real_waitid(type, child, how, options);
    }
    int ended = result == 0 && (how->si_code == CLD_EXITED || how->si_code == CLD_KILLED || how->si_code == CLD_DUMPED);
    reaped(own, ended ? how->si_pid : 0, blocked_since);
    return result;
}
