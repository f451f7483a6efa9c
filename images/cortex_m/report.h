/* What the host writes before the start, and reads in the end: sandbox/microcontroller/runner.py has the same layout. */
#ifndef RUNNER_REPORT_H
#define RUNNER_REPORT_H

#include <stdint.h>

#define RUNNER_MAGIC 0x314E5552u /* RUN1 */
#define RUNNER_OPERATORS 1024
#define RUNNER_TENSORS 16
#define RUNNER_LOG_BYTES 4096
#define RUNNER_TAG_BYTES 32

struct runner_request {
    uint32_t magic;
    uint32_t model;        /* address; 16-byte aligned */
    uint32_t arena;        /* address; 16-byte aligned */
    uint32_t arena_size;
    uint32_t profile;      /* not 0: mark every operator */
    uint32_t inputs;       /* how many follow */
    uint32_t input[RUNNER_TENSORS]; /* addresses of the bytes to feed */
};

enum runner_state {
    RUNNER_STARTED = 1,
    RUNNER_BAD_REQUEST,
    RUNNER_BAD_SCHEMA,
    RUNNER_NO_REGISTRATION,
    RUNNER_ALLOCATED,
    RUNNER_ALLOCATE_FAILED,
    RUNNER_INPUTS_DIFFER,
    RUNNER_INVOKE_FAILED,
    RUNNER_FINISHED,
};

struct runner_tensor {
    uint32_t address, bytes;
};

struct runner_report {
    uint32_t magic;
    uint32_t state;        /* enum runner_state */
    uint32_t arena_used;
    uint32_t inputs, outputs;
    struct runner_tensor input[RUNNER_TENSORS], output[RUNNER_TENSORS];
    uint32_t operators;    /* events; more than RUNNER_OPERATORS have no tag */
    uint32_t log_bytes;
    char log[RUNNER_LOG_BYTES];
    char tag[RUNNER_OPERATORS][RUNNER_TAG_BYTES];
};

#endif
