/* presence: watched names, the messages of their channels, and notifying the watchers. */
#include "presence/presence.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "presence/presence_private.h"
#include "schema/format.h"
#include "schema/keys.h"

/* All names are read again in that many portions, spread over presence.reread. */
#define REREAD_PORTIONS 60

static void notify_changed_presences(void *arg)
{
    struct presence_set *set = arg;
    while (!list_is_empty(&set->changed)) {
        struct watched_name *presence =
            list_entry(set->changed.next, struct watched_name, in_changed);
        bool first = !presence->known;
        list_remove(&presence->in_changed);
        if (!first && presence->notified == presence->status) {
            continue;
        }
        presence->known = true;
        presence->notified = presence->status;
        if (!list_is_empty(&presence->watches)) {
            set->callbacks->changed(set->arg, presence, first);
        }
    }
}

static void free_presence(struct watched_name *presence)
{
    struct presence_set *set = presence->part->set;
    presence_account_free_name(presence);
    presence_read_drop(presence);
    channel_leave(&presence->channel);
    presence->part->count--;
    list_remove(&presence->in_order);
    list_remove(&presence->in_due);
    list_remove(&presence->in_changed);
    list_remove(&presence->unwatched);
    HASH_DEL(set->names, presence);
    metrics_add(METRIC_WATCHED, -1);
    free(presence);
}

/* At the end of the iteration: names may be unwatched while their watchers are notified. */
static void free_unwatched_presences(void *arg)
{
    struct presence_set *set = arg;
    while (!list_is_empty(&set->unwatched)) {
        free_presence(list_entry(set->unwatched.next, struct watched_name, unwatched));
    }
}

static void reread_some_presences(struct presence_part *part)
{
    size_t some = (part->count + REREAD_PORTIONS - 1) / REREAD_PORTIONS;
    LIST_FOREACH (node, &part->order) {
        struct watched_name *presence = list_entry(node, struct watched_name, in_order);
        if (some-- == 0) {
            return;
        }
        if (!presence->read) { /* else it is being read already */
            presence_read_again(presence);
        }
    }
}

static void on_reread_timer(void *arg)
{
    struct presence_set *set = arg;
    const struct map_settings *settings = map_settings_of(map_space_map(set->space));
    for (uint32_t i = 0; i < map_space_partitions(set->space); i++) {
        reread_some_presences(&set->parts[i]);
    }
    loop_timer_start(set->reread, (uint64_t)settings->presence_reread / REREAD_PORTIONS);
}

static void retry_presence_part(void *part)
{
    presence_read_part(part);
}

struct presence_set *presence_set_create(struct map_space *space,
                                         const struct presence_callbacks *callbacks, void *arg)
{
    uint32_t count = map_space_partitions(space);
    struct presence_set *set = mem_zalloc(1, sizeof *set + count * sizeof *set->parts);
    struct loop *loop = map_loop(map_space_map(space));
    set->space = space;
    set->callbacks = callbacks;
    set->arg = arg;
    list_init(&set->changed);
    list_init(&set->unwatched);
    set->notify = (struct loop_task){.callback = notify_changed_presences, .arg = set};
    set->read = (struct loop_task){.callback = presence_read_due, .arg = set};
    set->forget = (struct loop_task){.callback = free_unwatched_presences, .arg = set};
    for (uint32_t i = 0; i < count; i++) {
        struct presence_part *part = &set->parts[i];
        part->set = set;
        part->partition = map_space_partition(space, i);
        list_init(&part->order);
        list_init(&part->due);
        list_init(&part->reads);
        part->retry = loop_timer_create(loop, retry_presence_part, part);
    }
    set->reread = loop_timer_create(loop, on_reread_timer, set);
    list_append(&presences_of(map_space_map(space))->sets, &set->link);
    on_reread_timer(set);
    return set;
}

void presence_set_destroy(struct presence_set **set_pointer)
{
    struct presence_set *set = *set_pointer;
    struct watched_name *presence, *next;
    if (!set) {
        return;
    }
    *set_pointer = NULL;
    struct loop *loop = map_loop(map_space_map(set->space));
    HASH_ITER (hh, set->names, presence, next) {
        free_presence(presence);
    }
    for (uint32_t i = 0; i < map_space_partitions(set->space); i++) {
        presence_reads_drop(&set->parts[i]);
        loop_timer_destroy(&set->parts[i].retry);
    }
    struct loop_task *tasks[] = {&set->notify, &set->read, &set->forget};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        loop_cancel(loop, tasks[i]);
    }
    loop_timer_destroy(&set->reread);
    list_remove(&set->link);
    free(set);
}

