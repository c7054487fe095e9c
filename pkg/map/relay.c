/*
 * relay: packets to one id: finding the front-end that holds it, delivering, acknowledging.
 *
 * Packets to one receiver stay in order: while its front-end is being looked for, all that come for
 * it wait in the order in which they came, and what goes to one front-end goes on one channel.
 */
#include "map/relay.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "map/relay_private.h"
#include "metrics/metrics.h"
#include "schema/keys.h"
#include "view/view.h"

/* A packet whose receiver is being looked for. */
struct parcel {
    struct list link;
    uint64_t number;
    size_t from_len, len;
    uint8_t text[]; /* from, packet */
};

struct lookup {
    UT_hash_handle hh; /* by the key of its entry, in the relays */
    struct relays *relays;
    struct map_space *space;
    struct list parcels;
    size_t id_len, key_len;
    uint8_t key[]; /* the id is its end */
};

/* What became of the packets of one other front-end. */
struct ack {
    UT_hash_handle hh; /* by node */
    struct writer message;
    char node[NODE_ID_LENGTH];
};

static void send_acks(void *relays);

static void take_again(void *relays)
{
    invites_ask_again(relays);
}

struct relays *relays_create(struct map *map)
{
    struct relays *relays = mem_zalloc(1, sizeof *relays);
    relays->map = map;
    list_init(&relays->invitations);
    relays->take = loop_timer_create(map->loop, take_again, relays);
    relays->send_acks = (struct loop_task){.callback = send_acks, .arg = relays};
    return relays;
}

static void free_lookup(struct lookup *lookup)
{
    LIST_FOREACH (node, &lookup->parcels)
        free(list_entry(node, struct parcel, link));
    HASH_DEL(lookup->relays->lookups, lookup);
    free(lookup);
}

static void free_ack(struct relays *relays, struct ack *ack)
{
    HASH_DEL(relays->acks, ack);
    writer_free(&ack->message);
    free(ack);
}

void relays_destroy(struct relays **relays_pointer)
{
    struct relays *relays = *relays_pointer;
    struct lookup *lookup, *next;
    struct ack *ack, *next_ack;
    if (!relays)
        return;
    *relays_pointer = NULL;
    HASH_ITER (hh, relays->lookups, lookup, next)
        free_lookup(lookup);
    HASH_ITER (hh, relays->acks, ack, next_ack)
        free_ack(relays, ack);
    invites_free(relays);
    loop_cancel(relays->map->loop, &relays->send_acks);
    loop_timer_destroy(&relays->take);
    free(relays);
}

void relays_link_up(struct relays *relays)
{
    invites_ask_again(relays);
}

struct map_space *relay_space(struct map *map, struct bytes name)
{
    for (size_t i = 0; i < map->space_count; i++) {
        if (bytes_equal(name, bytes_from_string(map->spaces[i].name)))
            return &map->spaces[i];
    }
    return NULL;
}

/* To another front-end. */

static void on_published(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct wait_reply wait = *(struct wait_reply *)arg;
    free(arg);
    if (status == REDIS_REFUSED)
        wait_settle(wait.map, wait.number, MAP_REFUSED);
    else if (status == REDIS_OK && reply->type == REDIS_INTEGER && reply->integer == 0)
        wait_settle(wait.map, wait.number, MAP_MISSING); /* that front-end is dead */
}

void relay_publish(struct map *map, struct bytes node, struct bytes message, uint64_t number)
{
    char name[NODE_ID_LENGTH + 1];
    size_t len = node.len < NODE_ID_LENGTH ? node.len : NODE_ID_LENGTH;
    memcpy(name, node.data, len);
    name[len] = 0;
    char *channel = keys_node_channel(map->redis->prefix, map->database, name);
    struct bytes args[] = {BYTES_LITERAL("PUBLISH"), bytes_from_string(channel), message};
    if (number)
        redis_command(map->link, on_published, wait_reply_create(map, number), 3, args);
    else
        redis_command(map->link, NULL, NULL, 3, args);
    free(channel);
}

static void publish_packet(struct map_space *space, struct bytes node, uint64_t number,
                           struct bytes from, struct bytes to, struct bytes packet)
{
    struct map *map = space->map;
    struct writer message = {0};
    writer_format(&message, "relay %s %llu %s %zu %zu %zu\n", map->node, (unsigned long long)number,
                  space->name, from.len, to.len, packet.len);
    writer_bytes(&message, from);
    writer_bytes(&message, to);
    writer_bytes(&message, packet);
    relay_publish(map, node, writer_bytes_written(&message), number);
    writer_free(&message);
}

