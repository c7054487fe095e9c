/* fsck_gather: finds every id of which anything in Redis speaks: entries, indexes, deadlines. */
#include "map/fsck_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "map/keys.h"

static void add_id(struct fsck_partition *partition, struct bytes id)
{
    struct fsck_id *known = NULL;
    HASH_FIND(hh, partition->ids, id.data, id.len, known);
    if (known)
        return;
    known = mem_alloc(sizeof *known + id.len);
    memset(known, 0, sizeof *known);
    known->partition = partition;
    known->len = (uint32_t)id.len;
    if (id.len > 0)
        memcpy(known->text, id.data, id.len);
    HASH_ADD_KEYPTR(hh, partition->ids, known->text, id.len, known);
}

static void add_node(struct fsck_partition *partition, struct bytes name)
{
    struct fsck_node *node = NULL;
    struct writer key = {0};
    if (name.len == 0 || memchr(name.data, 0, name.len))
        return; /* no front-end has such a name */
    HASH_FIND(hh, partition->nodes, name.data, name.len, node);
    if (node)
        return;
    node = mem_alloc(sizeof *node + name.len + 1);
    memset(node, 0, sizeof *node);
    node->len = name.len;
    memcpy(node->name, name.data, name.len);
    node->name[name.len] = 0;
    keys_write(&key, partition->prefix, "node:", name);
    writer_u8(&key, 0);
    node->key = (char *)key.data;
    HASH_ADD_KEYPTR(hh, partition->nodes, node->name, name.len, node);
}

static bool begins_with(struct bytes text, const char *start, struct bytes *rest)
{
    size_t len = strlen(start);
    if (text.len < len || memcmp(text.data, start, len) != 0)
        return false;
    *rest = (struct bytes){text.data + len, text.len - len};
    return true;
}

static void on_key(void *arg, uint32_t index, struct bytes name)
{
    struct fsck *fsck = arg;
    struct bytes rest;
    if (begins_with(name, "client:", &rest))
        add_id(&fsck->partitions[index], rest);
    else if (begins_with(name, "node:", &rest))
        add_node(&fsck->partitions[index], rest);
}

static void on_listed(void *arg, struct bytes id, struct bytes user)
{
    struct fsck_partition *partition = arg;
    partition->fsck->report->listed++;
    add_id(partition, id);
}

static void on_deadline(void *arg, struct bytes member, struct bytes score)
{
    struct fsck_partition *partition = arg;
    struct bytes id;
    if (!begins_with(member, "c:", &id))
        return;
    partition->fsck->report->deadlines++;
    add_id(partition, id);
}

static void on_registered(void *arg, struct bytes id, struct bytes score)
{
    struct fsck_partition *partition = arg;
    partition->fsck->report->deadlines++;
    add_id(partition, id);
}

static void on_nodes(void *arg, const struct redis_reply *reply)
{
    struct fsck_partition *partition = arg;
    for (size_t i = 0; reply->type == REDIS_ARRAY && i < reply->count; i++)
        add_node(partition, reply->elements[i]->text);
}

bool fsck_gather_nodes(struct fsck *fsck)
{
    for (uint32_t i = 0; i < fsck->options->space.partitions; i++) {
        struct fsck_partition *partition = &fsck->partitions[i];
        struct bytes args[] = {BYTES_LITERAL("ZRANGE"), bytes_from_string(partition->nodes_key),
                               BYTES_LITERAL("0"), BYTES_LITERAL("-1")};
        reader_command(fsck->reader, on_nodes, partition, 4, args);
    }
    return reader_wait(fsck->reader);
}

static bool gather_partition(struct fsck_partition *partition)
{
    struct reader *reader = partition->fsck->reader;
    for (struct fsck_node *node = partition->nodes; node; node = node->hh.next) {
        if (!reader_scan(reader, "HSCAN", bytes_from_string(node->key), NULL, on_listed, partition))
            return false;
    }
    return reader_scan(reader, "ZSCAN", bytes_from_string(partition->deadlines), NULL, on_deadline,
                       partition) &&
           reader_scan(reader, "ZSCAN", bytes_from_string(partition->registered), NULL,
                       on_registered, partition);
}

bool fsck_gather(struct fsck *fsck)
{
    const struct reader_space *space = &fsck->options->space;
    if (!reader_each_key(fsck->reader, space, "", on_key, fsck) || !fsck_gather_nodes(fsck))
        return false;
    for (uint32_t i = 0; i < space->partitions; i++) {
        fsck->report->entries += HASH_COUNT(fsck->partitions[i].ids);
        if (!gather_partition(&fsck->partitions[i]))
            return false;
    }
    return true;
}
