/*
 * relay: the floor that fan-out is measured against: a bare loop that writes what one turn read
 * from the writers to every receiver, with one write(2) each, and does nothing else.
 *
 * It runs in a process of its own, until relay_stop or the parent's end. A receiver that does not
 * take a whole write is dropped: there is no queue.
 */
#ifndef BENCH_RELAY_H
#define BENCH_RELAY_H

#include <sys/types.h>

struct relay {
    pid_t pid;
    char in[32];  /* where writers connect */
    char out[32]; /* where receivers connect */
};

void relay_start(struct relay *relay);
void relay_stop(struct relay *relay);

#endif