/* Delivering. */

static bool deliver(struct map_space *space, struct bytes from, struct bytes to,
                    struct bytes packet)
{
    const struct owned *owned = owned_find(partition_of(space, to), to);
    if (!owned || !owned->session->sink->relayed)
        return false;
    return owned->session->sink->relayed(owned->session->arg, from, packet);
}

static void hand_over(struct map_space *space, struct bytes node, uint64_t number,
                      struct bytes from, struct bytes to, struct bytes packet)
{
    struct map *map = space->map;
    if (bytes_equal(node, bytes_from_string(map->node)))
        wait_settle(map, number, deliver(space, from, to, packet) ? MAP_OK : MAP_MISSING);
    else
        publish_packet(space, node, number, from, to, packet);
}

static void settle_all(const struct lookup *lookup, enum map_result result)
{
    LIST_FOREACH (at, &lookup->parcels)
        wait_settle(lookup->relays->map, list_entry(at, struct parcel, link)->number, result);
}

static void hand_over_all(const struct lookup *lookup, struct bytes node)
{
    struct bytes to = {lookup->key + lookup->key_len - lookup->id_len, lookup->id_len};
    LIST_FOREACH (at, &lookup->parcels) {
        const struct parcel *parcel = list_entry(at, struct parcel, link);
        struct bytes from = {parcel->text, parcel->from_len},
                     packet = {parcel->text + parcel->from_len, parcel->len};
        hand_over(lookup->space, node, parcel->number, from, to, packet);
    }
}

/* Without an answer of Redis the packets' senders are told at their deadline. */
static void on_found(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct lookup *lookup = arg;
    if (status == REDIS_REFUSED)
        settle_all(lookup, MAP_REFUSED);
    else if (status == REDIS_OK && reply->type == REDIS_STRING && reply->text.len > 0)
        hand_over_all(lookup, reply->text);
    else if (status == REDIS_OK)
        settle_all(lookup, MAP_MISSING);
    free_lookup(lookup);
}

/* The lookup of the receiver that is under way; asks for one when create is set. */
static struct lookup *find_lookup(struct map_space *space, struct bytes id, bool create)
{
    struct relays *relays = space->map->relays;
    struct lookup *lookup = NULL;
    struct writer text = {0};
    if (!create && !relays->lookups)
        return NULL; /* nearly always */
    struct bytes key = keys_write(&text, partition_of(space, id)->prefix, "client:", id);
    HASH_FIND(hh, relays->lookups, key.data, key.len, lookup);
    if (!lookup && create) {
        lookup = mem_zalloc(1, sizeof *lookup + key.len);
        lookup->relays = relays;
        lookup->space = space;
        lookup->id_len = id.len;
        lookup->key_len = key.len;
        memcpy(lookup->key, key.data, key.len);
        list_init(&lookup->parcels);
        HASH_ADD(hh, relays->lookups, key, lookup->key_len, lookup);
    }
    writer_free(&text);
    return lookup;
}

static void add_parcel(struct lookup *lookup, uint64_t number, struct bytes from,
                       struct bytes packet)
{
    struct parcel *parcel = mem_alloc(sizeof *parcel + from.len + packet.len);
    parcel->number = number;
    parcel->from_len = from.len;
    parcel->len = packet.len;
    if (from.len)
        memcpy(parcel->text, from.data, from.len);
    if (packet.len)
        memcpy(parcel->text + from.len, packet.data, packet.len);
    list_init(&parcel->link);
    list_append(&lookup->parcels, &parcel->link);
}

static void look_up(struct map_space *space, uint64_t number, struct bytes from, struct bytes to,
                    struct bytes packet)
{
    struct lookup *lookup = find_lookup(space, to, true);
    struct bytes args[] = {
        BYTES_LITERAL("HGET"), {lookup->key, lookup->key_len}, BYTES_LITERAL("node")};
    add_parcel(lookup, number, from, packet);
    redis_command(space->map->link, on_found, lookup, 3, args);
}

/* The front-end that the view shows; empty when it shows none, or is not complete. */
static struct bytes seen_at(const struct map_space *space, struct bytes id)
{
    if (!space->view || !map_view_is_live(space->view))
        return (struct bytes){0};
    const struct map_entry *entry = map_view_find(space->view, id);
    return entry ? map_entry_field(entry, "node") : (struct bytes){0};
}

