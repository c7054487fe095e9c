/*
 * map: the links of the store, the spaces, and the order in which all of it starts and stops.
 *
 * On each new command link the partition counts of the spaces are compared with those in Redis (and
 * stored there when it has none); then the shared settings are read, and every partition sends
 * hello. On each subscriber link the node's own channel and those of the views are subscribed to.
 */
#include "map/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "map/feature_private.h"
#include "map/map_private.h"
#include "map/memory_private.h"
#include "map/needs_private.h"
#include "map/node_private.h"
#include "map/op_private.h"
#include "map/partition_private.h"
#include "map/replication_private.h"
#include "map/secret_private.h"
#include "map/shared_private.h"
#include "map/space_private.h"
#include "map/wait_private.h"
#include "metrics/metrics.h"
#include "redis/channel.h"
#include "redis/store.h"
#include "schema/keys.h"
#include "view/view.h"

#define TICK_MS 250
/* Until the partition counts are stored again, after Redis refused writes. */
#define RECHECK_MS 500

static void each_partition(struct map *map, void (*visit)(struct partition *partition))
{
    for (size_t i = 0; i < map->space_count; i++) {
        for (uint32_t j = 0; j < map->spaces[i].count; j++) {
            visit(&map->spaces[i].partitions[j]);
        }
    }
}

/* One space's count, as Redis has it. */
struct count_check {
    struct map *map;
    struct map_space *space;
    bool last;
};

static void refuse_count(struct map_space *space, struct bytes stored)
{
    struct map *map = space->map;
    char *why = mem_format("map.partitions is %u here and %.*s in Redis for space %s; stop all "
                           "front-ends and remove the field of %s:spaces to change it",
                           space->count, (int)stored.len, (const char *)stored.data, space->name,
                           map->redis->prefix);
    map->callbacks->fatal(map->arg, why);
    free(why);
}

static void on_partition_count(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct count_check check = *(struct count_check *)arg;
    struct map *map = check.map;
    char count[12];
    free(arg);
    if (status == REDIS_REFUSED) {
        redis_link_reset(map->link, "the partition count cannot be read");
        return;
    }
    if (status != REDIS_OK) {
        return;
    }
    /* Redis has none and refused ours: it is full, read-only, or cannot save. That may pass. */
    if (reply->type == REDIS_NIL) {
        map->recheck_ms = loop_now_ms(map->loop) + RECHECK_MS;
        return;
    }
    snprintf(count, sizeof count, "%u", check.space->count);
    if (reply->type != REDIS_STRING || !bytes_equal(reply->text, bytes_from_string(count))) {
        refuse_count(check.space, reply->type == REDIS_STRING ? reply->text : BYTES_LITERAL("?"));
        return;
    }
    if (check.last && !map->checked && !map->recheck_ms) {
        shared_link_up(map->shared);
    }
}

void map_begin(struct map *map)
{
    map->checked = true;
    each_partition(map, partition_link_up);
    for (size_t i = 0; i < map->space_count; i++) {
        if (map->spaces[i].view) {
            view_link_up(map->spaces[i].view);
        }
    }
    features_link_up(map);
    secrets_reread(map);
    node_link_up(map->node_channel);
}

void map_check_again(struct map *map, enum redis_refusal refusal)
{
    map->recheck_ms = loop_now_ms(map->loop) + RECHECK_MS;
    for (size_t i = 0; i < map->space_count; i++) {
        for (uint32_t j = 0; j < map->spaces[i].count; j++) {
            map->spaces[i].partitions[j].refusal = redis_refusal_name(refusal);
        }
    }
}

static void check_count(struct map_space *space, bool last)
{
    struct map *map = space->map;
    char *key = keys_spaces(map->redis->prefix), count[12];
    snprintf(count, sizeof count, "%u", space->count);
    redis_command_strings(map->link, NULL, NULL, "HSETNX", key, space->name, count, NULL);
    struct count_check *check = mem_zalloc(1, sizeof *check);
    *check = (struct count_check){.map = map, .space = space, .last = last};
    redis_command_strings(map->link, on_partition_count, check, "HGET", key, space->name, NULL);
    free(key);
}

void map_put_count(struct map_space *space)
{
    check_count(space, false);
}

static void check_counts(struct map *map)
{
    map->recheck_ms = 0;
    for (size_t i = 0; i < map->space_count; i++) {
        check_count(&map->spaces[i], i + 1 == map->space_count);
    }
}

static void on_up(void *arg, const char *run_id)
{
    struct map *map = arg;
    snprintf(map->run_id, sizeof map->run_id, "%s", run_id);
    map->checked = false;
    metrics_set(METRIC_REDIS_UP, 1);
    check_counts(map);
    needs_link_up(map->needs);
    memory_link_up(map->memory);
}

