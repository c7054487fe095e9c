/*
 * relay: packets to one id: finding the front-end that holds it, delivering, acknowledging.
 *
 * Packets to one receiver stay in order: while its front-end is being looked for, all that come for
 * it wait in the order in which they came, and what goes to one front-end goes on one channel.
 */
#include "relay/relay.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "map/wait.h"
#include "redis/redis.h"
#include "relay/relay_private.h"
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

struct relays *relays_of(const struct map *map)
{
    struct relays *relays = map_feature_state(map, &relay_feature);
    assert(relays);
    return relays;
}

static void *create_relay_feature(struct map *map)
{
    size_t count = map_space_count(map);
    struct relays *relays = mem_zalloc(1, sizeof *relays + count * sizeof *relays->spaces);
    relays->map = map;
    relays->send_acks = (struct loop_task){.callback = send_acks, .arg = relays};
    relays->space_count = count;
    for (size_t i = 0; i < count; i++)
        list_init(&relays->spaces[i].listeners);
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
    assert(relays->acks); /* it is one of them */
    HASH_DEL(relays->acks, ack);
    writer_free(&ack->message);
    free(ack);
}

static void destroy(void *state)
{
    struct relays *relays = state;
    struct lookup *lookup, *next;
    struct ack *ack, *next_ack;
    HASH_ITER (hh, relays->lookups, lookup, next)
        free_lookup(lookup);
    HASH_ITER (hh, relays->acks, ack, next_ack)
        free_ack(relays, ack);
    for (size_t i = 0; i < relays->space_count; i++)
        everyone_free(&relays->spaces[i]);
    loop_cancel(map_loop(relays->map), &relays->send_acks);
    free(relays);
}

/* To another front-end. */

static void publish_packet(struct map_space *space, struct bytes node, uint64_t number,
                           struct bytes from, struct bytes to, struct bytes packet)
{
    struct map *map = map_space_map(space);
    struct writer message = {0};
    writer_format(&message, "relay %s %llu %s %zu %zu %zu\n", map_node_id(map),
                  (unsigned long long)number, map_space_name(space), from.len, to.len, packet.len);
    writer_bytes(&message, from);
    writer_bytes(&message, to);
    writer_bytes(&message, packet);
    map_send_to_node(map, node, writer_bytes_written(&message), number);
    writer_free(&message);
}

/* Delivering. */

static void forward_packet(struct map_space *space, struct bytes node, uint64_t number,
                           struct bytes from, struct bytes to, struct bytes packet)
{
    struct map *map = map_space_map(space);
    if (bytes_equal(node, bytes_from_string(map_node_id(map))))
        wait_settle(map, number, session_deliver(space, to, from, packet) ? MAP_OK : MAP_MISSING);
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
        forward_packet(lookup->space, node, parcel->number, from, to, packet);
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
    struct relays *relays = relays_of(map_space_map(space));
    struct lookup *lookup = NULL;
    struct writer text = {0};
    if (!create && !relays->lookups)
        return NULL; /* nearly always */
    struct bytes key = keys_write(&text, partition_prefix(partition_of(space, id)), "client:", id);
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

static void look_up_owner(struct map_space *space, uint64_t number, struct bytes from,
                          struct bytes to, struct bytes packet)
{
    struct lookup *lookup = find_lookup(space, to, true);
    struct bytes args[] = {
        BYTES_LITERAL("HGET"), {lookup->key, lookup->key_len}, BYTES_LITERAL("node")};
    add_parcel(lookup, number, from, packet);
    redis_command(map_link(map_space_map(space)), on_found, lookup, 3, args);
}

/* The front-end that the view shows; empty when it shows none, or is not complete. */
static struct bytes seen_at(const struct map_space *space, struct bytes id)
{
    const struct map_view *view = map_space_view(space);
    if (!view || !map_view_is_live(view))
        return (struct bytes){0};
    const struct map_entry *entry = map_view_find(view, id);
    return entry ? map_entry_field(entry, "node") : (struct bytes){0};
}

static void relay_send(struct map_space *space, uint64_t number, struct bytes from, struct bytes to,
                       struct bytes packet)
{
    struct map *map = map_space_map(space);
    struct lookup *lookup = find_lookup(space, to, false);
    struct bytes node;
    if (lookup)
        add_parcel(lookup, number, from, packet);
    else if (map_owns(space, to))
        forward_packet(space, bytes_from_string(map_node_id(map)), number, from, to, packet);
    else if ((node = seen_at(space, to)).len > 0 &&
             !bytes_equal(node, bytes_from_string(map_node_id(map))))
        forward_packet(space, node, number, from, to, packet);
    else
        look_up_owner(space, number, from, to, packet);
}

void map_relay(struct map_session *session, struct bytes from, struct bytes to, struct bytes packet,
               map_done done, void *arg)
{
    struct map_space *space = map_session_space(session);
    uint64_t number;
    if (wait_begin(map_space_map(space), session, packet.len, done, arg, &number))
        relay_send(space, number, from, to, packet);
}

/* From another front-end. */

static void send_acks(void *arg)
{
    struct relays *relays = arg;
    struct ack *ack, *next;
    HASH_ITER (hh, relays->acks, ack, next) {
        map_send_to_node(relays->map, (struct bytes){(const uint8_t *)ack->node, sizeof ack->node},
                         writer_bytes_written(&ack->message), 0);
        free_ack(relays, ack);
    }
}

static void note_packet_ack(struct relays *relays, struct bytes node, uint64_t number, bool taken)
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
    loop_defer(map_loop(relays->map), LOOP_PHASE_STORE, &relays->send_acks);
}

/* "<node> <number> <space> <fromlen> <tolen> <len>\n" from to packet */
static bool take_relayed_packet(struct map *map, struct bytes rest)
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
    struct map_space *space = map_space_named(map, name);
    bool taken = space && session_deliver(space, to, from, packet);
    if (number)
        note_packet_ack(relays_of(map), node, number, taken);
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

static enum map_message take_relay_message(void *state, struct bytes verb, struct bytes rest)
{
    struct map *map = ((struct relays *)state)->map;
    bool good;
    if (bytes_equal(verb, BYTES_LITERAL("relay")))
        good = take_relayed_packet(map, rest);
    else if (bytes_equal(verb, BYTES_LITERAL("relayed")))
        good = take_acks(map, rest);
    else
        return MAP_MESSAGE_UNEXPECTED;
    return good ? MAP_MESSAGE_HANDLED : MAP_MESSAGE_MALFORMED;
}

/* "send": "<space> <id> <packet>" */
static const char *take_relay_request(void *state, struct bytes verb, struct bytes argument,
                                      map_done done, void *arg)
{
    struct map *map = ((struct relays *)state)->map;
    uint64_t number;
    if (!bytes_equal(verb, BYTES_LITERAL("send")))
        return "";
    struct map_space *space = map_space_named(map, bytes_next_word(&argument));
    struct bytes id = bytes_next_word(&argument);
    if (!space || id.len == 0)
        return "a space and an id are expected";
    if (wait_begin(map, NULL, argument.len, done, arg, &number))
        relay_send(space, number, (struct bytes){0}, id, argument);
    return NULL;
}

const struct map_feature relay_feature = {.create = create_relay_feature,
                                          .destroy = destroy,
                                          .message = take_relay_message,
                                          .request = take_relay_request};
