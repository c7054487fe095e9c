/*
 * shared: stored settings are adopted; those that are missing in Redis, or lost, are stored again.
 *
 * The hash has a revision. Each front-end reads it every second (or sweep), and all settings when
 * it has changed. It passes its own to every hello and sweep: a partition's head has the newest one
 * and refuses a sweep with an older one, so that no front-end judges by settings that have changed.
 */
#include "map/shared.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "map/map_private.h"
#include "map/partition_private.h"
#include "map/shared_private.h"
#include "map/space_private.h"
#include "map/sweep_private.h"
#include "metrics/metrics.h"
#include "schema/keys.h"
#include "schema/scripts.h"

static struct redis_script shared_script = {.name = "shared", .source = script_shared};

#define POLL_MS 1000

struct shared {
    struct map *map;
    char *key;
    struct map_settings known;         /* the shared ones as they are stored; the rest is unused */
    uint64_t revision;                 /* of known; 0: none has been read */
    bool usable;                       /* known is what is stored at that revision */
    uint64_t lease_bound, lease_until; /* of leases, until that time of Redis, ms */
    uint64_t poll_ms;
    bool begins; /* map_begin follows */
    unsigned asked;
    char *reported[SHARED_SETTINGS_MAX]; /* as stored, when it was reported to differ */
};

/* The settings in force: the configured ones, overwritten by the adopted ones. */
static struct map_settings combine_settings(const struct shared *shared,
                                            const struct map_settings *known)
{
    struct map_settings combined = *shared->map->configured, stored = *known;
    const struct config_setting *setting;
    for (size_t i = 0; (setting = map_shared_setting(i)); i++) {
        if (map_shared_is_adopted(setting)) {
            *shared_field(setting, &combined) = *shared_field(setting, &stored);
        }
    }
    return combined;
}

static bool is_shared_given(const struct map *map, const char *key)
{
    return !map->callbacks->is_given || map->callbacks->is_given(map->arg, key);
}

/* A file or flag that differs: reported once for each stored value. */
static void report_difference(struct shared *shared, size_t index)
{
    const struct map *map = shared->map;
    const struct config_setting *setting = map_shared_setting(index);
    char *here = config_value_text(setting, map->configured);
    char *stored = config_value_text(setting, &shared->known);
    char **reported = &shared->reported[index];
    bool differs = strcmp(here, stored) != 0 && is_shared_given(map, setting->key);
    if (differs && (!*reported || strcmp(*reported, stored) != 0)) {
        metrics_add(METRIC_SHARED_DIFFERENCES, 1);
        log_warn("shared_setting_differs", LOG_STRING("setting", setting->key),
                 LOG_STRING("here", here), LOG_STRING("shared", stored),
                 LOG_STRING("in_force", map_shared_is_adopted(setting) ? stored : here));
    }
    free(*reported);
    *reported = differs ? mem_strdup(stored) : NULL;
    free(here);
    free(stored);
}

static void log_adoption(const struct config_setting *setting, const struct map_settings *before,
                         const struct map_settings *after)
{
    char *from = config_value_text(setting, before), *to = config_value_text(setting, after);
    if (strcmp(from, to) != 0) {
        log_info("shared_setting_adopted", LOG_STRING("setting", setting->key),
                 LOG_STRING("from", from), LOG_STRING("to", to));
    }
    free(from);
    free(to);
}

static void restart_sweeps(struct map *map)
{
    for (size_t i = 0; i < map->space_count; i++) {
        for (uint32_t j = 0; j < map->spaces[i].count; j++) {
            struct partition *partition = &map->spaces[i].partitions[j];
            if (partition->state == PARTITION_READY && !partition->sweep.is_under_way) {
                sweep_start(partition);
            }
        }
    }
}

static void run_with(struct shared *shared)
{
    struct map *map = shared->map;
    const struct map_settings before = map->running;
    const struct config_setting *setting;
    map->running = combine_settings(shared, &shared->known);
    for (size_t i = 0; (setting = map_shared_setting(i)); i++) {
        if (map_shared_is_adopted(setting)) {
            log_adoption(setting, &before, &map->running);
        }
        report_difference(shared, i);
    }
    if (before.sweep != map->running.sweep || before.lease != map->running.lease) {
        restart_sweeps(map);
    }
    if (map->callbacks->adopted) {
        map->callbacks->adopted(map->arg);
    }
}

void shared_settings_changed(struct shared *shared)
{
    struct map *map = shared->map;
    if (shared->usable) {
        run_with(shared);
    } else if (shared->revision == 0) {
        map->running = *map->configured;
    }
}

static void read_lease_bound(struct shared *shared, struct bytes text)
{
    shared->lease_bound = bytes_decimal(bytes_next_word(&text));
    shared->lease_until = bytes_decimal(text);
}

