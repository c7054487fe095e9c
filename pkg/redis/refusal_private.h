/*
 * refusal_private: the refusals of Redis that are in progress, so that each kind is logged when it
 * begins and when it has ended, not for each reply.
 */
#ifndef REDIS_REFUSAL_PRIVATE_H
#define REDIS_REFUSAL_PRIVATE_H

#include "base/log.h"
#include "redis/redis.h"

/* A period of one kind ends when there was no refusal for this long. */
#define REDIS_REFUSAL_QUIET_MS 5000

struct redis_refusals {
    struct redis_refusal_period {
        uint64_t since_ms;
        uint64_t last_ms;
        uint64_t count; /* 0: not in progress */
    } kinds[REDIS_REFUSAL_COUNT];
    struct log_limit other_limit;
};

/* Counts an error reply, and logs it if it begins a period. secret: its text may quote a password,
 * so only its code is logged. */
void redis_refusals_note(struct redis_refusals *refusals, const char *link,
                         const struct redis_reply *reply, bool secret, uint64_t now_ms);
/* Ends the periods that are over; true while one is in progress. */
bool redis_refusals_check(struct redis_refusals *refusals, const char *link, uint64_t now_ms);
/* The link is up: ends the kinds that prevent that. */
void redis_refusals_link_up(struct redis_refusals *refusals, const char *link, uint64_t now_ms);

#endif
