/* fsck_gather: finds every entry, user and room that anything in Redis refers to: hashes, indexes
 * and deadlines. */
#include "inspect/fsck_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/keys.h"

static void add_id(struct fsck_partition *partition, enum fsck_kind kind, struct bytes id)
{
    struct fsck_id *known = NULL;
    HASH_FIND(hh, partition->ids[kind], id.data, id.len, known);
    if (known) {
        return;
    }
    known = mem_alloc(sizeof *known + id.len);
    memset(known, 0, sizeof *known);
    known->partition = partition;
    known->kind = kind;
    known->len = (uint32_t)id.len;
    if (id.len > 0) {
        memcpy(known->text, id.data, id.len);
    }
    HASH_ADD_KEYPTR(hh, partition->ids[kind], known->text, id.len, known);
}

static char *fsck_key(const struct fsck_partition *partition, const char *kind, struct bytes name)
{
    struct writer key = {0};
    keys_write(&key, partition->prefix, kind, name);
    writer_u8(&key, 0);
    return (char *)key.data;
}

static void add_fsck_node(struct fsck_partition *partition, struct bytes name)
{
    struct fsck_node *node = NULL;
    if (name.len == 0 || memchr(name.data, 0, name.len)) {
        return; /* no front-end has such a name */
    }
    HASH_FIND(hh, partition->nodes, name.data, name.len, node);
    if (node) {
        return;
    }
    node = mem_alloc(sizeof *node + name.len + 1);
    memset(node, 0, sizeof *node);
    node->len = name.len;
    memcpy(node->name, name.data, name.len);
    node->name[name.len] = 0;
    node->key = fsck_key(partition, "node:", name);
    node->members_key = fsck_key(partition, "members:", name);
    HASH_ADD_KEYPTR(hh, partition->nodes, node->name, name.len, node);
}

static bool begins_with(struct bytes text, const char *start, struct bytes *rest)
{
    size_t len = strlen(start);
    if (text.len < len || memcmp(text.data, start, len) != 0) {
        return false;
    }
    *rest = (struct bytes){text.data + len, text.len - len};
    return true;
}

static void on_fsck_key(void *arg, uint32_t index, struct bytes name)
{
    struct fsck *fsck = arg;
    struct bytes rest;
    struct fsck_partition *partition = &fsck->partitions[index];
    if (begins_with(name, "client:", &rest)) {
        add_id(partition, FSCK_ENTRIES, rest);
    } else if (begins_with(name, "user:", &rest)) {
        add_id(partition, FSCK_USERS, rest);
    } else if (begins_with(name, "room:", &rest)) {
        add_id(partition, FSCK_ROOMS, rest);
    } else if (begins_with(name, "node:", &rest) || begins_with(name, "members:", &rest)) {
        add_fsck_node(partition, rest);
    }
}

static void on_listed(void *arg, struct bytes id, struct bytes user)
{
    struct fsck_partition *partition = arg;
    partition->fsck->report->listed++;
    add_id(partition, FSCK_ENTRIES, id);
    if (user.len > 0) {
        add_id(partition, FSCK_USERS, user);
    }
}

static void on_open_room(void *arg, struct bytes name, struct bytes born)
{
    add_id(arg, FSCK_ROOMS, name);
}

struct fsck_listing {
    struct fsck_partition *partition;
    const struct fsck_node *node;
};

/* member: "<id> <room>" */
static void on_member(void *arg, struct bytes member, struct bytes user)
{
    const struct fsck_listing *listing = arg;
    struct writer text = {0};
    writer_format(&text, "%s ", listing->node->name);
    writer_bytes(&text, member);
    add_id(listing->partition, FSCK_LISTINGS, writer_bytes_written(&text));
    writer_free(&text);
}

static void on_fsck_deadline(void *arg, struct bytes member, struct bytes score)
{
    struct fsck_partition *partition = arg;
    struct bytes name;
    if (begins_with(member, "u:", &name)) {
        add_id(partition, FSCK_USERS, name);
    } else if (begins_with(member, "c:", &name)) {
        partition->fsck->report->deadlines++;
        add_id(partition, FSCK_ENTRIES, name);
    }
}

static void on_fsck_registered(void *arg, struct bytes id, struct bytes score)
{
    struct fsck_partition *partition = arg;
    partition->fsck->report->deadlines++;
    add_id(partition, FSCK_ENTRIES, id);
}

static void on_fsck_nodes(void *arg, const struct redis_reply *reply)
{
    struct fsck_partition *partition = arg;
    for (size_t i = 0; reply->type == REDIS_ARRAY && i < reply->count; i++) {
        add_fsck_node(partition, reply->elements[i]->text);
    }
}

bool fsck_gather_nodes(struct fsck *fsck)
{
    for (uint32_t i = 0; i < fsck->options->space.partitions; i++) {
        struct fsck_partition *partition = &fsck->partitions[i];
        struct bytes args[] = {BYTES_LITERAL("ZRANGE"), bytes_from_string(partition->nodes_key),
                               BYTES_LITERAL("0"), BYTES_LITERAL("-1")};
        reader_command(fsck->reader, on_fsck_nodes, partition, 4, args);
    }
    return reader_wait(fsck->reader);
}

static bool gather_partition(struct fsck_partition *partition)
{
    struct reader *reader = partition->fsck->reader;
    for (struct fsck_node *node = partition->nodes; node; node = node->hh.next) {
        struct fsck_listing listing = {partition, node};
        if (!reader_scan(reader, "HSCAN", bytes_from_string(node->key), NULL, on_listed,
                         partition) ||
            !reader_scan(reader, "HSCAN", bytes_from_string(node->members_key), NULL, on_member,
                         &listing)) {
            return false;
        }
    }
    return reader_scan(reader, "ZSCAN", bytes_from_string(partition->deadlines), NULL,
                       on_fsck_deadline, partition) &&
           reader_scan(reader, "ZSCAN", bytes_from_string(partition->registered), NULL,
                       on_fsck_registered, partition) &&
           reader_scan(reader, "HSCAN", bytes_from_string(partition->open_rooms), NULL,
                       on_open_room, partition);
}

bool fsck_gather(struct fsck *fsck)
{
    const struct reader_space *space = &fsck->options->space;
    if (!reader_each_key(fsck->reader, space, "", on_fsck_key, fsck) || !fsck_gather_nodes(fsck)) {
        return false;
    }
    for (uint32_t i = 0; i < space->partitions; i++) {
        fsck->report->entries += HASH_COUNT(fsck->partitions[i].ids[FSCK_ENTRIES]);
        if (!gather_partition(&fsck->partitions[i])) {
            return false;
        }
    }
    return true;
}
