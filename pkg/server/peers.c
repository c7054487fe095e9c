/* peers: each read builds a new list; the state of peers that remain is kept. */
#include "server/peers.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/mem.h"
#include "inspect/nodes.h"
#include "metrics/metrics.h"
#include "net/http/get.h"
#include "server/peer_address.h"
#include "stream/resolve.h"

/* Peers that are stored, and that are queried at once. */
#define PEERS_MAX 256
#define ASKED_MAX 8
/* The maximum age of a name's addresses, ms. */
#define ADDRESSES_FRESH_MS 30000
#define ADDRESSES_RETRY_MS 5000
/* The time-out of a look-up, ms; and the number of look-ups that may hang. */
#define LOOKUP_MS       2000
#define LOOKUPS_HANGING 16
#define ANSWER_MAX      64 /* bytes */
#define NODE_MAX        32

struct front_end_peer {
    struct peers *peers;
    char *where; /* its node.advertise */
    struct peer_address address;
    struct stream_addresses found;
    uint64_t found_ms;     /* when they were last looked up; 0: never */
    unsigned next_address; /* of those found */
    struct http_get *get;  /* the query in flight */
    uint64_t asked_ms;
    uint64_t first_ms; /* the upper bound of Redis's first answer that counts; 0: none yet */
    bool failed;       /* the last query was not answered */
    bool served;       /* Redis has answered it again after first_ms */
};

struct peers {
    struct loop *loop;
    struct map *map;
    char *own;
    bool counted; /* by METRIC_PEERS */
    struct map_nodes *nodes;
    struct front_end_peer *list[PEERS_MAX];
    size_t count;
    size_t next; /* the first peer to query */
    uint64_t after_ms;
    struct stream_lookup *lookup; /* of a name: one at a time */
    struct front_end_peer *looked_up;
};

static void free_peer(struct front_end_peer *peer)
{
    struct peers *peers = peer->peers;

    if (peers->looked_up == peer) {
        stream_lookup_cancel(&peers->lookup);
        peers->looked_up = NULL;
    }
    http_get_end(&peer->get);
    free(peer->where);
    free(peer);
}

static struct front_end_peer *take_known(struct front_end_peer **list, size_t count,
                                         struct bytes where)
{
    for (size_t i = 0; i < count; i++) {
        struct front_end_peer *peer = list[i];

        if (peer && bytes_equal(bytes_from_string(peer->where), where)) {
            list[i] = NULL;
            return peer;
        }
    }
    return NULL;
}

static bool has_peer(const struct peers *peers, struct bytes where)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (bytes_equal(bytes_from_string(peers->list[i]->where), where)) {
            return true;
        }
    }
    return false;
}

static struct front_end_peer *make_peer(struct peers *peers, struct bytes where,
                                        const struct peer_address *address)
{
    struct front_end_peer *peer = mem_zalloc(1, sizeof *peer);

    peer->peers = peers;
    peer->where = mem_dup(where.data, where.len);
    peer->address = *address;
    return peer;
}

/* The text comes from Redis and is not trusted: it must be a valid address, and not our own. */
static void add_peer_of_node(struct peers *peers, struct front_end_peer **before, size_t count,
                             size_t index)
{
    struct bytes where = map_nodes_field(peers->nodes, index, "advertise");
    struct peer_address address;
    struct front_end_peer *peer;

    if (!where.data || peer_address_parse(where, &address) || has_peer(peers, where) ||
        bytes_equal(where, bytes_from_string(peers->own)) ||
        bytes_equal(map_nodes_id(peers->nodes, index),
                    bytes_from_string(map_node_id(peers->map)))) {
        return;
    }
    peer = take_known(before, count, where);
    peers->list[peers->count++] = peer ? peer : make_peer(peers, where, &address);
}

static void look_up_next(struct peers *peers);

static void on_peer_nodes(void *arg, bool known)
{
    struct peers *peers = arg;
    struct front_end_peer *before[PEERS_MAX];
    size_t count = peers->count;

    if (!known) {
        return;
    }
    memcpy(before, peers->list, count * sizeof *before);
    peers->count = 0;
    for (size_t i = 0; i < map_nodes_count(peers->nodes) && peers->count < PEERS_MAX; i++) {
        add_peer_of_node(peers, before, count, i);
    }
    for (size_t i = 0; i < count; i++) {
        if (before[i]) {
            free_peer(before[i]);
        }
    }
    if (peers->counted) {
        metrics_set(METRIC_PEERS, (int64_t)peers->count);
    }
    look_up_next(peers);
}

struct peers *peers_create(struct loop *loop, struct map *map, const char *own, bool counted)
{
    struct peers *peers = mem_zalloc(1, sizeof *peers);

    peers->loop = loop;
    peers->map = map;
    peers->own = mem_strdup(own);
    peers->counted = counted;
    peers->nodes = map_nodes_create(map, on_peer_nodes, peers);
    return peers;
}

void peers_destroy(struct peers **pointer)
{
    struct peers *peers = *pointer;

    *pointer = NULL;
    if (!peers) {
        return;
    }
    for (size_t i = 0; i < peers->count; i++) {
        free_peer(peers->list[i]);
    }
    map_nodes_destroy(&peers->nodes);
    free(peers->own);
    free(peers);
}

/* Names. */

static void on_peer_resolved(void *arg, const struct stream_addresses *addresses)
{
    struct peers *peers = arg;
    struct front_end_peer *peer = peers->looked_up;

    if (addresses->error == 0) {
        peer->found = *addresses;
    }
    peer->found_ms = loop_now_ms(peers->loop);
    stream_lookup_cancel(&peers->lookup);
    peers->looked_up = NULL;
    look_up_next(peers);
}

