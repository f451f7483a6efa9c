/* An object that the TFLite interpreter takes for a C++ `tflite::Profiler`, and the events that it was told.
 *
 * The virtual methods and their order are those of `Profiler` in tensorflow/lite/core/api/profiler.h; they have not
 * changed from TensorFlow 2.11 to LiteRT 2.3, which images/guest/tflite_hook.py checks in the loaded library before it
 * is used. In memory such an object is one pointer to a table of function pointers (Itanium C++ ABI, "Virtual Table
 * Layout"). Written in C because a callback into Python costs more than a small operator does. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"

void edge_mark(unsigned long token);
void edge_operator(uint32_t index_plus_one, uint32_t subgraph);

/* `Profiler::EventType` values that are about operators; the inference as a whole and telemetry are left out. */
enum { OPERATOR = 2, DELEGATE_OPERATOR = 4, DELEGATE_PROFILED_OPERATOR = 8 };
enum kind { BEGIN, END, ADD };
/* Bits of the handle that begin_event gives and end_event takes. */
enum { IS_RECORDED = 1, IS_OPERATOR = 2 };
#define DEEPEST 16 /* operators inside operators: bodies of control flow */

/* images/guest/tflite_events.py has the same fields. */
struct event {
    uint64_t time_ns;    /* BEGIN, END: of the monotonic clock */
    uint64_t elapsed_us; /* ADD: an operator inside a delegate, reported once it has run */
    int64_t node, subgraph;
    const char *tag;
    uint32_t kind;
    uint32_t mark; /* the token of the mark made there */
};

static struct event *events;
static size_t used, size;
static int recording;

static struct event *new_event(enum kind kind)
{
    if (used == size) {
        size_t larger = size ? 2 * size : 1024;
        struct event *moved = realloc(events, larger * sizeof *events);
        if (!moved) {
            return NULL;
        }
        events = moved;
        size = larger;
    }
    events[used] = (struct event){.kind = kind, .mark = (uint32_t)used};
    return &events[used++];
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *destroy(void *self)
{
    return self;
}

/* Operators that are running, the innermost last. Told to the plugin, whose file outlives a kill of this process. */
static struct {
    uint32_t index_plus_one, subgraph;
} running[DEEPEST];
static unsigned depth;

static void tell_innermost(void)
{
    unsigned last = depth < DEEPEST ? depth : DEEPEST;
    edge_operator(last ? running[last - 1].index_plus_one : 0, last ? running[last - 1].subgraph : 0);
}

/* The mark and the clock come last here and first in end_event: the callbacks' own work falls outside the operators. */
static uint32_t begin_event(void *self, const char *tag, int type, int64_t node, int64_t subgraph)
{
    (void)self;
    if (type == OPERATOR) {
        if (depth < DEEPEST) {
            running[depth].index_plus_one = (uint32_t)node + 1;
            running[depth].subgraph = (uint32_t)subgraph;
        }
        depth++;
        tell_innermost();
    }
    struct event *event = recording && type == OPERATOR ? new_event(BEGIN) : NULL;
    if (!event) {
        return type == OPERATOR ? IS_OPERATOR : 0;
    }
    event->tag = strdup(tag ? tag : "");
    event->node = node;
    event->subgraph = subgraph;
    event->time_ns = now_ns();
    edge_mark(event->mark);
    return IS_RECORDED | IS_OPERATOR;
}

static void end_event(void *self, uint32_t handle)
{
    (void)self;
    if ((handle & IS_RECORDED) && recording) {
        edge_mark((unsigned long)used);
        uint64_t now = now_ns();
        struct event *event = new_event(END);
        if (event) {
            event->time_ns = now;
        }
    }
    if ((handle & IS_OPERATOR) && depth) {
        depth--;
        tell_innermost();
    }
}

static void end_event_with_metadata(void *self, uint32_t handle, int64_t a, int64_t b)
{
    (void)a, (void)b;
    end_event(self, handle);
}

static void add_event(void *self, const char *tag, int type, uint64_t elapsed_us, int64_t node, int64_t subgraph)
{
    (void)self;
    int inside = type == DELEGATE_OPERATOR || type == DELEGATE_PROFILED_OPERATOR;
    struct event *event = recording && inside ? new_event(ADD) : NULL;
    if (event) {
        event->tag = strdup(tag ? tag : "");
        event->elapsed_us = elapsed_us;
        event->node = node;
        event->subgraph = subgraph;
        edge_mark(event->mark);
    }
}

static void add_event_with_data(void *self, const char *tag, int type, const void *data)
{
    (void)self, (void)tag, (void)type, (void)data;
}

/* The object: its one field is the address of the table. */
EXPORT void *edge_tflite_profiler(void)
{
    static void *const table[] = {
        (void *)destroy,   (void *)destroy,   (void *)begin_event,         (void *)end_event_with_metadata,
        (void *)end_event, (void *)add_event, (void *)add_event_with_data,
    };
    static const void *object = table;
    return &object;
}

/* Record operators from now on, or no more. */
EXPORT void edge_tflite_record(int on)
{
    recording = on;
}

/* What was recorded so far, in order. */
EXPORT const struct event *edge_tflite_events(size_t *count)
{
    *count = used;
    return events;
}
