/* Commands for the shell. The C library's own functions would start /bin/sh past the functions of spawn.c. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define FUNCTIONS(X) X(pclose)
FUNCTIONS(DECLARE_REAL)

void shell_resolve(void)
{
    FUNCTIONS(RESOLVE_REAL)
}

/* 0 or an error. `actions` and `attributes` are used up. */
static int start_shell(pid_t *child, const char *line, posix_spawn_file_actions_t *actions,
                       posix_spawnattr_t *attributes)
{
    char *const arguments[] = {"sh", "-c", (char *)line, NULL};
    int error = posix_spawn(child, "/bin/sh", actions, attributes, arguments, environ);
    if (actions) {
        posix_spawn_file_actions_destroy(actions);
    }
    if (attributes) {
        posix_spawnattr_destroy(attributes);
    }
    return error;
}

/* The end of a child; signals do not end the wait. */
static int end_of(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return status;
}

EXPORT int system(const char *line)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, interrupt, quit;
    sigset_t blocked, mask, defaults;
    posix_spawnattr_t attributes;
    pid_t child;
    if (!line) {
        return 1;
    }
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGINT, &ignore, &interrupt);
    sigaction(SIGQUIT, &ignore, &quit);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &blocked, &mask);
    sigemptyset(&defaults);
    if (interrupt.sa_handler != SIG_IGN) {
        sigaddset(&defaults, SIGINT);
    }
    if (quit.sa_handler != SIG_IGN) {
        sigaddset(&defaults, SIGQUIT);
    }
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &mask);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = start_shell(&child, line, NULL, &attributes);
    int status = error ? -1 : end_of(child);
    error = error ? error : errno;
    sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGQUIT, &quit, NULL);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    errno = error;
    return status;
}

/* Files that popen opened. */
static struct opened {
    FILE *file;
    pid_t child;
    struct opened *next;
} *all_opened;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static FILE *keep(FILE *file, pid_t child)
{
    struct opened *opened = malloc(sizeof *opened);
    if (opened) {
        *opened = (struct opened){.file = file, .child = child, .next = all_opened};
        all_opened = opened;
        return file;
    }
    fclose(file);
    return NULL;
}

static FILE *open_shell(const char *line, int writes, int closes_on_exec)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return NULL;
    }
    FILE *file = fdopen(ends[writes], writes ? "w" : "r");
    if (!file) {
        close(ends[0]), close(ends[1]);
        return NULL;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (struct opened *other = all_opened; other; other = other->next) {
        posix_spawn_file_actions_addclose(&actions, fileno(other->file));
    }
    posix_spawn_file_actions_adddup2(&actions, ends[!writes], writes ? STDIN_FILENO : STDOUT_FILENO);
    pid_t child;
    int error = start_shell(&child, line, &actions, NULL);
    close(ends[!writes]);
    if (error) {
        fclose(file);
        errno = error;
        return NULL;
    }
    if (!closes_on_exec) {
        fcntl(ends[writes], F_SETFD, 0);
    }
    return keep(file, child);
}

EXPORT FILE *popen(const char *line, const char *mode)
{
    int writes = *mode == 'w';
    if (!writes && *mode != 'r') {
        errno = EINVAL;
        return NULL;
    }
    pthread_mutex_lock(&lock);
    FILE *file = open_shell(line, writes, strchr(mode, 'e') != NULL);
    pthread_mutex_unlock(&lock);
    return file;
}

EXPORT int pclose(FILE *file)
{
    clock_thread();
    pthread_mutex_lock(&lock);
    struct opened **place = &all_opened;
    while (*place && (*place)->file != file) {
        place = &(*place)->next;
    }
    struct opened *opened = *place;
    if (opened) {
        *place = opened->next;
    }
    pthread_mutex_unlock(&lock);
    if (!opened) {
        return real_pclose(file);
    }
    pid_t child = opened->child;
    free(opened);
    fclose(file);
    return end_of(child);
}
