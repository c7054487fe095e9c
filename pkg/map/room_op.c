/*
 * room_op: what is asked of rooms, as operations of apply.
 *
 * An operation's id is the room's name; its state holds the member's id and, behind that, the
 * user's id or the message.
 */
#include "map/room_op_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "map/map_private.h"
#include "map/op_private.h"
#include "map/op_type_private.h"
#include "map/partition_private.h"
#include "map/session_private.h"
#include "map/sweep_private.h"

bool op_is_of_room(const struct op *op)
{
    return op_type_of(op)->of_room;
}

struct bytes op_member(const struct op *op)
{
    return (struct bytes){(const uint8_t *)op->state, op->member_len};
}

struct bytes op_behind_member(const struct op *op)
{
    return (struct bytes){(const uint8_t *)op->state + op->member_len,
                          op->state_len - op->member_len};
}

static struct op *create_room_op(struct partition *partition, enum op_kind kind, struct bytes room,
                                 struct bytes id, struct bytes rest)
{
    struct op *op = op_create(partition, kind, room);
    op->state = mem_alloc(id.len + rest.len + 1);
    memcpy(op->state, id.data, id.len);
    if (rest.len)
        memcpy(op->state + id.len, rest.data, rest.len);
    op->state_len = (uint32_t)(id.len + rest.len);
    op->member_len = (uint8_t)id.len;
    return op;
}

/* What keys, indexes and messages can name. */
static bool is_possible(struct bytes room, struct bytes id)
{
    return room.len > 0 && room.len <= UINT8_MAX && id.len > 0 && id.len <= UINT8_MAX &&
           !memchr(id.data, ' ', id.len) && !memchr(id.data, '\n', id.len);
}

/* Without a room when there can be none. */
static struct op *create_for(struct map_session *session, enum op_kind kind, struct bytes room,
                             struct bytes id, struct bytes rest)
{
    if (!is_possible(room, id))
        room = id = rest = BYTES_LITERAL("");
    return create_room_op(partition_of(session->space, room), kind, room, id, rest);
}

static void enqueue_room_op(struct op *op, struct map_session *session, map_done done, void *arg)
{
    op_attach(op, session, done, arg);
    if (op->id_len > 0 && !op_is_too_much(op)) {
        op_enqueue(op);
        return;
    }
    op_answer(op, MAP_REFUSED, 0);
    op_release(op);
}

void session_join(struct map_session *session, struct bytes room, struct bytes id,
                  struct bytes user, uint64_t number, map_done done, void *arg)
{
    struct op *op = create_for(session, OP_JOIN, user.len > 0 ? room : user, id, user);
    op->version = number;
    enqueue_room_op(op, session, done, arg);
}

void session_leave(struct map_space *space, struct map_session *session, struct bytes room,
                   struct bytes id, uint64_t number, map_done done, void *arg)
{
    struct partition *partition = partition_of(space, room);
    if (session && !is_possible(room, id)) {
        enqueue_room_op(create_for(session, OP_LEAVE, room, id, (struct bytes){0}), session, done,
                        arg);
    } else if (session || (partition->state == PARTITION_READY && is_possible(room, id))) {
        struct op *op = create_room_op(partition, OP_LEAVE, room, id, (struct bytes){0});
        op->version = number;
        /* Nobody may be kept in a room by a queue that is full. */
        if (session)
            op_attach(op, session, done, arg);
        op_enqueue(op);
    } else { /* while Redis is away nothing piles up: who is not here is found when it is back */
        partition->audit_due = true;
    }
}

void session_say(struct map_session *session, struct bytes room, struct bytes id, uint64_t number,
                 struct bytes message, map_done done, void *arg)
{
    struct op *op = create_for(session, OP_PUBLISH, room, id, message);
    op->version = number;
    enqueue_room_op(op, session, done, arg);
}

bool room_read_member(struct bytes text, struct bytes *id, struct bytes *room)
{
    *id = bytes_next_word(&text);
    *room = text;
    return is_possible(*room, *id);
}

void room_evict_member(struct partition *partition, struct bytes member, const char *node)
{
    struct bytes id, room;
    if (!room_read_member(member, &id, &room))
        return;
    struct op *op = create_room_op(partition, OP_EVICT_MEMBER, room, id, (struct bytes){0});
    memcpy(op->other, node, sizeof op->other);
    sweep_add_op(op);
    op_enqueue(op);
}
