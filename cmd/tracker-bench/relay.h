/*
 * relay: the baseline for fan-out: a bare loop that writes what one event-loop iteration read
 * from the writers to every receiver, with one write(2) each, and does nothing else.
 *
 * Two kinds: one forwards the bytes unchanged. The other has a minimal WebSocket server: it accepts
 * any upgrade, and forwards the writers' messages, each encoded once; the messages of one iteration
 * are sent with one write.
 *
 * It runs in a separate process, until relay_stop or the parent's exit. A receiver that cannot take
 * a whole write is dropped: there is no queue.
 */
#ifndef BENCH_RELAY_H
#define BENCH_RELAY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct relay {
    pid_t pid;
    char in[32];  /* where writers connect */
    char out[32]; /* where receivers connect */
};

struct loop;

/* Serves two listening sockets: for writers, and for receivers. Returns at once. */
typedef void (*relay_service)(struct loop *loop, int in, int out);
void relay_bytes(struct loop *loop, int in, int out);
void relay_websocket(struct loop *loop, int in, int out);

void relay_start(struct relay *relay, relay_service service);
void relay_stop(struct relay *relay);

/* For the services: who gets what is written. A receiver that has been dropped is -1. */
struct receivers {
    int *fds;
    uint32_t count;
    uint32_t capacity;
};
void receivers_add(struct receivers *receivers, int fd);
/* One write(2) each. */
void receivers_write(struct receivers *receivers, const void *data, size_t len);
/* A connection, or -1: there is none now. */
int relay_accept(int listener);

#endif
