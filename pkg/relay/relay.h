/*
 * relay: packets from one client to another, across front-ends.
 *
 * A packet for an id goes to the front-end that owns it, through that front-end's own channel; a
 * broadcast is published once for all front-ends. The receiving front-end acknowledges a packet to
 * the sender's, so that the sender learns whether it was delivered.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"
#include "map/map.h"
#include "map/session.h"

/* Receives the broadcasts and invitations of a space: one for each service that has sessions there.
 * The caller sets the functions. */
struct relay_listener {
    struct list link; /* the space's */
    struct map_space *space;
    /* A packet for all sessions of this service, the sender included. May be NULL. */
    void (*broadcast)(struct relay_listener *listener, struct bytes from, struct bytes packet);
    /* An invitation for the user. Returns true when it was delivered to one of this service's
     * sessions. May be NULL. */
    bool (*invited)(struct relay_listener *listener, struct bytes user, struct bytes invitation);
};
struct map_feature;
/* To be added to each map (map/feature.h). */
extern const struct map_feature relay_feature;

void relay_listen(struct map_space *space, struct relay_listener *listener);
void relay_unlisten(struct relay_listener *listener);
/* A list of struct relay_listener: for other features that deliver to listeners. */
struct list *relay_listeners(const struct map_space *space);

/*
 * Sends a packet, opaque bytes, to the client with the id `to`; `from` is the sender as the
 * receiver's protocol shows it. done, which may be NULL, is called once, unless the session ends
 * before:
 *
 *   MAP_OK        delivered to a session
 *   MAP_MISSING   there is no such id, or its protocol accepts no packets
 *   MAP_DEADLINE  not acknowledged within redis.deadline; it may have been delivered
 *   MAP_REFUSED   too many packets are pending (relay.max_pending, relay.max_bytes)
 */
void relay_send_packet(struct map_session *session, struct bytes from, struct bytes to,
                       struct bytes packet, map_done done, void *arg);
/* The same to several receivers, each with an arg of its own for done. All of them here share the
 * packet, and those whose front-end is not known are looked up together. */
struct relay_receiver {
    struct bytes id;
    void *arg;
};
void relay_send_to_many(struct map_session *session, struct map_packet *packet,
                        const struct relay_receiver *receivers, size_t count, map_done done);
/* What it costs beside the sender's message, in units of work (docs/configuration.md): for its
 * receivers, those that are looked up, and what is sent to other front-ends. */
uint32_t relay_cost(const struct map_session *session, size_t len, const struct bytes *ids,
                    size_t count);
uint32_t relay_broadcast_cost(const struct map_session *session, size_t len);
/* Sends a packet to all clients in the session's space. done: MAP_OK when it has been published. */
void relay_send_broadcast(struct map_session *session, struct bytes from, struct bytes packet,
                          map_done done, void *arg);

#endif
