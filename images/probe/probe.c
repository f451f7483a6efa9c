/* What a microcontroller's program did, seen from inside QEMU: instructions at chosen addresses, and accesses to memory
 * that the board has not.
 *
 *     -plugin probe.so,out=FILE,mark=ADDRESS,...,allow=FIRST-END,allow=FIRST-END-r,...
 *
 * Numbers are hexadecimal without 0x; END is the first address behind, r is for memory that only reads. Each mark names
 * the address of an instruction: whenever it is about to run, how many ran before is written down. An access outside of
 * what is allowed is written down and goes on: what comes of it is for the board that QEMU knows.
 *
 * The file is mapped (struct probe below is its layout), so that it is whole when QEMU is killed or ends by abort().
 * Counting is by instruction and not by block: a fault ends a block in its middle. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "qemu_plugin.h"

#define MAX_MARKS 16
#define MAX_PASSES 16384
#define MAX_ALLOWED 48
#define MAX_STRAYS 32

struct pass {
    uint64_t instructions;
    uint64_t mark;
};

struct stray {
    uint32_t pc, address;
    uint32_t size, store;
    uint64_t times;
};

struct probe {
    char magic[8];
    uint64_t instructions;
    uint64_t passes;      /* more than MAX_PASSES: the later ones are not in the file */
    uint64_t other_stray; /* strays by instructions that found no place below */
    uint32_t strays;
    uint32_t block; /* address of the block that ran last */
    struct stray stray[MAX_STRAYS];
    struct pass pass[MAX_PASSES];
};

struct range {
    uint32_t first, last;
    int read_only;
};

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_API;

static struct probe *probe;
static uint32_t marks[MAX_MARKS];
static struct range allowed[MAX_ALLOWED];
static size_t used_marks, used_ranges;

static void passed(unsigned vcpu, void *data)
{
    (void)vcpu;
    if (probe->passes < MAX_PASSES) {
        probe->pass[probe->passes] = (struct pass){.instructions = probe->instructions, .mark = (uintptr_t)data};
    }
    probe->passes++;
}

static int may(uint32_t address, uint32_t size, int store)
{
    static size_t hint;
    uint32_t last = address + (size - 1);
    for (size_t i = 0; i < used_ranges; i++) {
        const struct range *range = &allowed[(hint + i) % used_ranges];
        if (address >= range->first && last <= range->last && last >= address) {
            hint = (hint + i) % used_ranges;
            return !(store && range->read_only);
        }
    }
    return 0;
}

static void accessed(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    uint32_t size = 1u << qemu_plugin_mem_size_shift(info), pc = (uint32_t)(uintptr_t)data;
    int store = qemu_plugin_mem_is_store(info);
    (void)vcpu;
    if (may((uint32_t)address, size, store)) {
        return;
    }
    for (uint32_t i = 0; i < probe->strays; i++) {
        if (probe->stray[i].pc == pc && (int)probe->stray[i].store == store) {
            probe->stray[i].times++;
            return;
        }
    }
    if (probe->strays == MAX_STRAYS) {
        probe->other_stray++;
        return;
    }
    probe->stray[probe->strays++] =
        (struct stray){.pc = pc, .address = (uint32_t)address, .size = size, .store = (uint32_t)store, .times = 1};
}

static void entered(unsigned vcpu, void *data)
{
    (void)vcpu;
    probe->block = (uint32_t)(uintptr_t)data;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, entered, QEMU_PLUGIN_CB_NO_REGS,
                                         (void *)(uintptr_t)qemu_plugin_tb_vaddr(tb));
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uintptr_t address = (uintptr_t)qemu_plugin_insn_vaddr(insn);
        for (size_t j = 0; j < used_marks; j++) {
            if (marks[j] == address) {
                qemu_plugin_register_vcpu_insn_exec_cb(insn, passed, QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)j);
            }
        }
        qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, &probe->instructions, 1);
        if (used_ranges) {
            qemu_plugin_register_vcpu_mem_cb(insn, accessed, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                             (void *)address);
        }
    }
}

static int map_file(const char *path)
{
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (file < 0 || ftruncate(file, sizeof *probe) != 0) {
        return 0;
    }
    probe = mmap(NULL, sizeof *probe, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (probe == MAP_FAILED) {
        return 0;
    }
    memcpy(probe->magic, "ESPROBE1", sizeof probe->magic);
    return 1;
}

static int parse_range(const char *text)
{
    unsigned long long first, end;
    int length = 0;
    if (used_ranges == MAX_ALLOWED || sscanf(text, "%llx-%llx%n", &first, &end, &length) != 2 || end <= first) {
        return 0;
    }
    allowed[used_ranges++] = (struct range){
        .first = (uint32_t)first, .last = (uint32_t)(end - 1), .read_only = strcmp(text + length, "-r") == 0};
    return text[length] == 0 || allowed[used_ranges - 1].read_only;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **options)
{
    (void)info;
    for (int i = 0; i < count; i++) {
        int good = 0;
        if (strncmp(options[i], "out=", 4) == 0) {
            good = map_file(options[i] + 4);
        } else if (strncmp(options[i], "mark=", 5) == 0 && used_marks < MAX_MARKS) {
            marks[used_marks++] = (uint32_t)strtoul(options[i] + 5, NULL, 16);
            good = 1;
        } else if (strncmp(options[i], "allow=", 6) == 0) {
            good = parse_range(options[i] + 6);
        }
        if (!good) {
            fprintf(stderr, "probe: bad option %s\n", options[i]);
            return 1;
        }
    }
    if (!probe) {
        fprintf(stderr, "probe: no out= option\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
