/* fake_rooms: the operations of apply on rooms: see fake_store.h. A member is a field of its room.
 */
#ifndef FUZZ_FAKE_ROOMS_H
#define FUZZ_FAKE_ROOMS_H

#include "fake_store.h"

static void fake_publish_room(struct fake_store *store, const struct fake_call *call,
                              struct fake_hash *room, const char *verb, struct bytes member,
                              struct bytes rest)
{
    struct writer message = {0};
    writer_format(&message, "1 %s %llu %llu %s ", FAKE_EPOCH, (unsigned long long)room->due_ms,
                  (unsigned long long)++room->seq, verb);
    writer_bytes(&message, member);
    writer_string(&message, strcmp(verb, "say") == 0 ? "\n" : " 1 ");
    writer_bytes(&message, rest);
    fake_publish_in(store, call->prefix, "room:", room->name, &message);
    writer_free(&message);
}

static void fake_join(struct fake_store *store, struct fake_call *call, struct bytes name)
{
    struct fake_hash *room = fake_find(&store->rooms, name);
    struct bytes member = fake_next(call), user = fake_next(call);
    (void)fake_next(call); /* maximum */
    (void)fake_next(call); /* number */
    if (!room) {
        room = fake_add(&store->rooms, name);
        room->due_ms = ++store->born;
    }
    if (!fake_find_field(room, member)) {
        fake_set(room, member, user);
        fake_publish_room(store, call, room, "join", member, user);
    }
    writer_format(&call->results, "ok %llu", (unsigned long long)room->seq);
}

static void fake_leave(struct fake_store *store, struct fake_call *call, struct bytes name)
{
    struct fake_hash *room = fake_find(&store->rooms, name);
    struct bytes member = fake_next(call);
    struct fake_field *field = room ? fake_find_field(room, member) : NULL;
    (void)fake_next(call); /* number, or the node */
    if (!field) {
        writer_string(&call->results, "missing");
        return;
    }
    fake_publish_room(store, call, room, "leave", member, field->value);
    fake_drop_field(field);
    if (list_is_empty(&room->fields)) {
        fake_drop(room);
    }
    writer_string(&call->results, "ok");
}

static void fake_say(struct fake_store *store, struct fake_call *call, struct bytes name)
{
    struct fake_hash *room = fake_find(&store->rooms, name);
    struct bytes member = fake_next(call);
    (void)fake_next(call); /* number */
    struct bytes message = fake_next(call);
    if (!room || !fake_find_field(room, member)) {
        writer_string(&call->results, "missing");
        return;
    }
    fake_publish_room(store, call, room, "say", member, message);
    writer_string(&call->results, "ok");
}

#endif
