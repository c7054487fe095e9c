/*
 * talker: the generator's WebSocket connections: many of one service, each brought to take part.
 *
 * Frames over TALKER_KEPT bytes are counted and thrown away as they come.
 */
#ifndef BENCH_TALKER_H
#define BENCH_TALKER_H

#include "peer.h"
#include "service.h"

#define TALKER_KEPT 16384

struct talkers;

/* The start of a role's own struct of a connection. */
struct talker {
    struct peer peer;
    struct voice voice;
    uint64_t skip; /* bytes of a frame that are still to be thrown away */
    enum { TALKER_SHAKES_HANDS, TALKER_WAITS, TALKER_TAKES_PART } state;
};

struct talker_handler {
    /* Of one that takes part. */
    void (*heard)(struct talker *talker, struct bytes message, uint64_t now_us);
    /* All take part. */
    void (*ready)(void *arg);
    /* One that was lost takes part again. NULL: nothing to do. */
    void (*returned)(struct talker *talker);
};

/* size: of the role's struct. */
struct talkers *talkers_create(struct member *member, const struct service *service, bool speak,
                               size_t size, const struct talker_handler *handler, void *arg);
struct talker *talkers_at(struct talkers *talkers, uint32_t index);
void *talkers_arg(const struct talkers *talkers);
struct talkers *talker_talkers(const struct talker *talker);
/* Connects all, and lets them take part. */
void talkers_start(struct talkers *talkers);
/* To be appended to with frames; then talker_flush. */
struct writer *talker_output(struct talker *talker);
void talker_flush(struct talker *talker);

#endif
