/*
 * peers: the other front-ends of this map, and whether Redis answers them.
 *
 * They are read from Redis (the field `advertise` of tracker:node:<node>) while it answers, and
 * kept for when it does not. GET /redisz returns how long ago Redis answered a peer. A peer counts
 * as served after two answers of Redis after a given time: one is not enough, as a front-end that
 * was stopped may find an old answer in its socket, but never a second one.
 */
#ifndef SERVER_PEERS_H
#define SERVER_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"
#include "map/map.h"

struct peers;

/* own: this front-end's node.advertise. counted: whether tracker_peers counts these. The map must
 * outlive it. */
struct peers *peers_create(struct loop *loop, struct map *map, const char *own, bool counted);
void peers_destroy(struct peers **peers);
/* Reads the list if Redis answers, and looks up new names and those whose addresses are old. Call
 * it every few seconds. */
void peers_refresh(struct peers *peers);
/* How many can be queried. */
size_t peers_count(const struct peers *peers);
/* Discards the previous answers; only answers of Redis after this time count from now on. */
void peers_begin(struct peers *peers, uint64_t after_ms);
/* Queries some of them, in rotation; each has timeout_ms to answer. */
void peers_query(struct peers *peers, uint64_t timeout_ms);
/* The address of a peer that is served; NULL: none. Valid until the next call. */
const char *peers_find_served(const struct peers *peers);

#endif
