/* room_fixture: services with rooms on each front-end, and guests who record what they receive. */
#ifndef UNIT_ROOM_ROOM_FIXTURE_H
#define UNIT_ROOM_ROOM_FIXTURE_H

#include "map/fixture.h"

#include "room/room.h"
#include "room/room_private.h"

#define KEY(kind) "tracker:{main/1/0}:" kind

struct service {
    struct front *front;
    struct room_set *rooms;
};

struct hotel {
    struct world *world;
    struct service services[2];
};

struct guest {
    struct service *service;
    struct client client; /* with an entry */
    const char *user;
    struct room_member *member;
    struct writer received; /* "*users;" entered, "!users;" lost, "+user;" "-user;" "said;" */
    struct writer said;     /* of these, the messages only */
    unsigned entered, lost;
    unsigned answers, asked, says, oks, received_messages;
    enum map_result result, say_result;
};

static inline void guest_record(struct guest *guest, const char *kind, struct bytes text)
{
    writer_string(&guest->received, kind);
    writer_bytes(&guest->received, text);
    writer_string(&guest->received, ";");
}

static inline void guest_record_users(struct guest *guest, const char *kind, struct room *room)
{
    size_t count;
    struct writer list = {0};
    const struct bytes *users = room_users(room, &count);
    for (size_t i = 0; i < count; i++) {
        writer_string(&list, i ? "," : "");
        writer_bytes(&list, users[i]);
        assert_true(room_has_user(room, users[i]));
    }
    guest_record(guest, kind, writer_bytes_written(&list));
    writer_free(&list);
}

#define EACH_ACTIVE(guest, room)                                                                   \
    LIST_FOREACH (node_, room_members(room))                                                       \
        for (struct guest *guest = list_entry(node_, struct room_member, link)->active             \
                                       ? list_entry(node_, struct room_member, link)->arg          \
                                       : NULL;                                                     \
             guest; guest = NULL)

static inline void service_said(void *arg, struct room *room, struct bytes message)
{
    EACH_ACTIVE(guest, room)
    {
        guest->received_messages++;
        guest_record(guest, "", message);
        writer_bytes(&guest->said, message);
        writer_string(&guest->said, ";");
    }
}

static inline void service_changed(void *arg, struct room *room, const struct bytes *joined,
                                   size_t joined_count, const struct bytes *left, size_t left_count)
{
    assert_true(joined_count + left_count > 0);
    EACH_ACTIVE(guest, room)
    {
        for (size_t i = 0; i < joined_count; i++) {
            guest_record(guest, "+", joined[i]);
        }
        for (size_t i = 0; i < left_count; i++) {
            guest_record(guest, "-", left[i]);
        }
    }
}

static inline void service_entered(void *arg, struct room *room, struct room_member *member)
{
    struct guest *guest = member->arg;
    assert_true(member->active);
    guest->entered++;
    guest_record_users(guest, "*", room);
}

static inline void service_lost(void *arg, struct room *room, struct room_member *member)
{
    EACH_ACTIVE(guest, room)
    {
        if (member && member->arg != guest) {
            continue;
        }
        guest->lost++;
        guest_record_users(guest, "!", room);
    }
}

static const struct room_callbacks service_callbacks = {
    .on_message = service_said,
    .changed = service_changed,
    .entered = service_entered,
    .lost = service_lost,
};

static inline struct hotel *hotel_create(void)
{
    struct hotel *hotel = mem_zalloc(1, sizeof *hotel);
    hotel->world = world_with_fronts(2);
    for (size_t i = 0; i < 2; i++) {
        struct service *service = &hotel->services[i];
        service->front = &hotel->world->fronts[i];
        service->rooms =
            room_set_create(map_space_find(service->front->map, ""), &service_callbacks, service);
    }
    return hotel;
}

static inline void hotel_destroy(struct hotel *hotel)
{
    for (size_t i = 0; i < 2; i++) {
        room_set_destroy(&hotel->services[i].rooms);
    }
    world_destroy(hotel->world);
    free(hotel);
}

