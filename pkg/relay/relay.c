/*
 * relay: packets to ids: to the front-end that owns each, delivery, acknowledgement.
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
#include "schema/relayed.h"
#include "view/view.h"

#define FORGET_MS 1000 /* after which a received packet is not kept for further receivers */
/* Of the table of costs. */
#define RECEIVERS_PER_UNIT 8
#define LOOKUPS_PER_UNIT   2
#define BYTES_PER_UNIT     1024
#define SENT_PER_UNIT      32768 /* bytes to all receivers of this front-end together */

/* The acknowledgements to be sent to one other front-end. */
struct ack {
    UT_hash_handle hh; /* by node */
    struct writer message;
    char node[NODE_ID_LENGTH];
};

static void send_acks(void *relays);
static void forget_received_packet(void *relays);

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
    relays->forget_packet = loop_timer_create(map_loop(map), forget_received_packet, relays);
    relay_lookups_init(relays);
    relays->space_count = count;
    for (size_t i = 0; i < count; i++) {
        list_init(&relays->spaces[i].listeners);
    }
    return relays;
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
    struct ack *ack, *next_ack;
    relay_lookups_free(relays);
    HASH_ITER (hh, relays->acks, ack, next_ack) {
        free_ack(relays, ack);
    }
    for (size_t i = 0; i < relays->space_count; i++) {
        relay_broadcast_free(&relays->spaces[i]);
    }
    loop_cancel(map_loop(relays->map), &relays->send_acks);
    loop_timer_destroy(&relays->forget_packet);
    map_packet_unref(&relays->received);
    free(relays);
}

static void publish_packet(struct map_space *space, struct bytes node, uint64_t number,
                           struct bytes to, const struct map_packet *packet)
{
    struct map *map = map_space_map(space);
    struct bytes from = map_packet_from(packet), text = map_packet_text(packet);
    struct writer message = {0};
    const struct relayed_head head = {.node = bytes_from_string(map_node_id(map)),
                                      .number = number,
                                      .space = bytes_from_string(map_space_name(space)),
                                      .from_len = from.len,
                                      .to_len = to.len,
                                      .len = text.len};
    relayed_head_write(&message, partition_format(partition_of(space, to)), &head);
    writer_bytes(&message, from);
    writer_bytes(&message, to);
    writer_bytes(&message, text);
    map_send_to_node(map, node, writer_bytes_written(&message), number);
    writer_free(&message);
}

