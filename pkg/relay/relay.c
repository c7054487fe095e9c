/*
 * relay: packets to one id: looking up the front-end that owns it, delivery, acknowledgement.
 *
 * Packets to one receiver stay in order: while its front-end is being looked up, packets for it
 * queue behind the first, and all packets to one front-end go through one channel.
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

/* A packet whose receiver is being looked up. */
struct queued_packet {
    struct list link;
    uint64_t number;
    size_t from_len, len;
    uint8_t text[]; /* from, packet */
};

struct lookup {
    UT_hash_handle hh; /* by the key of its entry, in the relays */
    struct relays *relays;
    struct map_space *space;
    struct list packets;
    size_t id_len, key_len;
    uint8_t key[]; /* the id is its end */
};

/* The acknowledgements to be sent to one other front-end. */
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
    for (size_t i = 0; i < count; i++) {
        list_init(&relays->spaces[i].listeners);
    }
    return relays;
}

static void free_lookup(struct lookup *lookup)
{
    LIST_FOREACH (node, &lookup->packets) {
        free(list_entry(node, struct queued_packet, link));
    }
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

static void destroy_relay_feature(void *state)
{
    struct relays *relays = state;
    struct lookup *lookup, *next;
    struct ack *ack, *next_ack;
    HASH_ITER (hh, relays->lookups, lookup, next) {
        free_lookup(lookup);
    }
    HASH_ITER (hh, relays->acks, ack, next_ack) {
        free_ack(relays, ack);
    }
    for (size_t i = 0; i < relays->space_count; i++) {
        relay_broadcast_free(&relays->spaces[i]);
    }
    loop_cancel(map_loop(relays->map), &relays->send_acks);
    free(relays);
}

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

static void forward_packet(struct map_space *space, struct bytes node, uint64_t number,
                           struct bytes from, struct bytes to, struct bytes packet)
{
    struct map *map = map_space_map(space);
    if (bytes_equal(node, bytes_from_string(map_node_id(map)))) {
        wait_settle(map, number, session_deliver(space, to, from, packet) ? MAP_OK : MAP_MISSING);
    } else {
        publish_packet(space, node, number, from, to, packet);
    }
}

static void settle_queued_packets(const struct lookup *lookup, enum map_result result)
{
    LIST_FOREACH (at, &lookup->packets) {
        wait_settle(lookup->relays->map, list_entry(at, struct queued_packet, link)->number,
                    result);
    }
}

static void forward_queued_packets(const struct lookup *lookup, struct bytes node)
{
    struct bytes to = {lookup->key + lookup->key_len - lookup->id_len, lookup->id_len};
    LIST_FOREACH (at, &lookup->packets) {
        const struct queued_packet *queued = list_entry(at, struct queued_packet, link);
        struct bytes from = {queued->text, queued->from_len},
                     packet = {queued->text + queued->from_len, queued->len};
        forward_packet(lookup->space, node, queued->number, from, to, packet);
    }
}

/* When Redis does not answer, the packets are left to their deadline. */
static void on_owner_found(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct lookup *lookup = arg;
    if (status == REDIS_REFUSED) {
        settle_queued_packets(lookup, MAP_REFUSED);
    } else if (status == REDIS_OK && reply->type == REDIS_STRING && reply->text.len > 0) {
        forward_queued_packets(lookup, reply->text);
    } else if (status == REDIS_OK) {
        settle_queued_packets(lookup, MAP_MISSING);
    }
    free_lookup(lookup);
}

/* The receiver's lookup in progress; with create, one is added when there is none. */
static struct lookup *find_lookup(struct map_space *space, struct bytes id, bool create)
{
    struct relays *relays = relays_of(map_space_map(space));
    struct lookup *lookup = NULL;
    struct writer text = {0};
    if (!create && !relays->lookups) {
        return NULL; /* nearly always */
    }
    struct bytes key = keys_write(&text, partition_prefix(partition_of(space, id)), "client:", id);
    HASH_FIND(hh, relays->lookups, key.data, key.len, lookup);
    if (!lookup && create) {
        lookup = mem_zalloc(1, sizeof *lookup + key.len);
        lookup->relays = relays;
        lookup->space = space;
        lookup->id_len = id.len;
        lookup->key_len = key.len;
        memcpy(lookup->key, key.data, key.len);
        list_init(&lookup->packets);
        HASH_ADD(hh, relays->lookups, key, lookup->key_len, lookup);
    }
    writer_free(&text);
    return lookup;
}

static void queue_packet(struct lookup *lookup, uint64_t number, struct bytes from,
                         struct bytes packet)
{
    struct queued_packet *queued = mem_alloc(sizeof *queued + from.len + packet.len);
    queued->number = number;
    queued->from_len = from.len;
    queued->len = packet.len;
    if (from.len) {
        memcpy(queued->text, from.data, from.len);
    }
    if (packet.len) {
        memcpy(queued->text + from.len, packet.data, packet.len);
    }
    list_init(&queued->link);
    list_append(&lookup->packets, &queued->link);
}

static void look_up_owner(struct map_space *space, uint64_t number, struct bytes from,
                          struct bytes to, struct bytes packet)
{
    struct lookup *lookup = find_lookup(space, to, true);
    struct bytes args[] = {
        BYTES_LITERAL("HGET"), {lookup->key, lookup->key_len}, BYTES_LITERAL("node")};
    queue_packet(lookup, number, from, packet);
    redis_command(map_link(map_space_map(space)), on_owner_found, lookup, 3, args);
}

/* Empty when the view is not complete, or does not have the id. */
static struct bytes find_owner_in_view(const struct map_space *space, struct bytes id)
{
    const struct map_view *view = map_space_view(space);
    if (!view || !map_view_is_live(view)) {
        return (struct bytes){0};
    }
    const struct map_entry *entry = map_view_find(view, id);
    return entry ? map_entry_field(entry, "node") : (struct bytes){0};
}

static void route_packet(struct map_space *space, uint64_t number, struct bytes from,
                         struct bytes to, struct bytes packet)
{
    struct map *map = map_space_map(space);
    struct lookup *lookup = find_lookup(space, to, false);
    struct bytes node;
    if (lookup) {
        queue_packet(lookup, number, from, packet);
    } else if (map_owns(space, to)) {
        forward_packet(space, bytes_from_string(map_node_id(map)), number, from, to, packet);
    } else if ((node = find_owner_in_view(space, to)).len > 0 &&
               !bytes_equal(node, bytes_from_string(map_node_id(map)))) {
        forward_packet(space, node, number, from, to, packet);
    } else {
        look_up_owner(space, number, from, to, packet);
    }
}

void relay_send_packet(struct map_session *session, struct bytes from, struct bytes to,
                       struct bytes packet, map_done done, void *arg)
{
    struct map_space *space = map_session_space(session);
    uint64_t number;
    if (wait_begin(map_space_map(space), session, packet.len, done, arg, &number)) {
        route_packet(space, number, from, to, packet);
    }
}

/* Messages of other front-ends. */

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
static bool receive_relayed_packet(struct map *map, struct bytes rest)
{
    struct cursor cursor = cursor_over(rest);
    struct bytes node = cursor_until(&cursor, ' ');
    uint64_t number = cursor_decimal(&cursor, ' ');
    struct bytes name = cursor_until(&cursor, ' ');
    size_t from_len = cursor_decimal(&cursor, ' '), to_len = cursor_decimal(&cursor, ' '),
           len = cursor_decimal(&cursor, '\n');
    struct bytes from = cursor_take(&cursor, from_len), to = cursor_take(&cursor, to_len),
                 packet = cursor_take(&cursor, len);
    if (cursor.failed || node.len != NODE_ID_LENGTH || to.len == 0) {
        return false;
    }
    struct map_space *space = map_space_named(map, name);
    bool taken = space && session_deliver(space, to, from, packet);
    if (number) {
        note_packet_ack(relays_of(map), node, number, taken);
    }
    return true;
}

/* "<number>:ok <number>:no ..." */
static bool receive_acks(struct map *map, struct bytes rest)
{
    while (rest.len > 0) {
        struct bytes word = bytes_next_word(&rest);
        struct cursor cursor = cursor_over(word);
        uint64_t number = cursor_decimal(&cursor, ':');
        struct bytes result = cursor_take(&cursor, cursor_left(&cursor));
        if (cursor.failed) {
            return false;
        }
        wait_settle(map, number, bytes_equal(result, BYTES_LITERAL("ok")) ? MAP_OK : MAP_MISSING);
    }
    return true;
}

static enum map_message receive_relay_message(void *state, struct bytes verb, struct bytes rest)
{
    struct map *map = ((struct relays *)state)->map;
    bool good;
    if (bytes_equal(verb, BYTES_LITERAL("relay"))) {
        good = receive_relayed_packet(map, rest);
    } else if (bytes_equal(verb, BYTES_LITERAL("relayed"))) {
        good = receive_acks(map, rest);
    } else {
        return MAP_MESSAGE_UNEXPECTED;
    }
    return good ? MAP_MESSAGE_HANDLED : MAP_MESSAGE_MALFORMED;
}

/* "send": "<space> <id> <packet>" */
static const char *handle_relay_request(void *state, struct bytes verb, struct bytes argument,
                                        map_done done, void *arg)
{
    struct map *map = ((struct relays *)state)->map;
    uint64_t number;
    if (!bytes_equal(verb, BYTES_LITERAL("send"))) {
        return "";
    }
    struct map_space *space = map_space_named(map, bytes_next_word(&argument));
    struct bytes id = bytes_next_word(&argument);
    if (!space || id.len == 0) {
        return "a space and an id are expected";
    }
    if (wait_begin(map, NULL, argument.len, done, arg, &number)) {
        route_packet(space, number, (struct bytes){0}, id, argument);
    }
    return NULL;
}

const struct map_feature relay_feature = {.create = create_relay_feature,
                                          .destroy = destroy_relay_feature,
                                          .message = receive_relay_message,
                                          .request = handle_relay_request};