static void on_map_link_down(void *arg)
{
    struct map *map = arg;
    map->checked = false;
    map->recheck_ms = 0;
    metrics_set(METRIC_REDIS_UP, 0);
    each_partition(map, partition_link_down);
}

static void on_unfit(void *arg, const char *why)
{
    struct map *map = arg;
    /* Later it may be a passing state, while the server is being replaced. */
    if (map->phase == MAP_STARTING) {
        map->callbacks->fatal(map->arg, why);
    }
}

static void on_map_subscribed(void *arg, struct bytes channel)
{
    channels_subscribed(((struct map *)arg)->channels, channel);
}

static void on_message(void *arg, struct bytes channel, struct bytes message)
{
    channels_message(((struct map *)arg)->channels, channel, message);
}

static void on_map_events_down(void *arg)
{
    channels_down(((struct map *)arg)->channels);
}

static const struct redis_store_callbacks store_callbacks = {.up = on_up,
                                                             .down = on_map_link_down,
                                                             .unfit = on_unfit,
                                                             .subscribed = on_map_subscribed,
                                                             .message = on_message,
                                                             .events_down = on_map_events_down};

static void tick_in(struct map *map, uint64_t delay_ms)
{
    map->tick_at_ms = loop_now_ms(map->loop) + delay_ms;
    loop_timer_start(map->tick_timer, delay_ms);
}

static void on_map_tick(void *arg)
{
    struct map *map = arg;
    loop_label(map->loop, "map_tick");
    uint64_t now = loop_now_ms(map->loop);
    if (now - map->ticked_ms > TICK_MS + (uint64_t)map->settings->lease) {
        map->stalls++;
    }
    map->ticked_ms = now;
    tick_in(map, TICK_MS);
    if (map->recheck_ms && map->recheck_ms <= now) {
        check_counts(map);
    }
    shared_tick(map->shared, now);
    for (size_t i = 0; i < map->space_count; i++) {
        for (uint32_t j = 0; j < map->spaces[i].count; j++) {
            partition_tick(&map->spaces[i].partitions[j], now);
        }
    }
}

void map_tick_at(struct map *map, uint64_t at_ms)
{
    uint64_t now = loop_now_ms(map->loop);
    if (at_ms < map->tick_at_ms) {
        tick_in(map, at_ms > now ? at_ms - now : 0);
    }
}

static void add_map_space(struct map *map, const char *name, size_t len, bool named)
{
    struct map_space *space = &map->spaces[map->space_count++];
    space->map = map;
    space->named = named;
    space->name = mem_dup(name, len);
    space->count = (uint32_t)map->settings->partitions;
    space->partitions = mem_zalloc(space->count, sizeof *space->partitions);
    for (uint32_t i = 0; i < space->count; i++) {
        partition_init(&space->partitions[i], space, i);
    }
}

static bool has_space(const struct map *map, const char *name)
{
    for (size_t i = 0; i < map->space_count; i++) {
        if (!strcmp(map->spaces[i].name, name)) {
            return true;
        }
    }
    return false;
}

static void add_spaces(struct map *map)
{
    const char *names = map->settings->spaces;
    size_t most = 2;
    for (const char *at = names; *at; at++) {
        most += *at == ' ' || *at == ',';
    }
    map->spaces = mem_zalloc(most, sizeof *map->spaces);
    for (const char *at = names; *at;) {
        size_t len = strcspn(at, " ,");
        if (len > 0) {
            add_map_space(map, at, len, true);
        }
        at += len;
        at += strspn(at, " ,");
    }
    const char *also = map->settings->also;
    if (also && !has_space(map, also)) {
        add_map_space(map, also, strlen(also), false);
    }
}

struct map *map_create(struct loop *loop, const char *name, const struct map_settings *settings,
                       const struct redis_settings *redis, const struct redis_target *target,
                       const struct map_callbacks *callbacks, void *arg, char **error)
{
    *error = map_settings_check(settings);
    if (*error) {
        return NULL;
    }
    struct map *map = mem_zalloc(1, sizeof *map);
    map->loop = loop;
    map->configured = settings;
    map->running = *settings;
    map->settings = &map->running;
    map->redis = redis;
    map->database = target->database;
    map->callbacks = callbacks;
    map->arg = arg;
    map->name = mem_strdup(name);
    id_make_hex(map->node, NODE_ID_LENGTH);
    list_init(&map->secrets);
    list_init(&map->tombstones);
    map->pending_ops = op_pending_create(loop);
    map->tick_timer = loop_timer_create(loop, on_map_tick, map);
    add_spaces(map);
    map->store = redis_store_create(loop, target, redis, &store_callbacks, map);
    map->link = redis_store_commands(map->store);
    map->subscriber = redis_store_events(map->store);
    map->shared = shared_create(map);
    map->needs = needs_create(map);
    map->memory = memory_create(map);
    map->channels = channels_create(loop, &map->subscriber);
    map->waits = waits_create(map);
    map->replication = replication_create(map);
    map->node_channel = node_create(map);
    map->ticked_ms = loop_now_ms(loop);
    tick_in(map, TICK_MS);
    return map;
}

