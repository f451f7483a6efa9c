/* Counts the instructions that a guest retires, by thread and class, and keeps the time of its clock.
 *
 * Options: dir=FOLDER for the files (see counts.h), rate=N/D nanoseconds a tick, start=NS and realtime=NS for what the
 * clocks show at the beginning, caches=LINE:SIZE:WAYS[:SIZE:WAYS…] for a model of the data caches.
 * Instructions are sorted when a block is translated; each execution of a block then costs one call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

#define WAITING_NOPS 16 /* nobody else writes so many at once: gemmlowp spins over 256 of them */
#define MAX_INSNS 512 /* QEMU's TCG_MAX_INSNS: no block has more */

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_API;

struct plugin plugin;

enum machine { OTHER, A64, ARM, M_PROFILE };
static enum machine machine;

/* The loop around a wait: what ran since the last one, if it was that little, is taken back. Returns its length. */
static uint64_t forget_loop(struct cpu *cpu)
{
    uint64_t length = cpu->thread->retired - cpu->last_wait, found = 0;
    if (!plugin.parallel || length > WAITING_LOOP) {
        return 0;
    }
    for (unsigned i = 0; i < RECENT && found < length; i++) {
        const struct block *block = cpu->recent[--cpu->newest % RECENT];
        cpu->executions[block->index]--;
        found += block->instructions;
    }
    return found;
}

static void run_block(unsigned vcpu, void *data)
{
    struct block *block = data;
    struct cpu *cpu = &plugin.cpus[vcpu];
    cpu->executions[block->index]++;
    cpu->thread->retired += block->instructions;
    cpu->recent[cpu->newest++ % RECENT] = block;
    if (cpu->thread->retired >= cpu->next_pace) {
        keep_pace(vcpu);
    }
}

/* Waiting is no work: neither in the thread's time nor in the counts by block. */
static void run_waiting_block(unsigned vcpu, void *data)
{
    const struct block *block = data;
    struct cpu *cpu = &plugin.cpus[vcpu];
    uint64_t waited = block->instructions + forget_loop(cpu);
    /* In this order, which counts_time reads in reverse: other threads must never see a time that this one had not. Two
     * that wait would else push each other on. */
    cpu->thread->waited += waited;
    __atomic_store_n(&cpu->thread->ahead, cpu->thread->ahead - (int64_t)waited, __ATOMIC_RELAXED);
    __atomic_store_n(&cpu->thread->retired, cpu->thread->retired + block->instructions, __ATOMIC_RELEASE);
    cpu->last_wait = cpu->thread->retired;
    wait_for_others(vcpu);
}

/* Put one instruction into its class. */
static void sort(struct block *block, unsigned class, int is_nop)
{
    block->classes[class & ~INSN_IS_WAIT]++;
    block->nops += is_nop;
    block->waits |= (class & INSN_IS_WAIT) != 0 || block->nops >= WAITING_NOPS;
}

static void sort_a64(struct block *block, const struct qemu_plugin_tb *tb, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t insn;
        memcpy(&insn, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof insn);
        unsigned class = a64_class(insn);
        if (class == INSN_CRYPTO && plugin.crypto >= 0) {
            /* QEMU's cores have these, some boards' cores have not: see sandbox/profilers/reached.py */
            dprintf(plugin.crypto, "%llx %08x\n", (unsigned long long)block->address + 4 * i, insn);
        }
        sort(block, class, insn == 0xd503201f);
    }
}

static void sort_arm(struct block *block, const struct qemu_plugin_tb *tb, size_t n)
{
    uint32_t words[MAX_INSNS];
    uint8_t sizes[MAX_INSNS];
    for (size_t i = 0; i < n; i++) {
        const struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        sizes[i] = (uint8_t)qemu_plugin_insn_size(insn);
        words[i] = 0;
        memcpy(&words[i], qemu_plugin_insn_data(insn), sizes[i]);
    }
    int thumb = machine == M_PROFILE || block_is_thumb(words, sizes, (unsigned)n, block->address);
    for (size_t i = 0; i < n; i++) {
        if (thumb) {
            sort(block, t32_class((uint16_t)words[i], (uint16_t)(words[i] >> 16)), (uint16_t)words[i] == 0xbf00);
        } else {
            sort(block, a32_class(words[i]), words[i] == 0xe320f000);
        }
    }
}

