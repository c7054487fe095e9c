/*
 * probe: whether anything answers where Redis is: TCP connects beside the links' own, on which
 * nothing is sent.
 *
 * A server that accepts, refuses or is busy answers; so does the kernel of one that is stopped.
 * What does not answer is behind a network that drops packets, or gone with its host.
 */
#ifndef REDIS_PROBE_H
#define REDIS_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "redis/redis.h"

struct redis_probe;

enum redis_probe_state {
    REDIS_PROBE_WAITING, /* nothing is known yet */
    REDIS_PROBE_ANSWERED,
    REDIS_PROBE_SILENT /* none of the addresses has answered in time */
};

/* The target must outlive it. Of a unix socket's nothing is ever known. */
struct redis_probe *redis_probe_create(struct loop *loop, const struct redis_target *target);
void redis_probe_destroy(struct redis_probe **probe);
/* Looks the target's addresses up, without blocking; those known before serve until then. To be
 * called now and then, as names may not be found either when packets are dropped. */
void redis_probe_refresh(struct redis_probe *probe);
/* Connects to all addresses that are known. Forgets what the last start found. */
void redis_probe_start(struct redis_probe *probe);
void redis_probe_stop(struct redis_probe *probe);
/* patience_ms: how long an answer may take. */
enum redis_probe_state redis_probe_check(const struct redis_probe *probe, uint64_t patience_ms);
/* How long ago it was started, ms. */
uint64_t redis_probe_age_ms(const struct redis_probe *probe);

#endif
