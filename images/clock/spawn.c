/* Programs that the guest starts. The host's kernel cannot run them: it has to be given the emulator's command line in
 * their place. $EDGE_EMULATOR holds the beginning of that, an argument a line. The child's clock goes on from its
 * parent's. Variables for the guest's dynamic loader would be read by the emulator's first, so they travel as options.
 * All of this may happen between fork and exec: memory is on the stack only. Relative paths are looked up before the
 * file actions of posix_spawn; execveat and system calls made by hand are not helped. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

#define FUNCTIONS(X) X(execve) X(posix_spawn)
FUNCTIONS(DECLARE_REAL)

#if defined __aarch64__
#define MACHINE EM_AARCH64
#elif defined __arm__
#define MACHINE EM_ARM
#elif defined __x86_64__
#define MACHINE EM_X86_64
#endif

#define HEAD 256       /* bytes of a program that tell what it is; the kernel reads as many of a script */
#define INTERPRETERS 4 /* scripts that are interpreters of scripts */
#define LONGEST_OPTION 4096

static char *emulator[64]; /* the beginning of its command line; empty: the kernel can run guests itself */
static unsigned emulator_length;
static char *inherited[3]; /* what every child needs in its environment, "name=value" or null */

static char *variable(const char *name)
{
    const char *value = getenv(name);
    char *copy = value ? malloc(strlen(name) + strlen(value) + 2) : NULL;
    if (copy) {
        sprintf(copy, "%s=%s", name, value);
    }
    return copy;
}

void spawn_resolve(void)
{
    FUNCTIONS(RESOLVE_REAL)
    inherited[0] = variable("EDGE_COUNTS");
    inherited[1] = variable("EDGE_EMULATOR");
    inherited[2] = variable("LD_PRELOAD");
    char *rest = inherited[1] ? strdup(getenv("EDGE_EMULATOR")) : NULL;
    while (rest && *rest && emulator_length < sizeof emulator / sizeof *emulator) {
        emulator[emulator_length++] = strsep(&rest, "\n");
    }
}

/* Whether a program replaces this process, or where posix_spawn puts the child. */
struct start {
    pid_t *child; /* null: exec */
    const posix_spawn_file_actions_t *actions;
    const posix_spawnattr_t *attributes;
};

static int fail(const struct start *start, int error)
{
    errno = error;
    return start->child ? error : -1;
}

static int by_kernel(const struct start *start, const char *path, char *const *arguments, char *const *environment)
{
    if (start->child) {
        return real_posix_spawn(start->child, path, start->actions, start->attributes, arguments, environment);
    }
    return real_execve(path, arguments, environment);
}

static size_t length_of(char *const *list)
{
    size_t length = 0;
    while (list && list[length]) {
        length++;
    }
    return length;
}