/* {revision, now, bound of leases, key, value, ...} */
static void adopt_stored(struct shared *shared, const struct redis_reply *reply)
{
    static struct log_limit limit = {.burst = 5};
    struct map_settings stored = *shared->map->configured;
    uint64_t revision = bytes_decimal(reply->elements[0]->text);
    char *why = shared_set_values(&stored, reply, 3);
    read_lease_bound(shared, reply->elements[2]->text);
    if (!why) {
        const struct map_settings combined = combine_settings(shared, &stored);
        why = map_settings_check(&combined);
    }
    if (why) {
        /* The settings in force remain; the next change is tried again. */
        log_limited(LOG_ERROR, &limit, "shared_settings_unusable", LOG_STRING("key", shared->key),
                    LOG_STRING("err", why));
        shared->usable = false;
        shared->revision = revision;
        free(why);
        return;
    }
    const bool is_new = revision != shared->revision || !shared->usable;
    shared->known = stored;
    shared->usable = true;
    shared->revision = revision;
    if (is_new) {
        run_with(shared);
    }
}

static void refuse_offer(struct shared *shared, const struct redis_reply *reply)
{
    static struct log_limit limit = {.burst = 5};
    enum redis_refusal refusal = redis_refusal_of(reply);
    if (refusal == REDIS_REFUSAL_OTHER) {
        log_limited(LOG_ERROR, &limit, "shared_settings_unusable", LOG_STRING("key", shared->key),
                    LOG_BYTES("err", reply->text));
    }
    if (shared->begins) {
        map_check_again(shared->map, refusal);
    }
}

static void on_offered(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct shared *shared = arg;
    shared->asked--;
    if (status == REDIS_REFUSED) {
        refuse_offer(shared, reply);
    } else if (status == REDIS_OK && reply->type == REDIS_ARRAY && reply->count >= 3) {
        adopt_stored(shared, reply);
        if (shared->begins) {
            shared->begins = false;
            map_begin(shared->map);
        }
    }
}

static void offer_shared_settings(struct shared *shared, uint64_t least)
{
    struct map *map = shared->map;
    const struct map_settings *values = shared->usable ? &shared->known : map->configured;
    struct bytes args[3 + 2 * SHARED_SETTINGS_MAX];
    char *texts[SHARED_SETTINGS_MAX], mine[24], at_least[24];
    const struct config_setting *setting;
    size_t count = 0, settings = 0;
    snprintf(mine, sizeof mine, "%llu",
             (unsigned long long)(shared->usable ? shared->revision : 0));
    snprintf(at_least, sizeof at_least, "%llu", (unsigned long long)least);
    args[count++] = bytes_from_string(shared->key);
    args[count++] = bytes_from_string(mine);
    args[count++] = bytes_from_string(at_least);
    for (; (setting = map_shared_setting(settings)); settings++) {
        assert(settings < SHARED_SETTINGS_MAX);
        texts[settings] = config_value_text(setting, values);
        args[count++] = bytes_from_string(map_shared_field(setting));
        args[count++] = bytes_from_string(texts[settings]);
    }
    shared->asked++;
    redis_eval(map->link, &shared_script, on_offered, shared, 1, count, args);
    while (settings > 0) {
        free(texts[--settings]);
    }
}

void shared_link_up(struct shared *shared)
{
    shared->begins = true;
    offer_shared_settings(shared, 0);
}

void shared_read_again(struct shared *shared, uint64_t least)
{
    if (redis_link_is_up(shared->map->link)) {
        offer_shared_settings(shared, least);
    }
}

static void on_revision(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct shared *shared = arg;
    shared->asked--;
    if (status != REDIS_OK || !redis_link_is_up(shared->map->link)) {
        return;
    }
    const bool is_text = reply->type == REDIS_STRING;
    if (!is_text || bytes_decimal(reply->text) != shared->revision) {
        offer_shared_settings(shared, 0);
    }
}

void shared_tick(struct shared *shared, uint64_t now_ms)
{
    struct map *map = shared->map;
    if (now_ms < shared->poll_ms || shared->asked > 0 || !map->checked ||
        !redis_link_is_up(map->link)) {
        return;
    }
    uint64_t sweep = (uint64_t)map->running.sweep;
    shared->poll_ms = now_ms + (sweep < POLL_MS ? sweep : POLL_MS);
    shared->asked++;
    redis_command_strings(map->link, on_revision, shared, "HGET", shared->key, ".revision", NULL);
}

bool shared_is_refusal(const struct redis_reply *reply)
{
    return reply->type == REDIS_ARRAY && reply->count == 2 &&
           bytes_equal(reply->elements[0]->text, BYTES_LITERAL("shared"));
}

uint64_t shared_revision(const struct shared *shared)
{
    return shared->revision;
}

uint64_t shared_lease_bound(const struct shared *shared)
{
    uint64_t lease = (uint64_t)shared->map->running.lease;
    bool is_bounded = map_redis_time_ms(shared->map) < shared->lease_until;
    return is_bounded && shared->lease_bound > lease ? shared->lease_bound : lease;
}

struct shared *shared_create(struct map *map)
{
    struct shared *shared = mem_zalloc(1, sizeof *shared);
    shared->map = map;
    shared->key = keys_shared(map->redis->prefix);
    return shared;
}

void shared_destroy(struct shared **pointer)
{
    struct shared *shared = *pointer;
    *pointer = NULL;
    if (!shared) {
        return;
    }
    for (size_t i = 0; i < SHARED_SETTINGS_MAX; i++) {
        free(shared->reported[i]);
    }
    free(shared->key);
    free(shared);
}
