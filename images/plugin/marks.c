/* What ran between two marks: how often each thread executed each block, written to <pid>.marks. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t l2_marked, dram_marked;

/* A growing array; what does not fit into memory is lost, and the counter file says so. */
struct array {
    char *data;
    size_t used, size;
};
static struct array pending; /* struct mark_entry: what ran since the last mark */
static struct array record;  /* what is about to be written */

static void append(struct array *array, const void *data, size_t size)
{
    if (array->used + size > array->size) {
        size_t larger = (array->used + size) * 2;
        char *moved = realloc(array->data, larger);
        if (!moved) {
            plugin.shared->flags |= COUNTS_FLAG_OVERFLOW;
            return;
        }
        array->data = moved;
        array->size = larger;
    }
    memcpy(array->data + array->used, data, size);
    array->used += size;
}

static void write_out(const struct array *array)
{
    for (size_t done = 0; done < array->used;) {
        ssize_t n = write(plugin.marks, array->data + done, array->used - done);
        if (n <= 0) {
            plugin.shared->flags |= COUNTS_FLAG_OVERFLOW;
            break;
        }
        done += (size_t)n;
    }
}

/* Add what a vCPU's thread executed since the last mark to what is pending. */
static void collect(unsigned vcpu)
{
    struct cpu *cpu = &plugin.cpus[vcpu];
    for (uint32_t i = 0; cpu->thread && i < plugin.used_blocks; i++) {
        uint64_t executions = cpu->executions[i];
        if (executions != cpu->marked[i]) {
            struct mark_entry entry = {
                .block = i,
                .thread = (uint32_t)(cpu->thread - plugin.shared->thread),
                .executions = executions - cpu->marked[i],
            };
            append(&pending, &entry, sizeof entry);
            cpu->marked[i] = executions;
        }
    }
}

static void describe(struct block *block)
{
    struct mark_block described = {
        .kind = MARK_BLOCK,
        .index = block->index,
        .address = block->address,
        .instructions = block->instructions,
    };
    memcpy(described.classes, block->classes, sizeof block->classes);
    append(&record, &described, sizeof described);
    block->written = 1;
}

/* Cache lines fetched since the last mark, by all threads. */
static void cache_lines(uint64_t *l2, uint64_t *dram)
{
    uint64_t l2_now = 0, dram_now = 0;
    for (unsigned i = 0; i < plugin.shared->threads; i++) {
        l2_now += plugin.shared->thread[i].l2_lines;
        dram_now += plugin.shared->thread[i].dram_lines;
    }
    *l2 = l2_now - l2_marked, *dram = dram_now - dram_marked;
    l2_marked = l2_now, dram_marked = dram_now;
}

void mark(unsigned vcpu, enum counts_call call, uint64_t token)
{
    static uint64_t last_time;
    const struct counts_thread *thread = plugin.cpus[vcpu].thread;
    struct mark_delta delta = {.kind = MARK_DELTA, .call = call, .token = token};
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < plugin.used_cpus; i++) {
        collect(i);
    }
    const struct mark_entry *entries = (const void *)pending.data;
    size_t count = pending.used / sizeof *entries;
    cache_lines(&delta.l2_lines, &delta.dram_lines);
    for (size_t i = 0; call != COUNTS_RESET && i < count; i++) {
        if (!plugin.blocks[entries[i].block]->written) {
            describe(plugin.blocks[entries[i].block]);
        }
    }
    delta.since = last_time;
    delta.time = last_time = counts_time(thread);
    if (call != COUNTS_RESET) {
        delta.thread = (uint32_t)(thread - plugin.shared->thread);
        delta.entries = (uint32_t)count;
        append(&record, &delta, sizeof delta);
        append(&record, pending.data, pending.used);
        write_out(&record);
    }
    pending.used = record.used = 0;
    pthread_mutex_unlock(&lock);
}

/* Whoever calls a function begins a block there. QEMU may have translated it more than once. */
void mark_calls(uint64_t address)
{
    struct mark_calls found = {.kind = MARK_CALLS, .address = address};
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < plugin.used_blocks; i++) {
        if (plugin.addresses[i] != address) {
            continue;
        }
        found.calls += plugin.blocks[i]->ended;
        for (unsigned cpu = 0; cpu < plugin.used_cpus; cpu++) {
            found.calls += plugin.cpus[cpu].thread ? plugin.cpus[cpu].executions[i] : 0;
        }
    }
    append(&record, &found, sizeof found);
    write_out(&record);
    record.used = 0;
    pthread_mutex_unlock(&lock);
}

/* The vCPU's thread ends; the next one behind the same number starts from zero. */
void collect_ended(unsigned vcpu)
{
    pthread_mutex_lock(&lock);
    collect(vcpu);
    for (unsigned i = 0; i < plugin.used_blocks; i++) {
        plugin.blocks[i]->ended += plugin.cpus[vcpu].executions[i];
    }
    pthread_mutex_unlock(&lock);
    madvise(plugin.cpus[vcpu].executions, MAX_BLOCKS * sizeof(uint64_t), MADV_DONTNEED);
    madvise(plugin.cpus[vcpu].marked, MAX_BLOCKS * sizeof(uint64_t), MADV_DONTNEED);
}
