/*
 * session: what all protocols of connections share: a service with its sessions, oldest first;
 * how they are drained, and ended later; why a session is not read from; the error budget.
 *
 * A protocol's service begins with a struct protocol_service, and its sessions have a list node
 * that is in one of the service's lists, or in none once the session has ended:
 *
 *   joined ──► sessions ── protocol_service_end_later ──► ending ── its task ──► in none ──► left
 *                 └──────────────── list_remove, when it ends at once ─────────────┘
 *
 * It counts until its connection is closed (protocol_service_leave), so that a shutdown waits for
 * the last bytes of those that have ended.
 */
#ifndef PROTOCOL_SESSION_SESSION_H
#define PROTOCOL_SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "loop/loop.h"
#include "net/conn.h"

struct map;

/* A protocol's part; link: a session's node. */
struct protocol_callbacks {
    /* The front-end is shutting down or cut off: end the session, which has been removed
     * from the list. */
    void (*drain)(struct list *link, enum conn_close_reason why);
    /* End one that was to end later, and has been removed from the list. NULL: never used. */
    void (*end)(struct list *link);
};

struct protocol_service {
    struct map *map;
    struct loop *loop;
    const struct protocol_callbacks *callbacks;
    struct list sessions; /* not ended, oldest first */
    struct list ending;   /* to be ended by the task */
    struct loop_task end_task;
    size_t count; /* of sessions, also of those that have ended, until they leave */
    size_t ports; /* what its listeners share; each refers to the service */
};

/* callbacks: static. map and its loop must outlive the service. */
void protocol_service_init(struct protocol_service *service, struct map *map, struct loop *loop,
                           const struct protocol_callbacks *callbacks);
/* There must be no sessions and no ports. */
void protocol_service_free(struct protocol_service *service);

void protocol_service_join(struct protocol_service *service, struct list *link);
/* Its connection is closed. */
void protocol_service_leave(struct protocol_service *service, struct list *link);
/* Has the session ended in LOOP_PHASE_STORE: it may be one of those that the map is notifying. */
void protocol_service_end_later(struct protocol_service *service, struct list *link);
/* Ends at most count sessions, the oldest first. Returns how many. */
size_t protocol_service_drain(struct protocol_service *service, size_t count,
                              enum conn_close_reason why);

/* Reasons, as bits of *stops, for which a connection is not read from: reading pauses with the
 * first and resumes after the last. Resuming for a reason that was not given does nothing. */
void protocol_stop_reading(uint8_t *stops, unsigned reason, struct conn *conn);
void protocol_resume_reading(uint8_t *stops, unsigned reason, struct conn *conn);

/* Refused messages of a session in a window that begins with the first one. Zero-initialise. */
struct error_budget {
    uint32_t since; /* when those that are counted began, ms */
    uint32_t count;
};
/* Counts one more; returns how many there are in the window. */
uint32_t error_budget_spend(struct error_budget *budget, uint64_t now_ms, int64_t window_ms);

#endif
