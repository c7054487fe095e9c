/*
 * user_notify: notifying the front-ends of a user's devices: of an invitation, or that a device is
 * dropped because its user has logged in with another one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "presence/presence_private.h"
#include "redis/redis.h"
#include "schema/keys.h"

struct user_notify *user_notify_create(struct map_space *space, struct bytes user,
                                       struct bytes invitation)
{
    struct user_notify *notify = mem_zalloc(1, sizeof *notify + user.len + invitation.len);
    notify->space = space;
    notify->count = 1;
    memcpy(notify->text, user.data, user.len);
    if (invitation.len) {
        memcpy(notify->text + user.len, invitation.data, invitation.len);
    }
    notify->user = (struct bytes){notify->text, user.len};
    notify->invitation = (struct bytes){notify->text + user.len, invitation.len};
    return notify;
}

static void release_user_notify(struct user_notify *notify)
{
    if (--notify->count > 0) {
        return;
    }
    writer_free(&notify->nodes);
    writer_free(&notify->keep);
    free(notify);
}

/* Whether the front-end is still to be notified; one with two of the user's devices is so once. */
static bool mark_node_notified(struct user_notify *notify, struct bytes node)
{
    struct bytes nodes = writer_bytes_written(&notify->nodes);
    for (size_t at = 0; at + NODE_ID_LENGTH <= nodes.len; at += NODE_ID_LENGTH) {
        if (bytes_equal(node, (struct bytes){nodes.data + at, NODE_ID_LENGTH})) {
            return false;
        }
    }
    writer_bytes(&notify->nodes, node);
    return true;
}

static void notify_local_device(struct user_notify *notify, struct bytes id)
{
    struct map_space *space = notify->space;
    if (notify->invitation.len == 0) {
        session_drop(space, id);
    } else if (mark_node_notified(notify, bytes_from_string(map_node_id(map_space_map(space))))) {
        invite_deliver(space, notify->user, notify->invitation);
    }
}

static void notify_remote_device(struct user_notify *notify, struct bytes node, struct bytes id)
{
    struct map_space *space = notify->space;
    struct writer message = {0};
    if (notify->invitation.len == 0) {
        writer_format(&message, "drop %s ", map_space_name(space));
        writer_bytes(&message, id);
    } else if (mark_node_notified(notify, node)) {
        writer_format(&message, "invited %s %zu %zu\n", map_space_name(space), notify->user.len,
                      notify->invitation.len);
        writer_bytes(&message, notify->user);
        writer_bytes(&message, notify->invitation);
    }
    if (message.len > 0) {
        map_send_to_node(map_space_map(space), node, writer_bytes_written(&message), 0);
    }
    writer_free(&message);
}

struct device {
    struct user_notify *notify;
    bool is_before; /* listed before the one that is kept */
    size_t id_len;
    uint8_t id[];
};

/* Of two devices that log in at the same time the later one stays, rather than each dropping the
 * other. Within one millisecond, that is the one listed later in Redis's hash, which keeps the
 * order of insertion while it is small. */
static bool is_older_device(const struct user_notify *notify, const struct device *device,
                            struct bytes since)
{
    uint64_t opened = bytes_decimal(since);
    return opened < notify->since || (opened == notify->since && device->is_before);
}

static void notify_device(struct user_notify *notify, const struct device *device,
                          const struct redis_reply *fields)
{
    struct bytes node = fields->elements[0]->text, id = {device->id, device->id_len};
    if (node.len != NODE_ID_LENGTH ||
        (notify->invitation.len == 0 &&
         !is_older_device(notify, device, fields->elements[1]->text))) {
        return;
    }
    if (bytes_equal(node, bytes_from_string(map_node_id(map_space_map(notify->space))))) {
        notify_local_device(notify, id);
    } else {
        notify_remote_device(notify, node, id);
    }
}

static void on_device_node(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct device *device = arg;
    struct user_notify *notify = device->notify;
    if (status == REDIS_OK && reply->type == REDIS_ARRAY && reply->count == 2) {
        notify_device(notify, device, reply);
    }
    release_user_notify(notify);
    free(device);
}

static void look_up_device(struct user_notify *notify, struct bytes id, bool is_before)
{
    const struct map *map = map_space_map(notify->space);
    const char *prefix = partition_prefix(partition_of(notify->space, notify->user));
    struct device *device = mem_alloc(sizeof *device + id.len);
    struct writer key = {0};
    device->notify = notify;
    device->is_before = is_before;
    device->id_len = id.len;
    memcpy(device->id, id.data, id.len);
    notify->count++;
    struct bytes args[] = {BYTES_LITERAL("HMGET"), keys_write(&key, prefix, "client:", id),
                           BYTES_LITERAL("node"), BYTES_LITERAL("since")};
    redis_command(map_link(map), on_device_node, device, 4, args);
    writer_free(&key);
}

void user_notify_run(struct user_notify *notify, const struct redis_reply *ids)
{
    bool is_before = true;
    for (size_t i = 0; i < ids->count; i++) {
        struct bytes id = ids->elements[i]->text;
        bool is_kept = bytes_equal(id, writer_bytes_written(&notify->keep));
        is_before = is_before && !is_kept;
        if (id.len == 0 || id.data[0] == '.' || is_kept) {
            continue;
        }
        if (notify->invitation.len > 0 && map_owns(notify->space, id)) {
            notify_local_device(notify, id);
        } else {
            look_up_device(notify, id, is_before);
        }
    }
    release_user_notify(notify);
}

/* Other devices of the user. */

static void on_since(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct user_notify *notify = arg;
    if (status == REDIS_OK && reply->type == REDIS_STRING) {
        notify->since = bytes_decimal(reply->text);
    }
}

static void on_devices(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    static const struct redis_reply none = {.type = REDIS_ARRAY};
    bool good = status == REDIS_OK && reply->type == REDIS_ARRAY;
    user_notify_run(arg, good ? reply : &none);
}

void presence_drop_other_devices(struct map_session *session, struct bytes user,
                                 struct bytes keep_id)
{
    struct map_space *space = map_session_space(session);
    struct redis_link *link = map_link(map_space_map(space));
    const char *prefix = partition_prefix(partition_of(space, user));
    struct user_notify *notify = user_notify_create(space, user, (struct bytes){0});
    struct writer own = {0}, devices = {0};
    writer_bytes(&notify->keep, keep_id);
    struct bytes since[] = {BYTES_LITERAL("HGET"), keys_write(&own, prefix, "client:", keep_id),
                            BYTES_LITERAL("since")};
    struct bytes keys[] = {BYTES_LITERAL("HKEYS"), keys_write(&devices, prefix, "user:", user)};
    redis_command(link, on_since, notify, 3, since);
    redis_command(link, on_devices, notify, 2, keys);
    writer_free(&own);
    writer_free(&devices);
}
