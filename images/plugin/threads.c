/* Device time across threads.
 *
 * Every thread has its own time: the instructions that it executed, and what it had to wait for. On the device, threads
 * run side by side; here they run whenever the host lets them. So a wait is not measured but deduced, as in L. Lamport,
 * "Time, Clocks, and the Ordering of Events in a Distributed System" (1978): what wakes a thread happened before, and a
 * thread that was woken is at least as late as what woke it. Loops that only wait (YIELD, WFE) add nothing. The time of
 * the thread that asks for an inference then is the critical path of that inference. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "plugin.h"

#define FUTEX_COMMAND 0x7f
#define FUTEX_PRIVATE 0x80
#define CLONE_THREAD 0x10000
#define PACE 10000 /* instructions by which a thread may be ahead of another that works */
#define PACE_TRIES 200
#define WAKES 4096

/* Numbers of the system calls that make, wake and end threads. */
static const struct syscalls {
    const char *target;
    int wide;
    int futex, futex_time64, clone, clone3, fork, vfork, exit, mmap, shmat, mremap, brk;
} known[] = {
    {"aarch64", 1, 98, -1, 220, 435, -1, -1, 93, 222, 196, 216, 214},
    {"arm", 0, 240, 422, 120, 435, 2, 190, 1, 192, 305, 163, 45},
    {"x86_64", 1, 202, -1, 56, 435, 57, 58, 60, 9, 30, 25, 12},
};
static const struct syscalls *numbers;

/* The latest wake-up at an address. Two addresses may share a place: the older one's is then forgotten. */
static struct wake {
    uint64_t address, time;
} wakes[WAKES];

static struct wake *wake_at(uint64_t address)
{
    return &wakes[(address >> 2) * 0x9e3779b97f4a7c15u >> 52];
}

int threads_know(const char *target)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].target, target) == 0) {
            numbers = &known[i];
        }
    }
    return numbers != NULL;
}

/* A thread learns that it is later than it knew. */
static void advance(struct counts_thread *thread, uint64_t time)
{
    uint64_t now = counts_time(thread);
    if (now < time) {
        thread->ahead += (int64_t)(time - now);
    }
}

static void note_exit(const struct counts_thread *thread)
{
    uint64_t now = counts_time(thread);
    if (plugin.shared->latest_exit < now) {
        plugin.shared->latest_exit = now;
    }
}