static int has(char *const *environment, const char *entry)
{
    size_t name = (size_t)(strchr(entry, '=') - entry) + 1;
    for (; environment && *environment; environment++) {
        if (strncmp(*environment, entry, name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The plugin's options again, with the present time for the clocks to begin at. 0 if there is no room for it. */
static int continue_clock(char *option, const char *original)
{
    const struct counts_thread *own = clock_thread();
    size_t used = 0;
    while (*original) {
        size_t length = strcspn(original + 1, ",") + 1;
        int dropped = own && (strncmp(original, ",start=", 7) == 0 || strncmp(original, ",realtime=", 10) == 0);
        if (!dropped) {
            if (used + length >= LONGEST_OPTION - 64) {
                return 0;
            }
            memcpy(option + used, original, length);
            used += length;
        }
        original += length;
    }
    option[used] = 0;
    if (own) {
        int64_t now = clock_ns(clock_now(own));
        sprintf(option + used, ",start=%lld,realtime=%lld", (long long)now,
                (long long)(now - (int64_t)clock_counts->start_ns + (int64_t)clock_counts->realtime_ns));
    }
    return 1;
}

/* QEMU separates the variables of one -E by commas. */
static int for_loader(const char *variable)
{
    return strncmp(variable, "LD_", 3) == 0 && !strchr(variable, ',');
}

static int by_emulator(const struct start *start, const char *path, char *const *arguments, char *const *environment)
{
    size_t argument_count = length_of(arguments), variable_count = length_of(environment);
    char *command[emulator_length + argument_count + 2 * variable_count + 16];
    char *variables[variable_count + 4];
    char option[LONGEST_OPTION];
    size_t n = 0, kept = 0;
    for (unsigned i = 0; i < emulator_length; i++) {
        command[n++] = emulator[i];
        if (i > 0 && strcmp(emulator[i - 1], "-plugin") == 0) {
            if (!continue_clock(option, emulator[i])) {
                return fail(start, E2BIG);
            }
            command[n - 1] = option;
        }
    }
    for (size_t i = 0; i < variable_count + sizeof inherited / sizeof *inherited; i++) {
        char *entry = i < variable_count ? environment[i] : inherited[i - variable_count];
        if (i >= variable_count && (!entry || has(environment, entry))) {
            continue;
        }
        if (for_loader(entry)) {
            command[n++] = "-E";
            command[n++] = entry;
        } else {
            variables[kept++] = entry;
        }
    }
    variables[kept] = NULL;
    command[n++] = "-0";
    command[n++] = argument_count ? arguments[0] : (char *)path;
    command[n++] = (char *)path;
    for (size_t i = 1; i < argument_count; i++) {
        command[n++] = arguments[i];
    }
    command[n] = NULL;
    return by_kernel(start, emulator[0], command, variables);
}

/* The first bytes of an executable file, ended by a null; negative if it is none. */
static ssize_t read_head(const char *path, char *head)
{
    struct stat status;
    int file = access(path, X_OK) == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t length = -1;
    if (file >= 0) {
        length = fstat(file, &status) == 0 && S_ISREG(status.st_mode) ? read(file, head, HEAD) : -1;
        close(file);
    }
    head[length > 0 ? length : 0] = 0;
    return length;
}

static int is_guest(const char *head, ssize_t length)
{
    Elf32_Ehdr header; /* up to e_machine both classes are the same */
    memcpy(&header, head, sizeof header);
    return length >= (ssize_t)sizeof header && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
           header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_machine == MACHINE;
}

static int start_program(const struct start *start, const char *path, char *const *arguments,
                         char *const *environment, int scripts)
{
    char head[HEAD + 1], target[PATH_MAX];
    clock_thread();
    if (emulator_length == 0) {
        return by_kernel(start, path, arguments, environment);
    }
    /* The links of /proc mean another file to the emulator. */
    ssize_t linked = strncmp(path, "/proc/", 6) == 0 ? readlink(path, target, sizeof target - 1) : -1;
    if (linked > 0) {
        target[linked] = 0;
        path = target;
    }
    ssize_t length = read_head(path, head);
    if (is_guest(head, length)) {
        return by_emulator(start, path, arguments, environment);
    }
    char *line = head + 2;
    line[strcspn(line, "\n")] = 0;
    line += strspn(line, " \t");
    if (length < 2 || head[0] != '#' || head[1] != '!' || !*line) {
        return by_kernel(start, path, arguments, environment);
    }
    if (scripts == INTERPRETERS) {
        return fail(start, ELOOP);
    }
    /* #!interpreter argument, where the argument is all that is left of the line */
    char *interpreter = strsep(&line, " \t");
    line = line ? line + strspn(line, " \t") : "";
    for (size_t end = strlen(line); end > 0 && strchr(" \t", line[end - 1]); end--) {
        line[end - 1] = 0;
    }
    size_t count = length_of(arguments), n = 0;
    char *command[count + 4];
    command[n++] = interpreter;
    if (*line) {
        command[n++] = line;
    }
    command[n++] = (char *)path;
    for (size_t i = 1; i < count; i++) {
        command[n++] = arguments[i];
    }
    command[n] = NULL;
    return start_program(start, interpreter, command, environment, scripts + 1);
}

/* Look a name up like a shell. Null with errno if there is no such program. */
static const char *find_program(const char *name, char *found)
{
    const char *folders = getenv("PATH");
    struct stat status;
    if (strchr(name, '/')) {
        return name;
    }
    int error = ENOENT;
    for (const char *rest = folders ? folders : "/bin:/usr/bin"; *name && rest; rest = strchr(rest, ':')) {
        rest += *rest == ':' && rest != folders;
        int length = (int)strcspn(rest, ":");
        if (snprintf(found, PATH_MAX, "%.*s%s%s", length, rest, length ? "/" : "", name) >= PATH_MAX) {
            continue;
        }
        if (stat(found, &status) == 0 && S_ISREG(status.st_mode)) {
            if (access(found, X_OK) == 0) {
                return found;
            }
            error = EACCES;
        }
    }
    errno = error;
    return NULL;
}

static const struct start by_exec;

EXPORT int execve(const char *path, char *const *arguments, char *const *environment)
{
    return start_program(&by_exec, path, arguments, environment, 0);
}

EXPORT int execv(const char *path, char *const *arguments)
{
    return execve(path, arguments, environ);
}

/* What is neither a program nor names its interpreter is the shell's. */
EXPORT int execvpe(const char *name, char *const *arguments, char *const *environment)
{
    char found[PATH_MAX];
    const char *path = find_program(name, found);
    if (!path) {
        return -1;
    }
    execve(path, arguments, environment);
    if (errno == ENOEXEC) {
        size_t count = length_of(arguments);
        char *command[count + 3];
        command[0] = "/bin/sh";
        command[1] = (char *)path;
        memcpy(&command[2], &arguments[count > 0], (count + (count == 0)) * sizeof *command);
        execve(command[0], command, environment);
    }
    return -1;
}

EXPORT int execvp(const char *name, char *const *arguments)
{
    return execvpe(name, arguments, environ);
}

EXPORT int fexecve(int file, char *const *arguments, char *const *environment)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return execve(path, arguments, environment);
}

/* The arguments of a call, from the first to the null, as `arguments`; `list` stands behind them then. */
#define COLLECT(first) \
    va_list list; \
    size_t count = 1; \
    va_start(list, first); \
    while (va_arg(list, char *)) { \
        count++; \
    } \
    va_end(list); \
    char *arguments[count + 1]; \
    arguments[0] = (char *)(first); \
    va_start(list, first); \
    for (size_t i = 1; i <= count; i++) { \
        arguments[i] = va_arg(list, char *); \
    }

EXPORT int execl(const char *path, const char *first, ...)
{
    COLLECT(first)
    va_end(list);
    return execv(path, arguments);
}

EXPORT int execlp(const char *name, const char *first, ...)
{
    COLLECT(first)
    va_end(list);
    return execvp(name, arguments);
}

EXPORT int execle(const char *path, const char *first, ...)
{
    COLLECT(first)
    char *const *environment = va_arg(list, char *const *);
    va_end(list);
    return execve(path, arguments, environment);
}

EXPORT int posix_spawn(pid_t *child, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const *arguments, char *const *environment)
{
    pid_t unwanted;
    struct start start = {.child = child ? child : &unwanted, .actions = actions, .attributes = attributes};
    if (emulator_length && path[0] == '/' && access(path, X_OK) != 0) {
        return errno; /* the emulator has no vfork, by which the C library would learn it from the child */
    }
    return start_program(&start, path, arguments, environment, 0);
}

EXPORT int posix_spawnp(pid_t *child, const char *name, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const *arguments, char *const *environment)
{
    char found[PATH_MAX];
    const char *path = find_program(name, found);
    return path ? posix_spawn(child, path, actions, attributes, arguments, environment) : errno;
}
