/*
 * errand: telling the front-ends of a user's devices something: of an invitation, or that a device
 * has to go because its user has come elsewhere.
 */
#include <string.h>

#include "base/mem.h"
#include "map/keys.h"
#include "map/presence.h"
#include "map/relay_private.h"

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

static void release(struct errand *errand)
{
    if (--errand->count > 0)
        return;
    writer_free(&errand->nodes);
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

void errand_drop(struct map *map, struct bytes rest)
{
    struct map_space *space = relay_space(map, bytes_next_word(&rest));
    if (space && rest.len > 0)
        session_drop(space, rest);
}

static void tell_here(struct errand *errand, struct bytes id)
{
    struct map_space *space = errand->space;
    if (errand->invitation.len == 0)
        session_drop(space, id);
    else if (!is_told(errand, bytes_from_string(space->map->node)))
        invite_tell(space, errand->user, errand->invitation);
}

static void tell_there(struct errand *errand, struct bytes node, struct bytes id)
{
    struct map_space *space = errand->space;
    struct writer message = {0};
    if (errand->invitation.len == 0) {
        writer_format(&message, "drop %s ", space->name);
        writer_bytes(&message, id);
    } else if (!is_told(errand, node)) {
        writer_format(&message, "invited %s %zu %zu\n", space->name, errand->user.len,
                      errand->invitation.len);
        writer_bytes(&message, errand->user);
        writer_bytes(&message, errand->invitation);
    }
    if (message.len > 0)
        relay_publish(space->map, node, writer_bytes_written(&message), 0);
    writer_free(&message);
}

struct device {
    struct errand *errand;
    size_t id_len;
    uint8_t id[];
};

static void on_node(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct device *device = arg;
    struct errand *errand = device->errand;
    struct bytes id = {device->id, device->id_len};
    if (status == REDIS_OK && reply->type == REDIS_STRING && reply->text.len == NODE_ID_LENGTH) {
        if (bytes_equal(reply->text, bytes_from_string(errand->space->map->node)))
            tell_here(errand, id);
        else
            tell_there(errand, reply->text, id);
    }
    release(errand);
    free(device);
}

static void look_for(struct errand *errand, struct bytes id)
{
    struct partition *partition = partition_of(errand->space, errand->user);
    struct device *device = mem_alloc(sizeof *device + id.len);
    struct writer key = {0};
    device->errand = errand;
    device->id_len = id.len;
    memcpy(device->id, id.data, id.len);
    errand->count++;
    struct bytes args[] = {BYTES_LITERAL("HGET"),
                           keys_write(&key, partition->prefix, "client:", id),
                           BYTES_LITERAL("node")};
    redis_command(partition->map->link, on_node, device, 3, args);
    writer_free(&key);
}

void errand_run(struct errand *errand, const struct redis_reply *ids, struct bytes but)
{
    for (size_t i = 0; i < ids->count; i++) {
        struct bytes id = ids->elements[i]->text;
        if (id.len == 0 || id.data[0] == '.' || bytes_equal(id, but))
            continue;
        if (owned_find(partition_of(errand->space, id), id))
            tell_here(errand, id);
        else
            look_for(errand, id);
    }
    release(errand);
}

/* Other devices of the user. */

struct drop_others {
    struct errand *errand;
    size_t keep_len;
    uint8_t keep[];
};

static void on_devices(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    static const struct redis_reply none = {.type = REDIS_ARRAY};
    struct drop_others *others = arg;
    bool good = status == REDIS_OK && reply->type == REDIS_ARRAY;
    errand_run(others->errand, good ? reply : &none,
               (struct bytes){others->keep, others->keep_len});
    free(others);
}

void map_user_drop_others(struct map_session *session, struct bytes user, struct bytes keep_id)
{
    struct map_space *space = session->space;
    struct drop_others *others = mem_alloc(sizeof *others + keep_id.len);
    struct writer key = {0};
    others->errand = errand_create(space, user, (struct bytes){0});
    others->keep_len = keep_id.len;
    if (keep_id.len)
        memcpy(others->keep, keep_id.data, keep_id.len);
    struct bytes args[] = {BYTES_LITERAL("HKEYS"),
                           keys_write(&key, partition_of(space, user)->prefix, "user:", user)};
    redis_command(space->map->link, on_devices, others, 2, args);
    writer_free(&key);
}
