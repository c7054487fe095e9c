#include "schema/keys.h"

#include "base/mem.h"

char *keys_partition_prefix(const char *prefix, const char *space, uint32_t partitions,
                            uint32_t partition)
{
    return mem_format("%s:{%s/%u/%u}:", prefix, space, partitions, partition);
}

struct bytes keys_write(struct writer *to, const char *partition_prefix, const char *kind,
                        struct bytes name)
{
    size_t start = to->len;
    writer_string(to, partition_prefix);
    writer_string(to, kind);
    writer_bytes(to, name);
    if (to->failed) {
        return (struct bytes){0};
    }
    return (struct bytes){to->data + start, to->len - start};
}

char *keys_partition_channels(const char *partition_prefix, unsigned database)
{
    if (database == 0) {
        return mem_strdup(partition_prefix);
    }
    return mem_format("%sdb%u:", partition_prefix, database);
}

char *keys_node(const char *prefix, const char *node)
{
    return mem_format("%s:node:%s", prefix, node);
}

static char *format_channel(const char *prefix, const char *kind, unsigned database,
                            const char *name)
{
    if (database == 0) {
        return mem_format("%s:%s:%s", prefix, kind, name);
    }
    return mem_format("%s:%s:db%u:%s", prefix, kind, database, name);
}

char *keys_node_channel(const char *prefix, unsigned database, const char *node)
{
    return format_channel(prefix, "node", database, node);
}

char *keys_everyone(const char *prefix, unsigned database, const char *space)
{
    return format_channel(prefix, "relay", database, space);
}

char *keys_reply_channel(const char *prefix, unsigned database, const char *name)
{
    return format_channel(prefix, "reply", database, name);
}

char *keys_spaces(const char *prefix)
{
    return mem_format("%s:spaces", prefix);
}

char *keys_shared(const char *prefix)
{
    return mem_format("%s:shared", prefix);
}

char *keys_bans(const char *prefix)
{
    return mem_format("%s:bans", prefix);
}

char *keys_bans_channel(const char *prefix, unsigned database)
{
    if (database == 0) {
        return keys_bans(prefix);
    }
    return mem_format("%s:bans:db%u", prefix, database);
}
