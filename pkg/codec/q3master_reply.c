/*
 * q3master_reply: see q3master_reply.h.
 *
 * Every packet leaves room for the end mark, so that the last one has no servers only when the list
 * is empty. offsets: the position of each server in the doubled list, for lists of both families,
 * whose entries have two sizes; for other lists it is computed.
 */
#include "codec/q3master_reply.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define IPV4_SIZE 7 /* bytes of an entry */
#define IPV6_SIZE 19

static const char plain_header[] = "\xff\xff\xff\xff"
                                   "getserversResponse";
static const char extended_header[] = "\xff\xff\xff\xff"
                                      "getserversExtResponse";
static const uint8_t end_mark[] = {'\\', 'E', 'O', 'T', 0, 0, 0};

struct q3master_reply {
    struct frame *frame;
    size_t count;
    size_t header_size;
    size_t list_size; /* bytes of the entries, once */
    size_t entry_size;
    bool separated;
    uint32_t *offsets; /* 2 * count + 1 of them, or NULL: all entries have entry_size */
};

static size_t entry_size(const struct address *server, bool extended)
{
    if (server->port == 0) {
        return 0;
    }
    if (server->family == ADDRESS_IPV4) {
        return IPV4_SIZE;
    }
    return server->family == ADDRESS_IPV6 && extended ? IPV6_SIZE : 0;
}

static uint8_t *put_entry(uint8_t *to, const struct address *server)
{
    const size_t len = server->family == ADDRESS_IPV4 ? 4 : 16;

    *to++ = server->family == ADDRESS_IPV4 ? '\\' : '/';
    memcpy(to, server->ip, len);
    to += len;
    *to++ = (uint8_t)(server->port >> 8);
    *to++ = (uint8_t)server->port;
    return to;
}

/* Counts the entries and their bytes. */
static void measure(struct q3master_reply *reply, bool extended, const struct address *servers,
                    size_t count)
{
    bool mixed = false;

    for (size_t i = 0; i < count; i++) {
        const size_t size = entry_size(&servers[i], extended);

        if (size == 0) {
            continue;
        }
        if (reply->count++ == 0) {
            reply->entry_size = size;
        }
        mixed = mixed || size != reply->entry_size;
        reply->list_size += size;
    }
    if (mixed) {
        reply->offsets = mem_alloc((2 * reply->count + 1) * sizeof *reply->offsets);
    }
}

static void note_offsets(struct q3master_reply *reply, bool extended, const struct address *servers,
                         size_t count)
{
    uint32_t offset = 0;
    size_t at = 0;

    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            const size_t size = entry_size(&servers[i], extended);

            if (size == 0) {
                continue;
            }
            reply->offsets[at++] = offset;
            offset += (uint32_t)size;
        }
    }
    reply->offsets[at] = offset;
}

struct q3master_reply *q3master_reply_create(const struct q3master_reply_options *options,
                                             const struct address *servers, size_t count)
{
    const char *header = options->extended ? extended_header : plain_header;
    struct q3master_reply *reply = mem_zalloc(1, sizeof *reply);
    uint8_t *to;

    reply->separated = options->separated;
    reply->header_size = strlen(header);
    measure(reply, options->extended, servers, count);
    if (reply->offsets) {
        note_offsets(reply, options->extended, servers, count);
    }
    reply->frame = frame_create_sized(reply->header_size + 2 * reply->list_size + sizeof end_mark);
    to = reply->frame->data;
    memcpy(to, header, reply->header_size);
    to += reply->header_size;
    for (size_t i = 0; i < count; i++) {
        if (entry_size(&servers[i], options->extended) > 0) {
            to = put_entry(to, &servers[i]);
        }
    }
    memcpy(to, to - reply->list_size, reply->list_size);
    memcpy(to + reply->list_size, end_mark, sizeof end_mark);
    return reply;
}

void q3master_reply_destroy(struct q3master_reply **reply)
{
    if (!*reply) {
        return;
    }
    frame_unref(&(*reply)->frame);
    free((*reply)->offsets);
    free(*reply);
    *reply = NULL;
}

size_t q3master_reply_count(const struct q3master_reply *reply)
{
    return reply->count;
}

struct frame *q3master_reply_frame(const struct q3master_reply *reply)
{
    return reply->frame;
}

/* The entry's offset after the header. */
static size_t offset_of(const struct q3master_reply *reply, size_t index)
{
    return reply->offsets ? reply->offsets[index] : index * reply->entry_size;
}

/* The end of a packet that begins at `at` and holds as many entries as fit. */
static size_t packet_end(const struct q3master_reply *reply, size_t at, size_t end)
{
    const size_t room = Q3MASTER_REPLY_MAX - reply->header_size - sizeof end_mark;
    const size_t limit = offset_of(reply, at) + room;
    size_t low = at, high = end; /* low fits */

    if (!reply->offsets) {
        const size_t most = room / reply->entry_size;

        return end - at < most ? end : at + most;
    }
    while (low < high) {
        const size_t middle = high - (high - low) / 2;

        if (offset_of(reply, middle) <= limit) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

struct q3master_walk q3master_reply_walk(const struct q3master_reply *reply, size_t first)
{
    const size_t at = reply->count > 0 ? first % reply->count : 0;

    return (struct q3master_walk){.at = at, .end = at + reply->count};
}

size_t q3master_reply_next(const struct q3master_reply *reply, struct q3master_walk *walk,
                           struct frame_slice slices[Q3MASTER_SLICES])
{
    const uint32_t base = (uint32_t)reply->header_size;
    const uint32_t mark = (uint32_t)(base + 2 * reply->list_size);
    size_t count = 1;

    if (walk->ended) {
        return 0;
    }
    slices[0] = (struct frame_slice){0, base};
    if (walk->at < walk->end) {
        const size_t next = packet_end(reply, walk->at, walk->end);
        const uint32_t from = (uint32_t)offset_of(reply, walk->at);

        slices[count++] =
            (struct frame_slice){base + from, (uint32_t)offset_of(reply, next) - from};
        walk->at = next;
    }
    walk->ended = walk->at == walk->end;
    if (walk->ended) {
        slices[count++] = (struct frame_slice){mark, sizeof end_mark};
    } else if (reply->separated) {
        slices[count++] = (struct frame_slice){mark, 1};
    }
    return count;
}

size_t q3master_reply_size(const struct q3master_reply *reply)
{
    struct q3master_walk walk = q3master_reply_walk(reply, 0);
    struct frame_slice slices[Q3MASTER_SLICES];
    size_t size = 0, count;

    while ((count = q3master_reply_next(reply, &walk, slices)) > 0) {
        for (size_t i = 0; i < count; i++) {
            size += slices[i].len;
        }
    }
    return size;
}
