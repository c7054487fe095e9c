/*
 * board: the metrics and the readiness of all workers of a supervisor, in memory that they share.
 *
 * The supervisor creates it and says what becomes of each worker. A worker joins it: from then on
 * its metrics are there, where the others read them while it counts on. Each process of a worker
 * has an area of its own, of two for each worker, as two overlap when one replaces the other. An
 * area begins with a hash of the list of metrics: those of another release cannot be read, and are
 * left out.
 */
#ifndef METRICS_BOARD_H
#define METRICS_BOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BOARD_WORKERS_MAX 256
#define BOARD_WHY_SIZE    96

enum board_state { BOARD_PAUSED, BOARD_STARTING, BOARD_SERVING };

/* A worker as its supervisor sees it. */
struct board_worker {
    uint32_t state;    /* enum board_state */
    uint32_t area;     /* of its process: from 0 on, below twice the number of workers */
    uint32_t starts;   /* of processes */
    uint32_t failures; /* in a row */
    uint32_t helper;   /* the worker that serves its listeners while it does not; 0: none */
    int32_t pid;
    uint64_t resumes_us; /* PAUSED: when it is started again, in monotonic time */
};

struct board;

/* The supervisor: *fd is to be given to the workers; closed by board_destroy. NULL with errno. */
struct board *board_create(unsigned workers, int *fd);
void board_destroy(struct board **board);
/* worker: from 1 on. */
void board_publish(struct board *board, unsigned worker, const struct board_worker *state);
/* An area is to be used by another process: zeroes it. */
void board_clear(struct board *board, unsigned area);

/* A worker: this process's metrics are in that area from now on; what was counted before is kept.
 * fd may be closed then. False with errno. */
bool board_join(int fd, unsigned worker, unsigned area) __attribute__((warn_unused_result));
/* How many workers there are; 0: this process is none. */
unsigned board_workers(void);
/* The own number. */
unsigned board_own(void);
/* worker: from 1 on. The state, and whether its process says that it is ready, else why not. */
void board_read(unsigned worker, struct board_worker *state, bool *ready, char why[BOARD_WHY_SIZE]);
/* Whether this process is ready, for the others; why: may be NULL. */
void board_set_ready(bool ready, const char *why);

#endif
