/* A model of the device's data caches: set-associative, write-allocate, least recently used out first, each level
 * shared by all threads. It has no prefetcher and no instruction cache: it counts the lines that must be fetched, not
 * how long that takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"

#define LEVELS 3
#define MAX_WAYS 32

static struct level {
    unsigned sets, ways;
    uint64_t *tags; /* sets × ways, most recently used first; a tag is the line's number + 1 */
} levels[LEVELS];
static unsigned used_levels, line_shift;

static int add_level(unsigned long size, unsigned ways)
{
    struct level *level = &levels[used_levels];
    if (used_levels == LEVELS || ways == 0 || ways > MAX_WAYS || size % ((unsigned long)ways << line_shift)) {
        return 0;
    }
    level->ways = ways;
    level->sets = (unsigned)(size / ways >> line_shift);
    level->tags = calloc((size_t)level->sets * ways, sizeof *level->tags);
    used_levels++;
    return level->sets && level->tags;
}

/* LINE:SIZE:WAYS[:SIZE:WAYS…], sizes in bytes, the first level first. */
int caches_parse(const char *sizes)
{
    unsigned line, ways;
    unsigned long size;
    int used;
    if (sscanf(sizes, "%u%n", &line, &used) != 1 || line < 16 || line > 256 || line & (line - 1)) {
        return 0;
    }
    line_shift = (unsigned)__builtin_ctz(line);
    for (sizes += used; sscanf(sizes, ":%lu:%u%n", &size, &ways, &used) == 2; sizes += used) {
        if (!add_level(size, ways)) {
            return 0;
        }
    }
    return *sizes == 0 && used_levels > 0;
}

int caches_modelled(void)
{
    return used_levels > 0;
}

/* Whether the level holds the line; it does afterwards. */
static int look_up(struct level *level, uint64_t line)
{
    uint64_t *set = level->tags + (size_t)(line % level->sets) * level->ways;
    unsigned way = 0;
    while (way + 1 < level->ways && set[way] != line + 1) {
        way++;
    }
    int held = set[way] == line + 1;
    memmove(set + 1, set, way * sizeof *set);
    set[0] = line + 1;
    return held;
}

void cache_access(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)data;
    struct counts_thread *thread = plugin.cpus[vcpu].thread;
    uint64_t last = (address + (1u << qemu_plugin_mem_size_shift(info)) - 1) >> line_shift;
    for (uint64_t line = address >> line_shift; line <= last; line++) {
        unsigned level = 0;
        while (level < used_levels && !look_up(&levels[level], line)) {
            level++;
        }
        thread->l2_lines += level > 0;
        thread->dram_lines += level == used_levels;
    }
}
