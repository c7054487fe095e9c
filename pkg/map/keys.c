#include "map/keys.h"

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
    if (to->failed)
        return (struct bytes){0};
    return (struct bytes){to->data + start, to->len - start};
}

char *keys_node(const char *prefix, const char *node)
{
    return mem_format("%s:node:%s", prefix, node);
}

char *keys_everyone(const char *prefix, const char *space)
{
    return mem_format("%s:relay:%s", prefix, space);
}

char *keys_spaces(const char *prefix)
{
    return mem_format("%s:spaces", prefix);
}

char *keys_bans(const char *prefix)
{
    return mem_format("%s:bans", prefix);
}
