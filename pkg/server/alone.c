/* alone: a look each second; while this front-end is ready, or has been unready for a short time
 * only, nobody is asked. */
#include "server/alone.h"

#include <stdlib.h>

#include "base/mem.h"
#include "map/nodes.h"

#define CHECK_MS    1000
#define STARTING_MS 100 /* the same before it has been ready */
/* A front-end publishes what it knows for 15 s, and knows of its own readiness within 3 s: what is
 * there after that long was written, and true, after this one had become unready. */
#define SETTLED_MS 18000
/* How long a ready peer that was found counts. */
#define FRESH_MS 5000

struct alone {
    struct loop *loop;
    struct map *map;
    struct health *health;
    struct loop_timer *timer;
    struct map_nodes *nodes; /* being read; else NULL */
    uint64_t since_ms;       /* when it was last ready; 0: never */
    uint64_t peer_ms;        /* when a ready peer was last found, since then; 0: never */
};

/* The nodes were made for this one reading: known is its success. */
static void find_ready_peer(void *arg, bool known)
{
    struct alone *alone = arg;
    struct bytes own = bytes_from_string(map_node_id(alone->map));

    for (size_t i = 0; known && i < map_nodes_count(alone->nodes); i++) {
        if (!bytes_equal(map_nodes_id(alone->nodes, i), own) &&
            bytes_equal(map_nodes_field(alone->nodes, i, "ready"), BYTES_LITERAL("1"))) {
            alone->peer_ms = loop_now_ms(alone->loop);
        }
    }
    map_nodes_destroy(&alone->nodes);
}

static void ask_peers(struct alone *alone)
{
    if (!alone->nodes) {
        alone->nodes = map_nodes_create(alone->map, find_ready_peer, alone);
        map_nodes_read(alone->nodes);
    }
}

static void check(void *arg)
{
    struct alone *alone = arg;
    uint64_t now = loop_now_ms(alone->loop);

    loop_timer_start(alone->timer, alone->since_ms ? CHECK_MS : STARTING_MS);
    if (map_is_ready(alone->map, NULL)) {
        alone->since_ms = now;
        alone->peer_ms = 0;
        health_set_local(alone->health, false);
        return;
    }
    if (!alone->since_ms) {
        return; /* it is starting */
    }
    if (now - alone->since_ms >= SETTLED_MS) {
        ask_peers(alone);
    }
    health_set_local(alone->health, alone->peer_ms && now - alone->peer_ms < FRESH_MS);
}

struct alone *alone_create(struct loop *loop, struct map *map, struct health *health)
{
    struct alone *alone = mem_zalloc(1, sizeof *alone);

    alone->loop = loop;
    alone->map = map;
    alone->health = health;
    alone->timer = loop_timer_create(loop, check, alone);
    loop_timer_start(alone->timer, 0);
    return alone;
}

void alone_destroy(struct alone **alone)
{
    if (!*alone) {
        return;
    }
    map_nodes_destroy(&(*alone)->nodes);
    loop_timer_destroy(&(*alone)->timer);
    free(*alone);
    *alone = NULL;
}