static uint64_t *block_counters(void)
{
    void *mapped = mmap(NULL, MAX_BLOCKS * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

/* QEMU calls this from the thread that makes the new one, one at a time. */
void thread_starts(qemu_plugin_id_t id, unsigned vcpu)
{
    (void)id;
    static uint64_t spare[MAX_BLOCKS]; /* for threads beyond what there is room for */
    struct cpu *cpu = &plugin.cpus[vcpu % MAX_CPUS];
    struct counts *shared = plugin.shared;
    unsigned index = shared->threads;
    if (vcpu >= MAX_CPUS || index >= COUNTS_THREADS) {
        shared->flags |= COUNTS_FLAG_OVERFLOW;
        index = COUNTS_THREADS - 1;
    } else {
        shared->threads = index + 1;
    }
    cpu->thread = &shared->thread[index];
    *cpu->thread = (struct counts_thread){.ahead = (int64_t)plugin.cloned, .started = plugin.cloned};
    if (!cpu->executions) {
        cpu->executions = block_counters();
        cpu->marked = block_counters();
    }
    if (!cpu->executions || !cpu->marked) {
        shared->flags |= COUNTS_FLAG_OVERFLOW;
        cpu->executions = cpu->marked = spare;
    }
    cpu->futex = cpu->in_syscall = 0;
    cpu->last_wait = cpu->next_pace = 0;
    if (vcpu >= plugin.used_cpus && vcpu < MAX_CPUS) {
        plugin.used_cpus = vcpu + 1;
    }
}

/* Sum up the thread behind `vcpu` by class. */
void count_classes(unsigned vcpu)
{
    const struct cpu *cpu = &plugin.cpus[vcpu];
    uint64_t sums[INSN_CLASSES] = {0};
    for (unsigned i = 0; i < plugin.used_blocks; i++) {
        for (unsigned class = 0; cpu->executions[i] && class < INSN_CLASSES; class++) {
            sums[class] += cpu->executions[i] * plugin.blocks[i]->classes[class];
        }
    }
    memcpy(cpu->thread->classes, sums, sizeof sums);
}

/* The number of the vCPU may serve another thread next, which starts from zero. */
void thread_ends(qemu_plugin_id_t id, unsigned vcpu)
{
    (void)id;
    struct cpu *cpu = &plugin.cpus[vcpu % MAX_CPUS];
    if (!cpu->thread) {
        return;
    }
    count_classes(vcpu % MAX_CPUS);
    note_exit(cpu->thread);
    collect_ended(vcpu % MAX_CPUS);
    cpu->thread = NULL;
}

/* In a loop that waits: whatever it waits for has not happened yet, so it is no earlier than any other thread. */
void wait_for_others(unsigned vcpu)
{
    uint64_t latest = 0;
    for (unsigned i = 0; i < plugin.used_cpus; i++) {
        const struct counts_thread *other = plugin.cpus[i].thread;
        if (other && i != vcpu && counts_time(other) > latest) {
            latest = counts_time(other);
        }
    }
    advance(plugin.cpus[vcpu].thread, latest);
}

/* Whether a thread is at work: not in a system call, and not in a loop that waits. */
static int works(const struct cpu *cpu)
{
    return cpu->thread && !cpu->in_syscall && cpu->thread->retired - cpu->last_wait > WAITING_LOOP;
}

/* Let threads that work advance side by side, as on the device: who takes the next piece of shared work must depend on
 * how far each is, not on when the host let it run. Bounded, for QEMU itself may want this thread to come out of here
 * before another one can go on. */
void keep_pace(unsigned vcpu)
{
    struct cpu *cpu = &plugin.cpus[vcpu];
    cpu->next_pace = cpu->thread->retired + PACE;
    for (int tries = 0; tries < PACE_TRIES; tries++) {
        uint64_t now = counts_time(cpu->thread), slowest = now;
        for (unsigned i = 0; i < plugin.used_cpus; i++) {
            const struct cpu *other = &plugin.cpus[i];
            if (i != vcpu && works(other) && counts_time(other->thread) < slowest) {
                slowest = counts_time(other->thread);
            }
        }
        if (now - slowest <= PACE) {
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
}

static void futex_starts(struct cpu *cpu, uint64_t address, unsigned operation)
{
    enum { WAIT, WAKE, FD, REQUEUE, CMP_REQUEUE, WAKE_OP, LOCK_PI, UNLOCK_PI, TRYLOCK_PI, WAIT_BITSET, WAKE_BITSET };
    switch (operation & FUTEX_COMMAND) {
    case WAIT:
    case WAIT_BITSET:
    case LOCK_PI:
        cpu->futex = address;
        cpu->joins = !(operation & FUTEX_PRIVATE);
        break;
    case WAKE:
    case REQUEUE:
    case CMP_REQUEUE:
    case WAKE_OP:
    case UNLOCK_PI:
    case WAKE_BITSET: {
        struct wake *wake = wake_at(address);
        uint64_t now = counts_time(cpu->thread);
        wake->time = wake->address == address && wake->time > now ? wake->time : now;
        wake->address = address;
        break;
    }
    default:
        break;
    }
}

static void futex_ends(struct cpu *cpu)
{
    const struct wake *wake = wake_at(cpu->futex);
    if (wake->address == cpu->futex) {
        advance(cpu->thread, wake->time);
    } else if (cpu->joins) {
        /* The kernel wakes those who join a thread that has ended; only such futexes are not private. */
        advance(cpu->thread, plugin.shared->latest_exit);
    }
    cpu->futex = 0;
}

static uint64_t heap_end; /* as brk last gave it */

/* Memory that the process asks the kernel for. Reservations (PROT_NONE) need none. */
static void note_memory(int64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    uint64_t asked = 0;
    if (number == numbers->mmap && (a4 & MAP_ANONYMOUS) && a3 != PROT_NONE) {
        asked = a2;
    } else if (number == numbers->mremap && a3 > a2) {
        asked = a3 - a2;
    } else if (number == numbers->brk) {
        asked = heap_end && a1 > heap_end ? a1 - heap_end : 0;
    }
    if (asked) {
        plugin.shared->asked_pages = (uint32_t)((asked + 4095) >> 12);
    }
}

void syscall_starts(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                    uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)a5, (void)a6, (void)a7, (void)a8;
    struct cpu *cpu = &plugin.cpus[vcpu % MAX_CPUS];
    cpu->in_syscall = 1;
    if (!numbers->wide) {
        note_memory(number, (uint32_t)a1, (uint32_t)a2, (uint32_t)a3, (uint32_t)a4);
    } else {
        note_memory(number, a1, a2, a3, a4);
    }
    if (number == COUNTS_SYSCALL) {
        if (a1 == COUNTS_ATTACH && (uint32_t)a2 < COUNTS_THREADS * 4) {
            plugin.shared->attached = 1;
            plugin.shared->slot[(uint32_t)a2] = (uint16_t)(cpu->thread - plugin.shared->thread);
        } else if (a1 >= COUNTS_RESET && a1 <= COUNTS_MARK_CLOCK) {
            mark(vcpu, (enum counts_call)a1, numbers->wide ? a2 : (uint32_t)a2); /* QEMU extends its sign */
        } else if (a1 == COUNTS_ADVANCE) {
            advance(cpu->thread, (uint32_t)a2 | (uint64_t)(uint32_t)a3 << 32);
        } else if (a1 == COUNTS_OPERATOR) {
            cpu->thread->operator = (uint32_t)a2 | (uint64_t)(uint32_t)a3 << 32;
        } else if (a1 == COUNTS_CALLS) {
            mark_calls(numbers->wide ? a2 : (uint32_t)a2);
        }
    } else if (number == numbers->futex || number == numbers->futex_time64) {
        futex_starts(cpu, a1, (unsigned)a2);
    } else if (number == numbers->clone || number == numbers->clone3) {
        plugin.cloned = counts_time(cpu->thread);
        plugin.parallel |= number == numbers->clone3 || (a1 & CLONE_THREAD) != 0;
    } else if (number == numbers->exit) {
        note_exit(cpu->thread);
    } else if ((number == numbers->mmap && (a4 & MAP_SHARED)) || number == numbers->shmat) {
        plugin.parallel = 1;
    }
}

void syscall_ends(qemu_plugin_id_t id, unsigned vcpu, int64_t number, int64_t result)
{
    (void)id;
    struct cpu *cpu = &plugin.cpus[vcpu % MAX_CPUS];
    cpu->in_syscall = 0;
    if (number == numbers->brk && result > 0) {
        heap_end = numbers->wide ? (uint64_t)result : (uint32_t)result;
    }
    if (cpu->futex && (number == numbers->futex || number == numbers->futex_time64)) {
        futex_ends(cpu);
    } else if (result == 0 && (number == numbers->clone || number == numbers->clone3 || number == numbers->fork ||
                               number == numbers->vfork)) {
        own_files_after_fork(vcpu); /* a new thread does not return from here: this is a child process */
    }
}
