/* alone: checks once a second. While this front-end is ready, or has been unready only for a short
 * time, no peer is queried. */
#include "server/alone.h"

#include <stdlib.h>

#include "base/mem.h"
#include "inspect/nodes.h"
#include "server/peers.h"

#define CHECK_MS    1000
#define STARTING_MS 100 /* the same before it has been ready */
/* What a front-end publishes expires after 15 s, and reflects its readiness within 3 s. So what is
 * found after this long was published, and true, after this front-end had become unready. */
#define SETTLED_MS 18000
/* How long the discovery of a ready peer is valid. */
#define FRESH_MS 5000
/* If Redis has not answered a sweep for this long, it does not answer this front-end. */
#define SILENT_MS  3000
#define ANSWER_MS  2000  /* time-out of a query to a peer */
#define REFRESH_MS 10000 /* between two reads of the list of peers */

struct alone {
    struct loop *loop;
    struct map *map;
    struct health *health;
    struct loop_timer *timer;
    struct map_nodes *nodes; /* being read; else NULL */
    struct peers *peers;
    uint64_t refreshed_ms;
    bool asking;       /* peers are being queried, about the time since this was set */
    uint64_t since_ms; /* when it was last ready; 0: never */
    uint64_t peer_ms;  /* when a ready peer was last found, since then; 0: never */
};

/* The nodes were created for this one read; known: whether it succeeded. */
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

static void read_nodes(struct alone *alone)
{
    if (!alone->nodes) {
        alone->nodes = map_nodes_create(alone->map, find_ready_peer, alone);
        map_nodes_read(alone->nodes);
    }
}

/* Only answers of Redis from now on count; repeated while this front-end stays unready. */
static void query_all_peers(struct alone *alone, uint64_t now)
{
    bool served = alone->asking && peers_find_served(alone->peers);

    if (served) {
        alone->peer_ms = now;
    }
    if (served || !alone->asking) {
        peers_begin(alone->peers, now);
        alone->asking = true;
    }
    peers_query(alone->peers, ANSWER_MS);
}

static void refresh_peers(struct alone *alone, uint64_t now)
{
    if (!alone->since_ms || now - alone->refreshed_ms >= REFRESH_MS) {
        alone->refreshed_ms = now;
        peers_refresh(alone->peers);
    }
}

static void check_alone(void *arg)
{
    struct alone *alone = arg;
    uint64_t now = loop_now_ms(alone->loop);

    refresh_peers(alone, now);
    loop_timer_start(alone->timer, alone->since_ms ? CHECK_MS : STARTING_MS);
    if (map_is_ready(alone->map, NULL)) {
        alone->since_ms = now;
        alone->peer_ms = 0;
        alone->asking = false;
        health_set_local(alone->health, false);
        return;
    }
    if (!alone->since_ms) {
        return; /* it is starting */
    }
    if (now - map_contact(alone->map).answered_ms >= SILENT_MS) {
        query_all_peers(alone, now);
    } else {
        alone->asking = false;
    }
    if (now - alone->since_ms >= SETTLED_MS) {
        read_nodes(alone);
    }
    health_set_local(alone->health, alone->peer_ms && now - alone->peer_ms < FRESH_MS);
}

struct alone *alone_create(struct loop *loop, struct map *map, struct health *health,
                           const char *own)
{
    struct alone *alone = mem_zalloc(1, sizeof *alone);

    alone->loop = loop;
    alone->map = map;
    alone->health = health;
    alone->peers = peers_create(loop, map, own, map_settings_of(map)->cut_off != MAP_CUT_OFF_PEERS);
    alone->timer = loop_timer_create(loop, check_alone, alone);
    loop_timer_start(alone->timer, 0);
    return alone;
}

void alone_destroy(struct alone **alone)
{
    if (!*alone) {
        return;
    }
    map_nodes_destroy(&(*alone)->nodes);
    peers_destroy(&(*alone)->peers);
    loop_timer_destroy(&(*alone)->timer);
    free(*alone);
    *alone = NULL;
}
