/*
 * peers: the other front-ends of this map, and what they say of Redis.
 *
 * They are known from Redis (the field `advertise` of tracker:node:<node>), read while it answers,
 * and kept for when it does not. One is asked by GET /redisz how long ago Redis answered it. What
 * counts is an answer of Redis that came after a given time, and another one after that: of a
 * front-end that was stopped, and finds in its socket what Redis said before, the second never
 * comes.
 */
#ifndef SERVER_PEERS_H
#define SERVER_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"
#include "map/map.h"

struct peers;

/* own: this front-end's node.advertise. counted: tracker_peers is the number of these. The map must
 * outlive it. */
struct peers *peers_create(struct loop *loop, struct map *map, const char *own, bool counted);
void peers_destroy(struct peers **peers);
/* Reads who they are, unless Redis does not answer, and looks up names that are new or old. To be
 * called every few seconds. */
void peers_refresh(struct peers *peers);
/* How many can be asked. */
size_t peers_count(const struct peers *peers);
/* Forgets what was said, and lets count what Redis says to others after that time. */
void peers_begin(struct peers *peers, uint64_t after_ms);
/* Asks some of them, one after another in turn; each has that long to answer. */
void peers_ask(struct peers *peers, uint64_t timeout_ms);
/* The address of one that Redis has answered twice; NULL: none. Valid until the next call. */
const char *peers_find_served(const struct peers *peers);

#endif