void relay_forward(struct map_space *space, struct bytes node, uint64_t number, struct bytes to,
                   struct map_packet *packet)
{
    struct map *map = map_space_map(space);
    if (bytes_equal(node, bytes_from_string(map_node_id(map)))) {
        wait_settle(map, number, session_deliver(space, to, packet) ? MAP_OK : MAP_MISSING);
    } else {
        publish_packet(space, node, number, to, packet);
    }
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

static void route_packet(struct map_space *space, uint64_t number, struct bytes to,
                         struct map_packet *packet)
{
    struct bytes own = bytes_from_string(map_node_id(map_space_map(space)));
    struct lookup *lookup = relay_lookup_find(space, to);
    struct bytes node;
    if (lookup) {
        relay_lookup_add(lookup, number, packet);
    } else if (map_owns(space, to)) {
        relay_forward(space, own, number, to, packet);
    } else if ((node = find_owner_in_view(space, to)).len > 0 && !bytes_equal(node, own)) {
        relay_forward(space, node, number, to, packet);
    } else {
        relay_lookup_add(relay_lookup_begin(space, to), number, packet);
    }
}

static uint32_t units_of(uint64_t units)
{
    return units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
}

uint32_t relay_cost(const struct map_session *session, size_t len, const struct bytes *ids,
                    size_t count)
{
    const struct map_space *space = map_session_space(session);
    struct bytes own = bytes_from_string(map_node_id(map_space_map(space)));
    uint64_t units = count / RECEIVERS_PER_UNIT, here = 0, lookups = 0;
    for (size_t i = 0; i < count; i++) {
        if (map_owns(space, ids[i])) {
            here++;
            continue;
        }
        struct bytes node = find_owner_in_view(space, ids[i]);
        if (node.len > 0 && !bytes_equal(node, own)) {
            units += 1 + len / BYTES_PER_UNIT;
        } else {
            lookups++;
        }
    }
    return units_of(units + here * len / SENT_PER_UNIT + lookups / LOOKUPS_PER_UNIT);
}

uint32_t relay_broadcast_cost(const struct map_session *session, size_t len)
{
    const struct map_view *view = map_space_view(map_session_space(session));
    size_t receivers = view && map_view_is_live(view) ? map_view_count(view) : 0;
    return units_of(1 + len / BYTES_PER_UNIT + receivers / RECEIVERS_PER_UNIT +
                    (uint64_t)receivers * len / SENT_PER_UNIT);
}

void relay_send_to_many(struct map_session *session, struct map_packet *packet,
                        const struct relay_receiver *receivers, size_t count, map_done done)
{
    struct map_space *space = map_session_space(session);
    size_t size = map_packet_text(packet).len;
    uint64_t number;
    relay_lookups_send_full(relays_of(map_space_map(space)));
    for (size_t i = 0; i < count; i++) {
        if (wait_begin(map_space_map(space), session, size, done, receivers[i].arg, &number)) {
            route_packet(space, number, receivers[i].id, packet);
        }
    }
}

void relay_send_packet(struct map_session *session, struct bytes from, struct bytes to,
                       struct bytes packet, map_done done, void *arg)
{
    struct map_packet *shared = map_packet_create(from, packet);
    relay_send_to_many(session, shared, &(struct relay_receiver){to, arg}, 1, done);
    map_packet_unref(&shared);
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

static void forget_received_packet(void *arg)
{
    struct relays *relays = arg;
    map_packet_unref(&relays->received);
}

/* A packet to several clients here has come once for each: they share it. */
static struct map_packet *share_received_packet(struct relays *relays, struct bytes from,
                                                struct bytes text)
{
    const struct map_packet *last = relays->received;
    if (!last || !bytes_equal(map_packet_from(last), from) ||
        !bytes_equal(map_packet_text(last), text)) {
        map_packet_unref(&relays->received);
        relays->received = map_packet_create(from, text);
        loop_timer_start(relays->forget_packet, FORGET_MS);
    }
    return relays->received;
}

static bool receive_relayed_packet(struct map *map, uint64_t format, struct bytes rest)
{
    struct cursor cursor = cursor_over(rest);
    const struct relayed_head head = relayed_head_read(&cursor, format);
    struct bytes from = cursor_take(&cursor, head.from_len), to = cursor_take(&cursor, head.to_len),
                 packet = cursor_take(&cursor, head.len);
    if (cursor.failed || head.node.len != NODE_ID_LENGTH || to.len == 0) {
        return false;
    }
    struct map_space *space = map_space_named(map, head.space);
    bool taken = space && map_owns(space, to) &&
                 session_deliver(space, to, share_received_packet(relays_of(map), from, packet));
    if (head.number) {
        note_packet_ack(relays_of(map), head.node, head.number, taken);
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

static enum map_message receive_relay_message(void *state, uint64_t format, struct bytes verb,
                                              struct bytes rest)
{
    struct map *map = ((struct relays *)state)->map;
    bool good;
    if (bytes_equal(verb, BYTES_LITERAL("relay"))) {
        good = receive_relayed_packet(map, format, rest);
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
        struct map_packet *packet = map_packet_create((struct bytes){0}, argument);
        route_packet(space, number, id, packet);
        map_packet_unref(&packet);
    }
    return NULL;
}

const struct map_feature relay_feature = {.create = create_relay_feature,
                                          .destroy = destroy_relay_feature,
                                          .message = receive_relay_message,
                                          .request = handle_relay_request};
