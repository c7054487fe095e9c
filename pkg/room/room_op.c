/*
 * room_op: what is asked of rooms, as operations of apply.
 */
#include "room/room_op_private.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "map/feature.h"
#include "map/op.h"
#include "schema/keys.h"

/* What an operation on a room has of its own (op_data). Its state is the member's id and, behind
 * that, the user's id or the message. */
struct room_op {
    uint64_t number;
    uint32_t member_len;
    char node[NODE_ID_LENGTH + 1]; /* evict_member: the member's */
};
static_assert(sizeof(struct room_op) <= OP_DATA_SIZE, "an operation has room for it");

static void add_member_id(struct arguments *to, const struct op *op)
{
    const struct room_op *own = op_data(op);
    arguments_add(to, (struct bytes){op_state(op).data, own->member_len});
}

static void add_behind_member(struct arguments *to, const struct op *op)
{
    const struct room_op *own = op_data(op);
    struct bytes state = op_state(op);
    arguments_add(to, (struct bytes){state.data + own->member_len, state.len - own->member_len});
}

/* Whether the room may be created: apply.lua. */
static void add_rooms_limit(struct arguments *to, const struct op *op, const struct map *map)
{
    if (map_is_full(map)) {
        arguments_add(to, BYTES_LITERAL("full"));
    } else {
        arguments_add_number(
            to, partition_share_of(op_partition(op), map_settings_of(map)->room_max_rooms));
    }
}

static void encode_member(struct arguments *to, const struct op *op, bool returns)
{
    const struct room_op *own = op_data(op);
    struct map *map = map_space_map(partition_space(op_partition(op)));
    add_member_id(to, op);
    add_behind_member(to, op);
    arguments_add_number(to, (uint64_t)map_settings_of(map)->room_max_members);
    if (returns) {
        arguments_add(to, BYTES_LITERAL("any"));
    } else {
        add_rooms_limit(to, op, map);
    }
    arguments_add_number(to, own->number);
}

static void encode_join(struct arguments *to, const struct op *op)
{
    encode_member(to, op, false);
}

static void encode_return(struct arguments *to, const struct op *op)
{
    encode_member(to, op, true);
}

static void encode_leave(struct arguments *to, const struct op *op)
{
    const struct room_op *own = op_data(op);
    add_member_id(to, op);
    arguments_add_number(to, own->number);
}

static void encode_publish(struct arguments *to, const struct op *op)
{
    encode_leave(to, op);
    add_behind_member(to, op);
}

static void encode_evict_member(struct arguments *to, const struct op *op)
{
    const struct room_op *own = op_data(op);
    add_member_id(to, op);
    arguments_add(to, bytes_from_string(own->node));
}

static const struct op_type join_type = {.name = "join", .key = "room:", .encode = encode_join};
static const struct op_type return_type = {.name = "join", .key = "room:", .encode = encode_return};
/* Still wanted when its caller has stopped waiting. */
static const struct op_type leave_type = {
    .name = "leave", .key = "room:", .outlives = true, .encode = encode_leave};
static const struct op_type publish_type = {
    .name = "publish", .key = "room:", .encode = encode_publish};
static const struct op_type evict_member_type = {
    .name = "evict_member", .key = "room:", .of_sweep = true, .encode = encode_evict_member};

static struct op *create_room_op(struct partition *partition, const struct op_type *type,
                                 struct bytes room, struct bytes id, struct bytes rest,
                                 uint64_t number)
{
    struct op *op = op_create_typed(partition, type, room);
    struct room_op *own = op_data(op);
    char *state = mem_alloc(id.len + rest.len + 1);
    memcpy(state, id.data, id.len);
    if (rest.len) {
        memcpy(state + id.len, rest.data, rest.len);
    }
    op_take_state(op, state, id.len + rest.len);
    own->member_len = (uint32_t)id.len;
    own->number = number;
    return op;
}

/* What keys, indexes and messages can name. */
static bool is_possible(struct bytes room, struct bytes id)
{
    return room.len > 0 && room.len <= UINT8_MAX && id.len > 0 && id.len <= UINT8_MAX &&
           !memchr(id.data, ' ', id.len) && !memchr(id.data, '\n', id.len);
}

/* For a session. What no room can have is refused. */
static void submit_room_op(struct map_session *session, const struct op_type *type,
                           struct bytes room, struct bytes id, struct bytes rest, uint64_t number,
                           map_done done, void *arg)
{
    const bool possible = is_possible(room, id);
    if (!possible) {
        room = id = rest = BYTES_LITERAL("");
    }
    struct partition *partition = partition_of(map_session_space(session), room);
    struct op *op = create_room_op(partition, type, room, id, rest, number);
    if (possible) {
        op_submit(op, session, done, arg);
    } else {
        op_refuse(op, session, MAP_REFUSED, done, arg);
    }
}

void room_op_join(struct map_session *session, struct bytes room, struct bytes id,
                  struct bytes user, uint64_t number, bool returns, map_done done, void *arg)
{
    submit_room_op(session, returns ? &return_type : &join_type, user.len > 0 ? room : user, id,
                   user, number, done, arg);
}

void room_op_leave(struct map_space *space, struct map_session *session, struct bytes room,
                   struct bytes id, uint64_t number, map_done done, void *arg)
{
    struct partition *partition = partition_of(space, room);
    if (session && !is_possible(room, id)) {
        submit_room_op(session, &leave_type, room, id, (struct bytes){0}, number, done, arg);
    } else if (session || (partition_is_ready(partition) && is_possible(room, id))) {
        struct op *op = create_room_op(partition, &leave_type, room, id, (struct bytes){0}, number);
        /* A full queue may keep nobody in a room. */
        if (session) {
            op_attach(op, session, done, arg);
        }
        op_enqueue(op);
    } else {
        /* While Redis is unreachable nothing is queued: the audit finds who is not here any more.
         */
        partition_audit_soon(partition);
    }
}

void room_op_publish(struct map_session *session, struct bytes room, struct bytes id,
                     uint64_t number, struct bytes message, map_done done, void *arg)
{
    submit_room_op(session, &publish_type, room, id, message, number, done, arg);
}

bool room_read_member(struct bytes text, struct bytes *id, struct bytes *room)
{
    *id = bytes_next_word(&text);
    *room = text;
    return is_possible(*room, *id);
}

void room_op_evict_member(struct partition *partition, struct bytes member, const char *node)
{
    struct bytes id, room;
    if (!room_read_member(member, &id, &room)) {
        return;
    }
    struct op *op = create_room_op(partition, &evict_member_type, room, id, (struct bytes){0}, 0);
    struct room_op *own = op_data(op);
    snprintf(own->node, sizeof own->node, "%s", node);
    op_enqueue_of_sweep(op);
}
