/*
 * user_notify: notifying the front-ends of a user's devices: of an invitation, or that a device is
 * dropped because its user has logged in with another one. One script finds all of them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "presence/presence_private.h"
#include "redis/redis.h"
#include "schema/keys.h"
#include "schema/scripts.h"

static struct redis_script older_devices_script = {.name = "older_devices",
                                                   .source = script_older_devices};

static bool is_own_node(const struct map_space *space, struct bytes node)
{
    return bytes_equal(node, bytes_from_string(map_node_id(map_space_map(space))));
}

static void send_to_node(const struct map_space *space, struct bytes node, struct writer *message)
{
    map_send_to_node(map_space_map(space), node, writer_bytes_written(message), 0);
    writer_free(message);
}

void user_notify_invited(struct map_space *space, struct bytes user, struct bytes invitation,
                         const struct redis_reply *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        struct bytes node = nodes->elements[i]->text;
        struct writer message = {0};
        if (is_own_node(space, node)) {
            invite_deliver(space, user, invitation);
        } else if (node.len == NODE_ID_LENGTH) {
            writer_format(&message, "invited %s %zu %zu\n", map_space_name(space), user.len,
                          invitation.len);
            writer_bytes(&message, user);
            writer_bytes(&message, invitation);
            send_to_node(space, node, &message);
        }
    }
}

/* Other devices of the user. */

static void drop_device(struct map_space *space, struct bytes node, struct bytes id)
{
    struct writer message = {0};
    if (is_own_node(space, node)) {
        session_drop(space, id);
    } else if (node.len == NODE_ID_LENGTH && id.len > 0) {
        writer_format(&message, "drop %s ", map_space_name(space));
        writer_bytes(&message, id);
        send_to_node(space, node, &message);
    }
}

/* Pairs of a front-end and a device. */
static void on_older_devices(void *space, enum redis_status status, const struct redis_reply *reply)
{
    if (status != REDIS_OK || reply->type != REDIS_ARRAY) {
        return;
    }
    for (size_t i = 0; i + 1 < reply->count; i += 2) {
        drop_device(space, reply->elements[i]->text, reply->elements[i + 1]->text);
    }
}

void presence_drop_other_devices(struct map_session *session, struct bytes user,
                                 struct bytes keep_id)
{
    struct map_space *space = map_session_space(session);
    struct writer key = {0};
    struct bytes args[] = {
        keys_write(&key, partition_prefix(partition_of(space, user)), "user:", user), user,
        keep_id};
    redis_eval(map_link(map_space_map(space)), &older_devices_script, on_older_devices, space, 1, 3,
               args);
    writer_free(&key);
}
