/*
 * probe: whether anything answers at Redis's addresses, or at those of its Sentinels: TCP connects
 * in addition to those of the links; nothing is sent on them.
 *
 * A server that accepts, refuses or is busy answers; so does the kernel for one that is stopped. No
 * answer means that the network drops packets, or that the host is down.
 */
#ifndef REDIS_PROBE_H
#define REDIS_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "redis/redis.h"

struct redis_probe;

enum redis_probe_state {
    REDIS_PROBE_WAITING, /* no result yet */
    REDIS_PROBE_ANSWERED,
    REDIS_PROBE_UNREACHABLE /* none of the addresses has answered in time */
};

/* The target must outlive it. For a unix socket the state stays REDIS_PROBE_WAITING. */
struct redis_probe *redis_probe_create(struct loop *loop, const struct redis_target *target);
void redis_probe_destroy(struct redis_probe **probe);
/* Looks the target's addresses up, without blocking; the previous ones remain in use until then.
 * Call it regularly: while packets are dropped, look-ups fail too. */
void redis_probe_refresh(struct redis_probe *probe);
/* Connects to all known addresses. Discards the previous result. */
void redis_probe_start(struct redis_probe *probe);
void redis_probe_stop(struct redis_probe *probe);
/* timeout_ms: how long an answer may take. */
enum redis_probe_state redis_probe_check(const struct redis_probe *probe, uint64_t timeout_ms);
/* Time since redis_probe_start, ms. */
uint64_t redis_probe_age_ms(const struct redis_probe *probe);

#endif
