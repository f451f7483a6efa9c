/* What the plugin, the guest's clock library and the host share: the counter file of one guest process, and the calls
 * by which the guest speaks to the plugin. All numbers are little-endian; times are in ticks: one retired instruction
 * each, and what waits added. sandbox/profilers/counts.py reads both files. */
#ifndef COUNTS_H
#define COUNTS_H

#include <stdint.h>

#include "insn.h"

#define COUNTS_MAGIC 0x54434445u /* "EDCT" */
#define COUNTS_VERSION 1u
#define COUNTS_THREADS 1024u

/* One thread of the guest, in order of creation. Only the plugin writes here, as the thread itself while it lives. */
struct counts_thread {
    uint64_t retired;    /* instructions it executed */
    int64_t ahead;       /* its time less `retired`: what it began with and waited for, less `waited` */
    uint64_t waited;     /* of `retired`, in loops that only wait for other threads: not part of its time */
    uint64_t started;    /* its time at its creation */
    uint64_t l2_lines;   /* cache lines that missed the first level, when caches are modelled */
    uint64_t dram_lines; /* cache lines that missed every level */
    uint64_t classes[INSN_CLASSES]; /* `retired` less `waited`, by class; written when the thread or the process ends */
    uint64_t operator;   /* of the model, that it runs: its index plus one, the subgraph's in the upper half; 0: none */
    uint64_t reserved[6];
};

/* <pid>.counts: mapped by the plugin, and once more by the guest's clock library, which only reads. */
struct counts {
    uint32_t magic, version;
    uint32_t attached;      /* this process has the clock library and reads its clock from here */
    uint32_t threads;       /* how many of `thread` have been used */
    uint32_t rate[2];       /* nanoseconds a tick, as numerator and denominator */
    uint64_t start_ns;      /* what the monotonic clock shows at time 0 */
    uint64_t realtime_ns;   /* the date at that moment, in nanoseconds since 1970 */
    uint64_t latest_exit;   /* the latest time at which a thread ended */
    uint32_t flags;         /* COUNTS_FLAG_… */
    uint32_t asked_pages;   /* what the process asked the kernel for last, in pages of 4096 bytes; 0: nothing yet */
    uint16_t slot[COUNTS_THREADS * 4]; /* the clock library's slots → indices into `thread` */
    struct counts_thread thread[COUNTS_THREADS];
};

/* The device time at which a thread is. */
static inline uint64_t counts_time(const struct counts_thread *thread)
{
    uint64_t retired = __atomic_load_n(&thread->retired, __ATOMIC_ACQUIRE);
    return retired + (uint64_t)__atomic_load_n(&thread->ahead, __ATOMIC_RELAXED);
}

#define COUNTS_FLAG_COMPLETE 1u /* the process ended by itself: classes are there */
#define COUNTS_FLAG_OVERFLOW 2u /* more threads or blocks than there is room for: counts are shared or incomplete */

/* A system call that no architecture has. The kernel would answer ENOSYS, as QEMU does after the plugin saw it. */
#define COUNTS_SYSCALL 60782
enum counts_call {
    COUNTS_ATTACH = 1, /* (slot): the clock library is there; write the calling thread's index to that slot */
    COUNTS_RESET,      /* (): what has run so far is not part of the next mark */
    COUNTS_MARK,       /* (token): write what ran since the last mark to <pid>.marks */
    COUNTS_MARK_CLOCK, /* (ticks): the same, because a clock was read that showed so many ticks */
    COUNTS_ADVANCE,    /* (low, high): the calling thread has waited until that time, in two halves of 32 bits */
    COUNTS_OPERATOR,   /* (index + 1, subgraph): the calling thread begins an operator of the model; (0, 0): none now */
    COUNTS_CALLS,      /* (address): write how often the function that begins there has been called to <pid>.marks */
};

/* <pid>.crypto: text, a line for each cryptographic A64 instruction that was translated: its address and its word, both in
 * hexadecimal. */

/* <pid>.marks: records in order. Each begins with its kind. */
#define MARK_BLOCK 1u
#define MARK_DELTA 2u
#define MARK_CALLS 3u

/* A translated block, before its first use in a delta. */
struct mark_block {
    uint32_t kind, index;
    uint64_t address;
    uint32_t instructions, reserved;
    uint16_t classes[20];           /* instructions by class, INSN_CLASSES of them used */
};

struct mark_delta {
    uint32_t kind, thread;         /* the thread that made the mark */
    uint64_t token;
    uint64_t since, time;          /* the device time of the last mark or reset, and of this one */
    uint64_t l2_lines, dram_lines; /* of all threads since then */
    uint32_t call;                 /* COUNTS_MARK or COUNTS_MARK_CLOCK */
    uint32_t entries;              /* how many struct mark_entry follow */
};

/* The answer to COUNTS_CALLS. */
struct mark_calls {
    uint32_t kind, reserved;
    uint64_t address;
    uint64_t calls;     /* by all threads, since the process began */
};

struct mark_entry {
    uint32_t block;
    uint32_t thread;
    int64_t executions; /* rarely -1: a loop that was found to wait only after the last mark */
};

#endif
