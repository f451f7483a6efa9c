/* The parts of the plugin and the state they share. One process has one of it; after a fork the child has its own. */
#ifndef PLUGIN_H
#define PLUGIN_H

#include "counts.h"
#include "qemu_plugin.h"

#define MAX_CPUS COUNTS_THREADS
#define RECENT 16
#define WAITING_LOOP 64 /* instructions between two waits of a loop that does nothing else */
#define MAX_BLOCKS (1u << 21)

/* A translated block. QEMU keeps a pointer to it as long as the block lives, so it is never freed or moved. */
struct block {
    uint64_t address;
    uint32_t index;
    uint16_t instructions;
    uint16_t nops;
    uint8_t waits;
    uint16_t classes[INSN_CLASSES];
    uint8_t written; /* to the file of marks */
    uint64_t ended;  /* executions by threads that have ended */
};

/* A vCPU: in user mode the present thread behind that number. */
struct cpu {
    struct counts_thread *thread;
    uint64_t *executions; /* by block index */
    uint64_t *marked;     /* the same at the last mark */
    const struct block *recent[RECENT]; /* what ran last, as a ring, once there is a second thread */
    unsigned newest;
    uint64_t last_wait;   /* `retired` after the last block that waits */
    uint64_t next_pace;   /* `retired` at which to look again how far the other threads are */
    uint8_t in_syscall;
    uint64_t futex;       /* the address that it waits at, in a system call */
    uint8_t joins;        /* that wait is for the end of a thread */
};

struct plugin {
    struct counts *shared;
    char directory[256]; /* for the files */
    struct cpu cpus[MAX_CPUS];
    unsigned used_cpus;
    struct block *blocks[MAX_BLOCKS];
    uint64_t addresses[MAX_BLOCKS]; /* of the blocks once more: to be searched */
    unsigned used_blocks;
    uint64_t cloned; /* the time at which a thread is being made */
    int parallel;    /* QEMU has translated everything anew for threads: see count_executions */
    int marks;       /* a file descriptor */
    int crypto;      /* likewise */
};

extern struct plugin plugin;

/* files.c: the counter file, and what a fork does to it. */
int open_files(void);
void own_files_after_fork(unsigned vcpu);

/* threads.c: device time across threads. */
int threads_know(const char *target);
void thread_starts(qemu_plugin_id_t id, unsigned vcpu);
void thread_ends(qemu_plugin_id_t id, unsigned vcpu);
void count_classes(unsigned vcpu);
void wait_for_others(unsigned vcpu);
void keep_pace(unsigned vcpu);
void syscall_starts(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                    uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8);
void syscall_ends(qemu_plugin_id_t id, unsigned vcpu, int64_t number, int64_t result);

/* marks.c: what ran between two marks. */
void mark(unsigned vcpu, enum counts_call call, uint64_t token);
void collect_ended(unsigned vcpu);
void mark_calls(uint64_t address);

/* caches.c: a model of the device's data caches. */
int caches_parse(const char *sizes);
int caches_modelled(void);
void cache_access(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data);

#endif
