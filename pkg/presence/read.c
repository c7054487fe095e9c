/*
 * read: reading the status of watched names, all that are due in one event-loop iteration together.
 */
#include "presence/presence_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "redis/redis.h"
#include "schema/keys.h"
#include "schema/scripts.h"

static struct redis_script presence_script = {.name = "presence", .source = script_presence};

#define NAMES_MAX 500
#define READS_MAX 2 /* in progress at once: each keeps Redis busy for a while */
#define RETRY_MS  200

struct presence_read {
    struct presence_part *part; /* NULL: its set has been freed */
    struct list link;           /* the part's */
    size_t count;
    struct watched_name *names[]; /* NULL: freed */
};

void presence_read_again(struct watched_name *presence)
{
    struct presence_set *set = presence->part->set;
    if (presence->read) {
        presence->again = true;
    } else if (list_is_empty(&presence->in_due)) {
        list_append(&presence->part->due, &presence->in_due);
    }
    loop_defer(map_loop(map_space_map(set->space)), LOOP_PHASE_STORE, &set->read);
}

void presence_read_drop(struct watched_name *presence)
{
    if (presence->read) {
        presence->read->names[presence->place] = NULL;
    }
}

void presence_reads_drop(struct presence_part *part)
{
    LIST_FOREACH (node, &part->reads) {
        list_remove(node);
        list_entry(node, struct presence_read, link)->part = NULL;
    }
}

/* Numbers of another epoch cannot be compared with those seen so far. */
static void begin_presence_epoch(struct presence_part *part, struct bytes epoch,
                                 const struct presence_read *read)
{
    part->fresh = part->epoch[0] != 0;
    memcpy(part->epoch, epoch.data, EPOCH_LENGTH);
    LIST_FOREACH (node, &part->order) {
        struct watched_name *presence = list_entry(node, struct watched_name, in_order);
        presence->seq = 0;
        if (presence->read != read) {
            presence_read_again(presence);
        }
    }
}

/* In a new epoch, what is read may be older than what the watchers know. During the recovery grace
 * a user who was online may be about to be restored, and one who was offline may be listed from an
 * old copy. Restored and joining users are published, so only the others wait for the grace. */
static void apply_read_status(struct watched_name *presence, enum map_status status, bool holding)
{
    struct presence_part *part = presence->part;
    bool was_offline = presence->known && presence->status == MAP_OFFLINE;
    bool contradicts = status == MAP_OFFLINE ? presence->status != MAP_OFFLINE : was_offline;
    if (contradicts && part->fresh && holding) {
        presence->unconfirmed = part->unconfirmed = true;
    } else {
        presence_found(presence, status);
    }
}

static void apply_presence_read(struct watched_name *presence, uint64_t seq, uint8_t digit,
                                bool holding)
{
    if (seq >= presence->seq) { /* else a message brought a newer status */
        presence->seq = seq;
        apply_read_status(presence, (enum map_status)(digit - '0'), holding);
    }
    if (presence->again) {
        presence_read_again(presence);
    }
    presence->again = false;
}

/* "1 <epoch> <seq> <holding>\n" and a digit for each */
static bool read_presence_reply(struct presence_read *read, struct bytes text)
{
    struct presence_part *part = read->part;
    struct cursor cursor = cursor_over(text);
    struct bytes format = cursor_until(&cursor, ' '), epoch = cursor_until(&cursor, ' ');
    uint64_t seq = cursor_decimal(&cursor, ' ');
    bool holding = cursor_decimal(&cursor, '\n') != 0;
    struct bytes digits = cursor_take(&cursor, read->count);
    if (cursor.failed || !bytes_equal(format, BYTES_LITERAL("1")) || epoch.len != EPOCH_LENGTH) {
        return false;
    }
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '2') {
            return false;
        }
    }
    if (!bytes_equal(epoch, bytes_from_string(part->epoch))) {
        begin_presence_epoch(part, epoch, read);
    }
    for (size_t i = 0; i < read->count; i++) {
        struct watched_name *presence = read->names[i];
        if (!presence) {
            continue;
        }
        presence->read = NULL;
        list_remove(&presence->in_order);
        list_append(&part->order, &presence->in_order);
        apply_presence_read(presence, seq, digits.data[i], holding);
    }
    return true;
}

static void fail_presence_read(struct presence_read *read)
{
    for (size_t i = 0; i < read->count; i++) {
        struct watched_name *presence = read->names[i];
        if (!presence) {
            continue;
        }
        presence->read = NULL;
        presence->again = false;
        list_append(&read->part->due, &presence->in_due);
    }
    loop_timer_start(read->part->retry, RETRY_MS);
}

static void on_presence_read(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct presence_read *read = arg;
    struct presence_part *part = read->part;
    if (part) {
        list_remove(&read->link);
        part->reading--;
        if (status == REDIS_OK && reply->type == REDIS_STRING &&
            read_presence_reply(read, reply->text)) {
            presence_read_part(part);
        } else {
            fail_presence_read(read);
        }
    }
    free(read);
}

static struct presence_read *begin_presence_read(struct presence_part *part)
{
    struct presence_read *read = mem_alloc(sizeof *read + NAMES_MAX * sizeof *read->names);
    read->part = part;
    read->count = 0;
    while (!list_is_empty(&part->due) && read->count < NAMES_MAX) {
        struct watched_name *presence = list_entry(part->due.next, struct watched_name, in_due);
        list_remove(&presence->in_due);
        presence->read = read;
        presence->place = read->count;
        read->names[read->count++] = presence;
    }
    list_init(&read->link);
    list_append(&part->reads, &read->link);
    part->reading++;
    return read;
}

/* Only lengths: the text may move while it is written to. */
static void write_keys(const struct presence_read *read, const char *kind, struct writer *text,
                       struct bytes *keys)
{
    const char *prefix = partition_prefix(read->part->partition);
    for (size_t i = 0; i < read->count; i++) {
        keys[i].len = keys_write(text, prefix, kind, presence_name(read->names[i])).len;
    }
}

static void send_presence_read(struct presence_read *read)
{
    const struct map *map = map_space_map(read->part->set->space);
    struct bytes args[1 + 2 * NAMES_MAX] = {
        bytes_from_string(partition_key_head(read->part->partition))};
    size_t count = 1 + 2 * read->count;
    struct writer text = {0};
    write_keys(read, "user:", &text, args + 1);
    write_keys(read, "client:", &text, args + 1 + read->count);
    const uint8_t *at = text.data;
    for (size_t i = 1; i < count; i++) {
        args[i].data = at;
        at += args[i].len;
    }
    metrics_add(METRIC_PRESENCE_READS, (int64_t)read->count);
    redis_eval(map_link(map), &presence_script, on_presence_read, read, count, count, args);
    writer_free(&text);
}

void presence_read_part(struct presence_part *part)
{
    const struct map *map = map_space_map(part->set->space);
    while (part->reading < READS_MAX && !list_is_empty(&part->due) &&
           redis_link_is_up(map_link(map)) && map_is_checked(map)) {
        send_presence_read(begin_presence_read(part));
    }
}

void presence_read_due(void *arg)
{
    struct presence_set *set = arg;
    for (uint32_t i = 0; i < map_space_partitions(set->space); i++) {
        presence_read_part(&set->parts[i]);
    }
}