void relay_send(struct map_space *space, uint64_t number, struct bytes from, struct bytes to,
                struct bytes packet)
{
    struct map *map = space->map;
    struct lookup *lookup = find_lookup(space, to, false);
    struct bytes node;
    if (lookup)
        add_parcel(lookup, number, from, packet);
    else if (owned_find(partition_of(space, to), to))
        hand_over(space, bytes_from_string(map->node), number, from, to, packet);
    else if ((node = seen_at(space, to)).len > 0 &&
             !bytes_equal(node, bytes_from_string(map->node)))
        hand_over(space, node, number, from, to, packet);
    else
        look_up(space, number, from, to, packet);
}

void map_relay(struct map_session *session, struct bytes from, struct bytes to, struct bytes packet,
               map_done done, void *arg)
{
    uint64_t number;
    if (wait_begin(session->space->map, session, packet.len, done, arg, &number))
        relay_send(session->space, number, from, to, packet);
}

/* From another front-end. */

static void send_acks(void *arg)
{
    struct relays *relays = arg;
    struct ack *ack, *next;
    HASH_ITER (hh, relays->acks, ack, next) {
        relay_publish(relays->map, (struct bytes){(const uint8_t *)ack->node, sizeof ack->node},
                      writer_bytes_written(&ack->message), 0);
        free_ack(relays, ack);
    }
}

static void acknowledge(struct relays *relays, struct bytes node, uint64_t number, bool taken)
{
    struct ack *ack = NULL;
    HASH_FIND(hh, relays->acks, node.data, node.len, ack);
    if (!ack) {
        ack = mem_zalloc(1, sizeof *ack);
        memcpy(ack->node, node.data, sizeof ack->node);
        HASH_ADD(hh, relays->acks, node, sizeof ack->node, ack);
        writer_string(&ack->message, "relayed");
    }
    writer_format(&ack->message, " %llu:%s", (unsigned long long)number, taken ? "ok" : "no");
    loop_defer(relays->map->loop, LOOP_PHASE_STORE, &relays->send_acks);
}

/* "<node> <number> <space> <fromlen> <tolen> <len>\n" from to packet */
static bool take_packet(struct map *map, struct bytes rest)
{
    struct cursor cursor = cursor_over(rest);
    struct bytes node = cursor_until(&cursor, ' ');
    uint64_t number = cursor_decimal(&cursor, ' ');
    struct bytes name = cursor_until(&cursor, ' ');
    size_t from_len = cursor_decimal(&cursor, ' '), to_len = cursor_decimal(&cursor, ' '),
           len = cursor_decimal(&cursor, '\n');
    struct bytes from = cursor_take(&cursor, from_len), to = cursor_take(&cursor, to_len),
                 packet = cursor_take(&cursor, len);
    if (cursor.failed || node.len != NODE_ID_LENGTH || to.len == 0)
        return false;
    struct map_space *space = relay_space(map, name);
    bool taken = space && deliver(space, from, to, packet);
    if (number)
        acknowledge(map->relays, node, number, taken);
    return true;
}

/* "<number>:ok <number>:no ..." */
static bool take_acks(struct map *map, struct bytes rest)
{
    while (rest.len > 0) {
        struct bytes word = bytes_next_word(&rest);
        struct cursor cursor = cursor_over(word);
        uint64_t number = cursor_decimal(&cursor, ':');
        struct bytes result = cursor_take(&cursor, cursor_left(&cursor));
        if (cursor.failed)
            return false;
        wait_settle(map, number, bytes_equal(result, BYTES_LITERAL("ok")) ? MAP_OK : MAP_MISSING);
    }
    return true;
}

bool relay_message(struct map *map, struct bytes verb, struct bytes rest)
{
    static struct log_limit limit = {.burst = 5};
    bool good = true;
    if (bytes_equal(verb, BYTES_LITERAL("relay")))
        good = take_packet(map, rest);
    else if (bytes_equal(verb, BYTES_LITERAL("relayed")))
        good = take_acks(map, rest);
    else if (bytes_equal(verb, BYTES_LITERAL("invited")))
        good = invite_message(map, rest);
    else if (bytes_equal(verb, BYTES_LITERAL("drop")))
        errand_drop(map, rest);
    else
        return false;
    if (!good) {
        metrics_add(METRIC_MALFORMED_FROM_REDIS, 1);
        log_limited(LOG_WARN, &limit, "malformed_relay", LOG_BYTES("verb", verb));
    }
    return true;
}