void presence_found(struct watched_name *presence, enum map_status status)
{
    struct presence_set *set = presence->part->set;
    presence->unconfirmed = false;
    presence->status = (uint8_t)status;
    if (presence->known && presence->notified == presence->status) {
        return;
    }
    if (list_is_empty(&presence->in_changed)) {
        list_append(&set->changed, &presence->in_changed);
    }
    loop_defer(map_loop(map_space_map(set->space)), LOOP_PHASE_VIEW, &set->notify);
}

/* "1 <epoch> <seq> <status>" */
static bool read_presence_message(struct bytes text, struct bytes *epoch, uint64_t *seq,
                                  enum map_status *status)
{
    struct bytes format = bytes_next_word(&text);
    *epoch = bytes_next_word(&text);
    *seq = bytes_decimal(bytes_next_word(&text));
    return format_is_known(format) && epoch->len == EPOCH_LENGTH && *seq > 0 &&
           map_status_read(text, status);
}

static void on_message(void *arg, struct bytes message)
{
    static struct log_limit limit = {.burst = 5};
    struct watched_name *presence = arg;
    struct bytes epoch;
    enum map_status status;
    uint64_t seq;
    if (format_is_unknown(FORMAT_PRESENCE, partition_prefix(presence->part->partition), message)) {
        return;
    }
    if (!read_presence_message(message, &epoch, &seq, &status)) {
        metrics_add(METRIC_MALFORMED_FROM_REDIS, 1);
        log_limited(LOG_WARN, &limit, "malformed_presence",
                    LOG_STRING("prefix", partition_prefix(presence->part->partition)),
                    LOG_BYTES("message", message));
        presence_read_again(presence);
    } else if (!bytes_equal(epoch, bytes_from_string(presence->part->epoch))) {
        presence_read_again(presence);
    } else if (seq > presence->seq) {
        presence->seq = seq;
        if (status != MAP_OFFLINE || !presence->part->fresh) {
            presence_found(presence, status);
        } else {
            presence_read_again(presence); /* its reply says whether the grace has passed */
        }
    }
}

static void on_presence_subscribed(void *presence)
{
    presence_read_again(presence);
}

static const struct channel_callbacks channel_callbacks = {.subscribed = on_presence_subscribed,
                                                           .message = on_message};

static void join_presence_channel(struct watched_name *presence)
{
    struct map *map = map_space_map(presence->part->set->space);
    struct writer key = {0};
    struct bytes channel = keys_write(&key, partition_channels(presence->part->partition),
                                      "presence:", presence_name(presence));
    bool subscribed =
        channel_join(map_channels(map), &presence->channel, channel, &channel_callbacks, presence);
    writer_free(&key);
    /* Without the events link a status that may soon be outdated is better than none. */
    if (subscribed || !map_has_events(map)) {
        presence_read_again(presence);
    }
}

static struct watched_name *create_presence(struct presence_set *set, struct bytes name)
{
    struct watched_name *presence = mem_zalloc(1, sizeof *presence + name.len);
    presence->part = &set->parts[partition_index(partition_of(set->space, name))];
    presence->name_len = name.len;
    memcpy(presence->name, name.data, name.len);
    list_init(&presence->watches);
    list_init(&presence->in_due);
    list_init(&presence->in_changed);
    list_init(&presence->unwatched);
    presence->part->count++;
    list_append(&presence->part->order, &presence->in_order);
    HASH_ADD(hh, set->names, name, presence->name_len, presence);
    metrics_add(METRIC_WATCHED, 1);
    join_presence_channel(presence);
    return presence;
}

void presence_watch(struct presence_set *set, struct bytes name, struct presence_watch *watch)
{
    struct watched_name *presence = NULL;
    HASH_FIND(hh, set->names, name.data, name.len, presence);
    if (!presence) {
        presence = create_presence(set, name);
    }
    list_remove(&presence->unwatched);
    watch->presence = presence;
    list_append(&presence->watches, &watch->link);
    presence_account_watch(watch);
}