static inline void guest_come(struct hotel *hotel, struct guest *guest, size_t where,
                              const char *user)
{
    memset(guest, 0, sizeof *guest);
    guest->service = &hotel->services[where];
    guest->user = user;
    client_connect(&guest->client, guest->service->front);
    assert_int_equal(client_open(hotel->world, &guest->client, user), MAP_OK);
}

static inline void guest_joined(void *arg, enum map_result result, uint64_t version)
{
    struct guest *guest = arg;
    guest->answers++;
    guest->result = result;
    if (result != MAP_OK) {
        guest->member = NULL; /* freed */
    }
}

static inline void guest_ask(struct guest *guest, const char *room)
{
    guest->answers = guest->entered = 0;
    guest->member = room_join(guest->service->rooms, bytes_from_string(room), guest->client.session,
                              bytes_from_string(guest->client.id), bytes_from_string(guest->user),
                              guest_joined, guest);
    assert_int_equal(guest->answers, 0); /* never from within */
}

static inline void guest_join(struct hotel *hotel, struct guest *guest, const char *room)
{
    guest_ask(guest, room);
    WAIT_UNTIL(hotel->world, guest->answers == 1);
    assert_int_equal(guest->result, MAP_OK);
    assert_int_equal(guest->entered, 1);
}

static inline void guest_said(void *arg, enum map_result result, uint64_t version)
{
    struct guest *guest = arg;
    guest->says++;
    guest->oks += result == MAP_OK;
    guest->say_result = result;
}

static inline void guest_say(struct guest *guest, const char *text)
{
    guest->asked++;
    room_publish(guest->member, bytes_from_string(text), guest_said, guest);
}

static inline void guest_leave(struct guest *guest)
{
    room_leave(&guest->member);
}

static inline void guest_go(struct guest *guest)
{
    guest_leave(guest);
    map_session_end(&guest->client.session, false);
    writer_free(&guest->received);
    writer_free(&guest->said);
}

/* All that was received since the last call that returned true. */
static inline bool guest_received(struct guest *guest, const char *text)
{
    if (!bytes_equal(writer_bytes_written(&guest->received), bytes_from_string(text))) {
        return false;
    }
    writer_reset(&guest->received);
    return true;
}

static inline bool guest_received_last(const struct guest *guest, const char *text)
{
    size_t len = strlen(text);
    return guest->received.len >= len &&
           !memcmp(guest->received.data + guest->received.len - len, text, len);
}

/* Ann on the first front-end and Bob on the second are in the lobby, and have received both. */
static inline void meet(struct hotel *hotel, struct guest *ann, struct guest *bob)
{
    guest_come(hotel, ann, 0, "1:ann");
    guest_come(hotel, bob, 1, "1:bob");
    guest_join(hotel, ann, "lobby");
    guest_join(hotel, bob, "lobby");
    WAIT_UNTIL(hotel->world, guest_received(ann, "*1:ann;+1:bob;"));
    assert_true(guest_received(bob, "*1:ann,1:bob;"));
}

static inline struct room *lobby_of(const struct guest *guest)
{
    return room_find(guest->service->rooms, BYTES_LITERAL("lobby"));
}

static inline bool is_listed(const struct guest *guest)
{
    return lobby_of(guest)->state == ROOM_LISTED;
}

/* Each receives the other's message: nothing is under way any more. */
static inline void talk(struct hotel *hotel, struct guest *ann, struct guest *bob)
{
    guest_say(ann, "from ann");
    guest_say(bob, "from bob");
    WAIT_UNTIL(hotel->world, ann->oks == ann->asked && bob->oks == bob->asked);
    WAIT_UNTIL(hotel->world, ann->received.len >= strlen("from ann;from bob;") &&
                                 bob->received.len >= strlen("from ann;from bob;"));
    WAIT_UNTIL(hotel->world, guest_received_last(ann, "from ann;from bob;") ||
                                 guest_received_last(ann, "from bob;from ann;"));
    WAIT_UNTIL(hotel->world, guest_received_last(bob, "from ann;from bob;") ||
                                 guest_received_last(bob, "from bob;from ann;"));
}

static inline void forget(struct guest *ann, struct guest *bob)
{
    writer_reset(&ann->received);
    writer_reset(&bob->received);
}

#endif
