/*
 * lookup: the front-ends of receivers that this front-end's view does not have.
 *
 * The receivers of one partition that are asked for in an event-loop iteration are one call of the
 * script owners; when they are many, several calls, but those of one packet are never divided.
 * Packets for a receiver queue while it is looked up.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "map/wait.h"
#include "redis/redis.h"
#include "relay/relay_private.h"
#include "schema/keys.h"
#include "schema/scripts.h"

#define BATCH_FULL 256 /* receivers, with which a command is sent before further packets */
#define BATCH_SIZE 8   /* of a fresh array */

static struct redis_script owners_script = {.name = "owners", .source = script_owners};

/* A packet whose receiver is being looked up. */
struct queued_packet {
    struct list link;
    uint64_t number;
    struct map_packet *packet;
};

struct lookup {
    UT_hash_handle hh; /* by the key of its entry, in the relays */
    struct relays *relays;
    struct map_space *space;
    struct list packets;
    size_t id_len, key_len;
    uint8_t key[]; /* the id is its end */
};

/* Lookups of one partition that are one command. */
struct lookup_batch {
    struct list link; /* the relays' */
    struct relays *relays;
    const struct partition *partition;
    bool is_sent;
    size_t count, capacity;
    struct lookup **lookups;
};

static void free_lookup(struct lookup *lookup)
{
    LIST_FOREACH (node, &lookup->packets) {
        struct queued_packet *queued = list_entry(node, struct queued_packet, link);
        map_packet_unref(&queued->packet);
        free(queued);
    }
    HASH_DEL(lookup->relays->lookups, lookup);
    free(lookup);
}

static void free_lookup_batch(struct lookup_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        free_lookup(batch->lookups[i]);
    }
    list_remove(&batch->link);
    free(batch->lookups);
    free(batch);
}

void relay_lookups_free(struct relays *relays)
{
    loop_cancel(map_loop(relays->map), &relays->send_lookups);
    while (!list_is_empty(&relays->batches)) {
        free_lookup_batch(list_entry(relays->batches.next, struct lookup_batch, link));
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
        relay_forward(lookup->space, node, queued->number, to, queued->packet);
    }
}

static bool is_owners_reply(const struct lookup_batch *batch, const struct redis_reply *reply)
{
    return reply->type == REDIS_ARRAY && reply->count == batch->count;
}

static void on_owners_found(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct lookup_batch *batch = arg;
    bool is_good = status == REDIS_OK && is_owners_reply(batch, reply);
    bool is_refused = status == REDIS_REFUSED || (status == REDIS_OK && !is_good);
    for (size_t i = 0; i < batch->count; i++) {
        const struct redis_reply *node = is_good ? reply->elements[i] : NULL;
        if (is_refused) {
            settle_queued_packets(batch->lookups[i], MAP_REFUSED);
        } else if (node && node->type == REDIS_STRING && node->text.len > 0) {
            forward_queued_packets(batch->lookups[i], node->text);
        } else if (node) {
            settle_queued_packets(batch->lookups[i], MAP_MISSING);
        }
    }
    free_lookup_batch(batch);
}

static void send_lookup_batch(struct lookup_batch *batch)
{
    struct bytes *keys = mem_alloc(batch->count * sizeof *keys);
    for (size_t i = 0; i < batch->count; i++) {
        keys[i] = (struct bytes){batch->lookups[i]->key, batch->lookups[i]->key_len};
    }
    batch->is_sent = true;
    redis_eval(map_link(batch->relays->map), &owners_script, on_owners_found, batch, batch->count,
               batch->count, keys);
    free(keys);
}

static void send_batches_of(struct relays *relays, size_t least)
{
    LIST_FOREACH (node, &relays->batches) {
        struct lookup_batch *batch = list_entry(node, struct lookup_batch, link);
        if (!batch->is_sent && batch->count >= least) {
            send_lookup_batch(batch);
        }
    }
}

static void send_lookup_batches(void *relays)
{
    send_batches_of(relays, 1);
}

void relay_lookups_send_full(struct relays *relays)
{
    send_batches_of(relays, BATCH_FULL);
}

void relay_lookups_init(struct relays *relays)
{
    list_init(&relays->batches);
    relays->send_lookups = (struct loop_task){.callback = send_lookup_batches, .arg = relays};
}

/* The partition's batch that is not sent yet: at most one. */
static struct lookup_batch *filling_batch(struct relays *relays, const struct partition *partition)
{
    LIST_FOREACH (node, &relays->batches) {
        struct lookup_batch *batch = list_entry(node, struct lookup_batch, link);
        if (!batch->is_sent && batch->partition == partition) {
            return batch;
        }
    }
    struct lookup_batch *batch = mem_zalloc(1, sizeof *batch);
    batch->relays = relays;
    batch->partition = partition;
    list_init(&batch->link);
    list_prepend(&relays->batches, &batch->link); /* before those that are sent */
    loop_defer(map_loop(relays->map), LOOP_PHASE_STORE, &relays->send_lookups);
    return batch;
}

static void add_lookup(struct lookup_batch *batch, struct lookup *lookup)
{
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity > 0 ? batch->capacity * 2 : BATCH_SIZE;
        batch->lookups = mem_realloc(batch->lookups, batch->capacity * sizeof(struct lookup *));
    }
    batch->lookups[batch->count++] = lookup;
}

static struct bytes write_lookup_key(struct writer *text, const struct map_space *space,
                                     struct bytes id)
{
    return keys_write(text, partition_prefix(partition_of(space, id)), "client:", id);
}

struct lookup *relay_lookup_find(struct map_space *space, struct bytes id)
{
    const struct relays *relays = relays_of(map_space_map(space));
    struct lookup *lookup = NULL;
    struct writer text = {0};
    if (!relays->lookups) {
        return NULL; /* nearly always */
    }
    struct bytes key = write_lookup_key(&text, space, id);
    HASH_FIND(hh, relays->lookups, key.data, key.len, lookup);
    writer_free(&text);
    return lookup;
}

struct lookup *relay_lookup_begin(struct map_space *space, struct bytes id)
{
    struct relays *relays = relays_of(map_space_map(space));
    struct lookup_batch *batch = filling_batch(relays, partition_of(space, id));
    struct writer text = {0};
    struct bytes key = write_lookup_key(&text, space, id);
    struct lookup *lookup = mem_zalloc(1, sizeof *lookup + key.len);
    lookup->relays = relays;
    lookup->space = space;
    lookup->id_len = id.len;
    lookup->key_len = key.len;
    memcpy(lookup->key, key.data, key.len);
    list_init(&lookup->packets);
    HASH_ADD(hh, relays->lookups, key, lookup->key_len, lookup);
    add_lookup(batch, lookup);
    writer_free(&text);
    return lookup;
}

void relay_lookup_add(struct lookup *lookup, uint64_t number, struct map_packet *packet)
{
    struct queued_packet *queued = mem_alloc(sizeof *queued);
    *queued = (struct queued_packet){.number = number, .packet = map_packet_ref(packet)};
    list_init(&queued->link);
    list_append(&lookup->packets, &queued->link);
}