void presence_unwatch(struct presence_watch *watch)
{
    struct watched_name *presence = watch->presence;
    if (!presence) {
        return;
    }
    struct presence_set *set = presence->part->set;
    watch->presence = NULL;
    list_remove(&watch->link);
    presence_account_unwatch(watch, presence);
    if (!list_is_empty(&presence->watches)) {
        return;
    }
    list_append(&set->unwatched, &presence->unwatched);
    loop_defer(map_loop(map_space_map(set->space)), LOOP_PHASE_FREE, &set->forget);
}

struct bytes presence_name(const struct watched_name *presence)
{
    return (struct bytes){presence->name, presence->name_len};
}

bool presence_is_known(const struct watched_name *presence)
{
    return presence->known;
}

enum map_status presence_status(const struct watched_name *presence)
{
    return (enum map_status)presence->notified;
}

struct list *presence_watches(struct watched_name *presence)
{
    return &presence->watches;
}

size_t presence_set_count(const struct presence_set *set)
{
    return HASH_COUNT(set->names);
}

static void reread_part(struct presence_part *part)
{
    LIST_FOREACH (node, &part->order) {
        presence_read_again(list_entry(node, struct watched_name, in_order));
    }
}

/* The feature. */

struct presences *presences_of(const struct map *map)
{
    struct presences *presences = map_feature_state(map, &presence_feature);
    assert(presences);
    return presences;
}

static void retry_invites(void *presences)
{
    invites_retry(presences);
}

static void *create_state(struct map *map)
{
    struct presences *presences = mem_zalloc(1, sizeof *presences);
    presences->map = map;
    list_init(&presences->sets);
    list_init(&presences->invitations);
    presences->invite_retry = loop_timer_create(map_loop(map), retry_invites, presences);
    return presences;
}

static void destroy_state(void *state)
{
    struct presences *presences = state;
    invites_free(presences);
    loop_timer_destroy(&presences->invite_retry);
    free(presences);
}

static void on_link_up(void *state)
{
    struct presences *presences = state;
    LIST_FOREACH (node, &presences->sets) {
        struct presence_set *set = list_entry(node, struct presence_set, link);
        for (uint32_t i = 0; i < map_space_partitions(set->space); i++) {
            reread_part(&set->parts[i]);
        }
    }
    invites_retry(presences);
}

/* The set's part of the partition; NULL: it is of another space. */
static struct presence_part *part_in(struct list *node, const struct partition *partition)
{
    struct presence_set *set = list_entry(node, struct presence_set, link);
    return set->space == partition_space(partition) ? &set->parts[partition_index(partition)]
                                                    : NULL;
}

static void on_epoch(void *state, struct partition *partition)
{
    struct presences *presences = state;
    LIST_FOREACH (node, &presences->sets) {
        struct presence_part *part = part_in(node, partition);
        if (part) {
            reread_part(part);
        }
    }
}

static void confirm_presences(struct presence_part *part)
{
    part->fresh = false;
    if (!part->unconfirmed) {
        return;
    }
    part->unconfirmed = false;
    LIST_FOREACH (node, &part->order) {
        struct watched_name *presence = list_entry(node, struct watched_name, in_order);
        if (presence->unconfirmed) {
            presence_read_again(presence);
        }
    }
}

static void on_sweep(void *state, struct partition *partition, uint64_t redis_now_ms)
{
    struct presences *presences = state;
    if (redis_now_ms < partition_recovery_until(partition)) {
        return;
    }
    LIST_FOREACH (node, &presences->sets) {
        struct presence_part *part = part_in(node, partition);
        if (part && part->fresh && !strcmp(part->epoch, partition_epoch(partition))) {
            confirm_presences(part);
        }
    }
}

static enum map_message on_node_message(void *state, uint64_t format, struct bytes verb,
                                        struct bytes rest)
{
    if (!bytes_equal(verb, BYTES_LITERAL("invited"))) {
        return MAP_MESSAGE_UNEXPECTED;
    }
    return invite_take_message(((struct presences *)state)->map, rest) ? MAP_MESSAGE_HANDLED
                                                                       : MAP_MESSAGE_MALFORMED;
}

const struct map_feature presence_feature = {.create = create_state,
                                             .destroy = destroy_state,
                                             .link_up = on_link_up,
                                             .epoch = on_epoch,
                                             .sweep = on_sweep,
                                             .message = on_node_message};