static void free_space(struct map_space *space)
{
    view_destroy(&space->view);
    for (uint32_t i = 0; i < space->count; i++) {
        partition_free(&space->partitions[i]);
    }
    free(space->partitions);
    free(space->name);
}

void map_destroy(struct map **map_pointer)
{
    struct map *map = *map_pointer;
    if (!map) {
        return;
    }
    *map_pointer = NULL;
    map_enter(map, MAP_FINISHED);
    map->link = NULL; /* callbacks that the store calls find no link */
    map->subscriber = NULL;
    redis_store_destroy(&map->store);
    node_destroy(&map->node_channel);
    features_destroy(map);
    replication_destroy(&map->replication);
    for (size_t i = 0; i < map->space_count; i++) {
        free_space(&map->spaces[i]);
    }
    waits_destroy(&map->waits);
    channels_destroy(&map->channels);
    memory_destroy(&map->memory);
    needs_destroy(&map->needs);
    shared_destroy(&map->shared);
    loop_pending_set_destroy(&map->pending_ops);
    loop_timer_destroy(&map->tick_timer);
    free(map->scratch.data);
    free(map->spaces);
    free(map->name);
    free(map);
}

struct map_space *map_space_find(struct map *map, const char *name)
{
    if (!*name) {
        return &map->spaces[0];
    }
    for (size_t i = 0; i < map->space_count; i++) {
        if (!strcmp(map->spaces[i].name, name)) {
            return &map->spaces[i];
        }
    }
    return NULL;
}

struct map_space *map_space_at(struct map *map, size_t index)
{
    return index < map->space_count ? &map->spaces[index] : NULL;
}

const char *map_space_name(const struct map_space *space)
{
    return space->name;
}

bool map_space_is_named(const struct map_space *space)
{
    return space->named;
}

struct map *map_space_map(const struct map_space *space)
{
    return space->map;
}

uint32_t map_space_partitions(const struct map_space *space)
{
    return space->count;
}

struct loop *map_loop(const struct map *map)
{
    return map->loop;
}

struct redis_link *map_link(const struct map *map)
{
    return map->link;
}

const char *map_prefix(const struct map *map)
{
    return map->redis->prefix;
}

const struct map_settings *map_settings_of(const struct map *map)
{
    return map->settings;
}

void map_settings_changed(struct map *map)
{
    shared_settings_changed(map->shared);
}

const char *map_node_name(const struct map *map)
{
    return map->name;
}

uint64_t map_deadline_ms(const struct map *map)
{
    return (uint64_t)map->redis->deadline;
}

const char *map_node_id(const struct map *map)
{
    return map->node;
}

uint64_t map_redis_time_ms(const struct map *map)
{
    return (uint64_t)((int64_t)loop_now_ms(map->loop) + map->clock_offset_ms);
}

static const char *not_ready_reason(const struct map *map)
{
    const char *why = redis_store_why_not(map->store);
    if (why) {
        return why;
    }
    for (size_t i = 0; i < map->space_count; i++) {
        for (uint32_t j = 0; j < map->spaces[i].count; j++) {
            const struct partition *partition = &map->spaces[i].partitions[j];
            if (partition->unreadable) {
                return "the format of the map in Redis is not known here";
            }
            if (partition->refusal) {
                return partition->refusal;
            }
            if (partition->epochs == 0 || partition->state == PARTITION_DISCONNECTED) {
                return "Redis has not answered yet";
            }
        }
    }
    why = needs_why_not(map->needs);
    if (why) {
        return why;
    }
    if (!node_nonce_is_fresh(map->node_channel)) {
        return "events of Redis do not arrive in time";
    }
    return NULL;
}

bool map_is_ready(const struct map *map, const char **why)
{
    const char *reason = not_ready_reason(map);
    if (why) {
        *why = reason;
    }
    return !reason;
}

void map_enter(struct map *map, enum map_phase phase)
{
    map->phase = phase;
    if (phase == MAP_SERVING) {
        if (map->callbacks->serving) {
            map->callbacks->serving(map->arg);
        }
        node_publish(map->node_channel);
    }
}

void map_check_serving(struct map *map)
{
    if (map->phase != MAP_STARTING || !needs_are_met(map->needs)) {
        return;
    }
    for (size_t i = 0; i < map->space_count; i++) {
        for (uint32_t j = 0; j < map->spaces[i].count; j++) {
            if (map->spaces[i].partitions[j].epochs == 0) {
                return;
            }
        }
    }
    map_enter(map, MAP_SERVING);
}
