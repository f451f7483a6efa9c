/* The counter file <pid>.counts, the file of marks <pid>.marks and the list of cryptographic instructions <pid>.crypto in
 * the folder that the `dir` option names. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugin.h"

static int open_file(const char *suffix, int flags)
{
    char path[sizeof plugin.directory + 32];
    snprintf(path, sizeof path, "%s/%d.%s", plugin.directory, (int)getpid(), suffix);
    return open(path, flags | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
}

/* Map a new counter file, at `place` if that is not null. Null when that cannot be done. */
static struct counts *map_counts(struct counts *place)
{
    int file = open_file("counts", O_RDWR);
    if (file < 0) {
        return NULL;
    }
    void *mapped = MAP_FAILED;
    if (ftruncate(file, sizeof(struct counts)) == 0) {
        mapped = mmap(place, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED | (place ? MAP_FIXED : 0), file,
                      0);
    }
    close(file);
    return mapped == MAP_FAILED ? NULL : mapped;
}

int open_files(void)
{
    plugin.shared = map_counts(NULL);
    plugin.marks = open_file("marks", O_WRONLY | O_APPEND);
    plugin.crypto = open_file("crypto", O_WRONLY | O_APPEND); /* without it, counting goes on */
    return plugin.shared != NULL && plugin.marks >= 0;
}

/* A forked child goes on counting from what its parent had, in files of its own. Only the forking thread lives on; the
 * blocks' counters are private memory, which the fork has copied. */
void own_files_after_fork(unsigned vcpu)
{
    static struct counts copy;
    memcpy(&copy, plugin.shared, sizeof copy);
    if (!map_counts(plugin.shared)) {
        /* The parent's numbers must stay the parent's: without a file the child counts for itself alone. */
        mmap(plugin.shared, sizeof copy, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    memcpy(plugin.shared, &copy, sizeof copy);
    close(plugin.marks);
    plugin.marks = open_file("marks", O_WRONLY | O_APPEND);
    close(plugin.crypto);
    plugin.crypto = open_file("crypto", O_WRONLY | O_APPEND);
    for (unsigned i = 0; i < plugin.used_cpus; i++) {
        if (i != vcpu) {
            plugin.cpus[i].thread = NULL;
        }
    }
    for (unsigned i = 0; i < plugin.used_blocks; i++) {
        plugin.blocks[i]->written = 0;
    }
}