static bool is_lookup_due(const struct front_end_peer *peer, uint64_t now_ms)
{
    uint64_t fresh_ms = peer->found.count > 0 ? ADDRESSES_FRESH_MS : ADDRESSES_RETRY_MS;

    return peer->found_ms == 0 || now_ms - peer->found_ms >= fresh_ms;
}

/* Previous addresses are used until there are new ones. */
static void look_up_next(struct peers *peers)
{
    uint64_t now = loop_now_ms(peers->loop);

    for (size_t i = 0; i < peers->count && !peers->lookup; i++) {
        struct front_end_peer *peer = peers->list[i];
        struct stream_addresses numeric;

        if (!is_lookup_due(peer, now)) {
            continue;
        }
        if (stream_resolve_numeric(peer->address.host, peer->address.port, &numeric)) {
            peer->found = numeric;
            peer->found_ms = now;
            continue;
        }
        if (stream_lookups_in_flight() >= LOOKUPS_HANGING) {
            return; /* the remaining look-ups are reserved for the name of Redis */
        }
        peers->lookup = stream_lookup_start(peers->loop, peer->address.host, peer->address.port,
                                            LOOKUP_MS, on_peer_resolved, peers);
        peers->looked_up = peers->lookup ? peer : NULL;
        if (!peers->lookup) {
            return; /* no descriptors: the next refresh retries */
        }
    }
}

void peers_refresh(struct peers *peers)
{
    if (map_is_ready(peers->map, NULL)) {
        map_nodes_read(peers->nodes);
    }
    look_up_next(peers);
}

/* Queries. */

size_t peers_count(const struct peers *peers)
{
    return peers->count;
}

void peers_begin(struct peers *peers, uint64_t after_ms)
{
    peers->after_ms = after_ms;
    for (size_t i = 0; i < peers->count; i++) {
        http_get_end(&peers->list[i]->get);
        peers->list[i]->first_ms = 0;
        peers->list[i]->served = false;
        peers->list[i]->failed = false;
    }
}

/* The answer "<node> <age in ms>": Redis answered between (query sent - age) and (now - age). */
static void take_age(struct front_end_peer *peer, uint64_t age_ms)
{
    uint64_t now = loop_now_ms(peer->peers->loop);

    if (age_ms > peer->asked_ms || peer->asked_ms - age_ms <= peer->peers->after_ms) {
        return;
    }
    if (peer->first_ms == 0) {
        peer->first_ms = now - age_ms;
    } else if (peer->asked_ms - age_ms > peer->first_ms) {
        peer->served = true;
    }
}

/* False when it is malformed, or our own: the address leads back here. */
static bool take_peer_answer(struct front_end_peer *peer, struct bytes body)
{
    struct bytes node = bytes_next_word(&body);
    uint64_t age_ms;

    if (body.len < 2 || body.data[body.len - 1] != '\n' || node.len == 0 || node.len > NODE_MAX ||
        bytes_equal(node, bytes_from_string(map_node_id(peer->peers->map)))) {
        return false;
    }
    body.len--;
    for (size_t i = 0; i < body.len; i++) {
        if (body.data[i] < '0' || body.data[i] > '9') {
            return false;
        }
    }
    age_ms = bytes_decimal(body);
    take_age(peer, age_ms);
    return true;
}

static void on_peer_answer(void *arg, int status, struct bytes body)
{
    struct front_end_peer *peer = arg;
    bool good = status == 200 && take_peer_answer(peer, body);

    peer->failed = !good;
    if (!good) {
        peer->next_address++;
    }
    metrics_add(good ? METRIC_PEERS_ANSWERED : METRIC_PEERS_FAILED, 1);
    http_get_end(&peer->get);
}

/* A name may resolve to a wildcard address, too. */
static bool is_wildcard_address(const struct stream_address *found)
{
    static const uint8_t nowhere[16];
    struct address address;

    address_from_sockaddr((const struct sockaddr *)&found->storage, &address);
    return memcmp(address.ip, nowhere, address.family == ADDRESS_IPV4 ? 4 : 16) == 0;
}

static bool request_peer(struct front_end_peer *peer, const char *path, uint64_t timeout_ms)
{
    const struct stream_address *found;

    if (peer->get || peer->found.count == 0) {
        return false;
    }
    found = &peer->found.list[peer->next_address % peer->found.count];
    if (is_wildcard_address(found)) {
        peer->next_address++;
        return false;
    }
    peer->asked_ms = loop_now_ms(peer->peers->loop);
    peer->get = http_get_start(peer->peers->loop,
                               &(struct http_get_request){
                                   .address = found,
                                   .host = peer->where,
                                   .path = path,
                                   .max_body = ANSWER_MAX,
                                   .timeout_ms = timeout_ms,
                               },
                               on_peer_answer, peer);
    return true;
}

/* Peers that answered come first: others may be cut off as well. */
void peers_query(struct peers *peers, uint64_t timeout_ms)
{
    char *path = mem_format("/redisz?epoch=%s", map_epoch(peers->map));
    size_t asked = 0, first = peers->next;

    for (unsigned failed = 0; failed < 2; failed++) {
        for (size_t i = 0; i < peers->count && asked < ASKED_MAX; i++) {
            size_t at = (first + i) % peers->count;

            if (peers->list[at]->failed == (failed == 1) &&
                request_peer(peers->list[at], path, timeout_ms)) {
                asked++;
                /* Rotates among those that do not answer. */
                peers->next = failed == 1 ? at + 1 : peers->next;
            }
        }
    }
    free(path);
}

const char *peers_find_served(const struct peers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->list[i]->served) {
            return peers->list[i]->where;
        }
    }
    return NULL;
}
