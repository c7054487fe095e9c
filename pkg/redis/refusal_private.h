/*
 * refusal_private: which refusals of Redis are going on, so that each is logged when it begins and
 * when it has ended, not at each reply.
 */
#ifndef REDIS_REFUSAL_PRIVATE_H
#define REDIS_REFUSAL_PRIVATE_H

#include "base/log.h"
#include "redis/redis.h"

/* One period of one kind: it has ended when none came for this long. */
#define REDIS_REFUSAL_QUIET_MS 5000

struct redis_refusals {
    struct redis_refusal_period {
        uint64_t since_ms;
        uint64_t last_ms;
        uint64_t count; /* 0: none is going on */
    } kinds[REDIS_REFUSAL_COUNT];
    struct log_limit other_limit;
};

/* Counts an error reply, and logs it if it begins a period. secret: its text
 * may quote a password, so only its code is shown. */
void redis_refusals_note(struct redis_refusals *refusals, const char *link,
                         const struct redis_reply *reply, bool secret, uint64_t now_ms);
/* Ends the periods that have been quiet; true while one goes on. */
bool redis_refusals_check(struct redis_refusals *refusals, const char *link, uint64_t now_ms);
/* Ends those that keep a link from coming up: it is up. */
void redis_refusals_link_up(struct redis_refusals *refusals, const char *link, uint64_t now_ms);

#endif