/* Room for one more block, or null. */
static struct block *new_block(void)
{
    struct block *block = calloc(1, sizeof *block);
    if (!block || plugin.used_blocks == MAX_BLOCKS) {
        plugin.shared->flags |= COUNTS_FLAG_OVERFLOW;
        free(block);
        return NULL;
    }
    block->index = plugin.used_blocks;
    plugin.blocks[plugin.used_blocks++] = block;
    return block;
}

/* As long as there is one thread, additions without a call are enough and much cheaper: 1.2 times the bare emulator
 * for the Python interpreter, not 1.45. QEMU translates everything anew once, for a second thread or for memory that is
 * shared with other processes (linux-user/mmap.c); what it translates from then on may run in any thread. */
static void count_executions(struct qemu_plugin_tb *tb, struct block *block)
{
    struct cpu *first = &plugin.cpus[0];
    if (block->waits || plugin.parallel || !first->thread) {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, block->waits ? run_waiting_block : run_block, QEMU_PLUGIN_CB_NO_REGS,
                                             block);
    } else {
        qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &first->executions[block->index], 1);
        qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &first->thread->retired,
                                                 block->instructions);
    }
}

/* QEMU holds a lock of its own while it translates for a process, and a Cortex-M has one core. */
static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    size_t n = qemu_plugin_tb_n_insns(tb);
    struct block *block = new_block();
    if (!block) {
        return;
    }
    block->address = plugin.addresses[block->index] = qemu_plugin_tb_vaddr(tb);
    block->instructions = (uint16_t)n;
    if (n > MAX_INSNS || machine == OTHER) {
        block->classes[INSN_UNKNOWN] = (uint16_t)n;
    } else if (machine == A64) {
        sort_a64(block, tb, n);
    } else {
        sort_arm(block, tb, n);
    }
    count_executions(tb, block);
    for (size_t i = 0; caches_modelled() && i < n; i++) {
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), cache_access, QEMU_PLUGIN_CB_NO_REGS,
                                         QEMU_PLUGIN_MEM_RW, NULL);
    }
}

static void finish(qemu_plugin_id_t id, void *data)
{
    (void)id, (void)data;
    for (unsigned i = 0; i < plugin.used_cpus; i++) {
        if (plugin.cpus[i].thread) {
            count_classes(i);
        }
    }
    plugin.shared->flags |= COUNTS_FLAG_COMPLETE;
}

static int parse(const char *option)
{
    struct counts *shared = plugin.shared;
    unsigned long long number;
    if (sscanf(option, "rate=%u/%u", &shared->rate[0], &shared->rate[1]) == 2) {
        return shared->rate[0] && shared->rate[1];
    }
    if (sscanf(option, "start=%llu", &number) == 1) {
        shared->start_ns = number;
        return 1;
    }
    if (sscanf(option, "realtime=%llu", &number) == 1) {
        shared->realtime_ns = number;
        return 1;
    }
    return strncmp(option, "caches=", 7) == 0 && caches_parse(option + 7);
}

static int refuse(const char *what, const char *detail)
{
    fprintf(stderr, "edge-sandbox counting plugin: %s%s\n", what, detail);
    return 1;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **options)
{
    if (count == 0 || strncmp(options[0], "dir=", 4) != 0 || strlen(options[0] + 4) >= sizeof plugin.directory) {
        return refuse("the first option must be dir=FOLDER", "");
    }
    strcpy(plugin.directory, options[0] + 4);
    if (!open_files()) {
        refuse("nothing is counted: cannot write counter files in ", plugin.directory);
        return 0;
    }
    *plugin.shared = (struct counts){.magic = COUNTS_MAGIC, .version = COUNTS_VERSION, .rate = {1, 1}};
    for (int i = 1; i < count; i++) {
        if (!parse(options[i])) {
            return refuse("unknown option ", options[i]);
        }
    }
    int arm = strcmp(info->target_name, "arm") == 0;
    machine = strcmp(info->target_name, "aarch64") == 0 ? A64 : !arm ? OTHER : info->system_emulation ? M_PROFILE : ARM;
    qemu_plugin_register_vcpu_init_cb(id, thread_starts);
    qemu_plugin_register_vcpu_exit_cb(id, thread_ends);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, finish, NULL);
    if (!info->system_emulation && threads_know(info->target_name)) {
        qemu_plugin_register_vcpu_syscall_cb(id, syscall_starts);
        qemu_plugin_register_vcpu_syscall_ret_cb(id, syscall_ends);
    }
    return 0;
}
