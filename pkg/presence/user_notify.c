/*
 * errand: telling the front-ends of a user's devices something: of an invitation, or that a device
 * has to go because its user has come elsewhere.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "presence/presence_private.h"
#include "redis/redis.h"
#include "schema/keys.h"

struct errand *errand_create(struct map_space *space, struct bytes user, struct bytes invitation)
{
    struct errand *errand = mem_zalloc(1, sizeof *errand + user.len + invitation.len);
    errand->space = space;
    errand->count = 1;
    memcpy(errand->text, user.data, user.len);
    if (invitation.len)
        memcpy(errand->text + user.len, invitation.data, invitation.len);
    errand->user = (struct bytes){errand->text, user.len};
    errand->invitation = (struct bytes){errand->text + user.len, invitation.len};
    return errand;
}

static void release_errand(struct errand *errand)
{
    if (--errand->count > 0)
        return;
    writer_free(&errand->nodes);
    writer_free(&errand->keep);
    free(errand);
}

/* A front-end with two of the user's devices is told once. */
static bool is_told(struct errand *errand, struct bytes node)
{
    struct bytes told = writer_bytes_written(&errand->nodes);
    for (size_t at = 0; at + NODE_ID_LENGTH <= told.len; at += NODE_ID_LENGTH) {
        if (bytes_equal(node, (struct bytes){told.data + at, NODE_ID_LENGTH}))
            return true;
    }
    writer_bytes(&errand->nodes, node);
    return false;
}

static void tell_here(struct errand *errand, struct bytes id)
{
    struct map_space *space = errand->space;
    if (errand->invitation.len == 0)
        session_drop(space, id);
    else if (!is_told(errand, bytes_from_string(map_node_id(map_space_map(space)))))
        invite_tell(space, errand->user, errand->invitation);
}

static void tell_there(struct errand *errand, struct bytes node, struct bytes id)
{
    struct map_space *space = errand->space;
    struct writer message = {0};
    if (errand->invitation.len == 0) {
        writer_format(&message, "drop %s ", map_space_name(space));
        writer_bytes(&message, id);
    } else if (!is_told(errand, node)) {
        writer_format(&message, "invited %s %zu %zu\n", map_space_name(space), errand->user.len,
                      errand->invitation.len);
        writer_bytes(&message, errand->user);
        writer_bytes(&message, errand->invitation);
    }
    if (message.len > 0)
        map_send_to_node(map_space_map(space), node, writer_bytes_written(&message), 0);
    writer_free(&message);
}

struct device {
    struct errand *errand;
    bool is_before; /* the one to be kept */
    size_t id_len;
    uint8_t id[];
};

/* Two that come at the same time do not drop one another: the later one stays. Of one millisecond
 * that is who stands behind in Redis's hash, which is in the order of coming while it is small. */
static bool is_older_device(const struct errand *errand, const struct device *device,
                            struct bytes since)
{
    uint64_t opened = bytes_decimal(since);
    return opened < errand->since || (opened == errand->since && device->is_before);
}

static void tell_device(struct errand *errand, const struct device *device,
                        const struct redis_reply *fields)
{
    struct bytes node = fields->elements[0]->text, id = {device->id, device->id_len};
    if (node.len != NODE_ID_LENGTH || (errand->invitation.len == 0 &&
                                       !is_older_device(errand, device, fields->elements[1]->text)))
        return;
    if (bytes_equal(node, bytes_from_string(map_node_id(map_space_map(errand->space)))))
        tell_here(errand, id);
    else
        tell_there(errand, node, id);
}

static void on_device_node(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct device *device = arg;
    struct errand *errand = device->errand;
    if (status == REDIS_OK && reply->type == REDIS_ARRAY && reply->count == 2)
        tell_device(errand, device, reply);
    release_errand(errand);
    free(device);
}

static void look_for(struct errand *errand, struct bytes id, bool is_before)
{
    const struct map *map = map_space_map(errand->space);
    const char *prefix = partition_prefix(partition_of(errand->space, errand->user));
    struct device *device = mem_alloc(sizeof *device + id.len);
    struct writer key = {0};
    device->errand = errand;
    device->is_before = is_before;
    device->id_len = id.len;
    memcpy(device->id, id.data, id.len);
    errand->count++;
    struct bytes args[] = {BYTES_LITERAL("HMGET"), keys_write(&key, prefix, "client:", id),
                           BYTES_LITERAL("node"), BYTES_LITERAL("since")};
    redis_command(map_link(map), on_device_node, device, 4, args);
    writer_free(&key);
}

void errand_run(struct errand *errand, const struct redis_reply *ids)
{
    bool is_before = true;
    for (size_t i = 0; i < ids->count; i++) {
        struct bytes id = ids->elements[i]->text;
        bool is_kept = bytes_equal(id, writer_bytes_written(&errand->keep));
        is_before = is_before && !is_kept;
        if (id.len == 0 || id.data[0] == '.' || is_kept)
            continue;
        if (errand->invitation.len > 0 && map_owns(errand->space, id))
            tell_here(errand, id);
        else
            look_for(errand, id, is_before);
    }
    release_errand(errand);
}

/* Other devices of the user. */

static void on_since(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct errand *errand = arg;
    if (status == REDIS_OK && reply->type == REDIS_STRING)
        errand->since = bytes_decimal(reply->text);
}

static void on_devices(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    static const struct redis_reply none = {.type = REDIS_ARRAY};
    bool good = status == REDIS_OK && reply->type == REDIS_ARRAY;
    errand_run(arg, good ? reply : &none);
}

void map_user_drop_others(struct map_session *session, struct bytes user, struct bytes keep_id)
{
    struct map_space *space = map_session_space(session);
    struct redis_link *link = map_link(map_space_map(space));
    const char *prefix = partition_prefix(partition_of(space, user));
    struct errand *errand = errand_create(space, user, (struct bytes){0});
    struct writer own = {0}, devices = {0};
    writer_bytes(&errand->keep, keep_id);
    struct bytes since[] = {BYTES_LITERAL("HGET"), keys_write(&own, prefix, "client:", keep_id),
                            BYTES_LITERAL("since")};
    struct bytes keys[] = {BYTES_LITERAL("HKEYS"), keys_write(&devices, prefix, "user:", user)};
    redis_command(link, on_since, errand, 3, since);
    redis_command(link, on_devices, errand, 2, keys);
    writer_free(&own);
    writer_free(&devices);
}
