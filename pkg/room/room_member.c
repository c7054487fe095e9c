/*
 * room_member: the members of rooms here: joining, leaving, publishing.
 *
 * What is asked of Redis for a member is a struct room_request: the member may have left when its
 * answer comes, and its session may have ended, with which the request ends.
 */
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "room/room_op_private.h"
#include "room/room_private.h"

/* Until the list is read when the room's messages do not have a joining that Redis has accepted. */
#define LOOK_MS 1000

enum asked_kind { ASKED_JOIN, ASKED_SAY };

struct room_request {
    struct ending ending;
    struct list in_member;
    struct list settled;   /* the set's */
    struct member *member; /* NULL: it has left */
    map_done done;         /* SAY */
    void *arg;
    uint8_t kind;
    uint8_t result; /* settled */
    bool repeated;
    size_t len;
    uint8_t message[]; /* SAY */
};

static struct bytes member_device_id(const struct member *member)
{
    return (struct bytes){(const uint8_t *)member->public.id, member->public.id_len};
}

static struct bytes user_of(const struct member *member)
{
    return (struct bytes){(const uint8_t *)member->public.id + member->public.id_len,
                          member->user_len};
}

static void free_asked(struct room_request *asked)
{
    if (asked->member && asked->kind == ASKED_JOIN)
        asked->member->joins--;
    ending_detach(&asked->ending);
    list_remove(&asked->in_member);
    list_remove(&asked->settled);
    free(asked);
}

static void end_asked(struct ending *ending)
{
    free_asked(list_entry(ending, struct room_request, ending));
}

static struct room_request *create_say_request(struct member *member, enum asked_kind kind,
                                               struct bytes message)
{
    struct room_request *asked = mem_alloc(sizeof *asked + message.len);
    memset(asked, 0, sizeof *asked);
    asked->kind = (uint8_t)kind;
    asked->member = member;
    asked->len = message.len;
    if (message.len)
        memcpy(asked->message, message.data, message.len);
    list_init(&asked->settled);
    list_init(&asked->in_member);
    list_append(&member->asked, &asked->in_member);
    ending_attach(&asked->ending, member->public.session, end_asked);
    return asked;
}

static void confirm_member(struct member *member, bool confirmed)
{
    struct map_room *room = member->public.room;
    size_t *count = &room_space_of(room->rooms->space)->confirmed[partition_index(room->partition)];
    *count += confirmed;
    *count -= member->confirmed;
    member->confirmed = confirmed;
    member->confirmed_at = room->reads;
}

static void free_member(struct member *member)
{
    struct map_room *room = member->public.room;
    struct map_rooms *rooms = room->rooms;
    while (!list_is_empty(&member->asked)) {
        struct room_request *asked = list_entry(member->asked.next, struct room_request, in_member);
        list_remove(&asked->in_member);
        asked->member = NULL;
        asked->done = NULL;
    }
    confirm_member(member, false);
    room->active -= member->public.active;
    if (room->current == member)
        room->current = NULL;
    struct list *lists[] = {&member->joining, &member->entering, &member->again,
                            &member->public.link};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_remove(lists[i]);
    ending_detach(&member->ending);
    HASH_DEL(room->table, member);
    metrics_add(METRIC_ROOM_MEMBERS, -1);
    free(member);
    if (!list_is_empty(&room->members))
        return;
    list_append(&rooms->unused, &room->unused);
    loop_defer(map_loop(rooms->map), LOOP_PHASE_FREE, &rooms->forget);
}

static void leave_room(struct member *member)
{
    struct map_room *room = member->public.room;
    if (member->sent)
        room_op_leave(room->rooms->space, NULL, map_room_name(room), member_device_id(member),
                      ++room->rooms->number, NULL, NULL);
    free_member(member);
}

/* It could not join: it is not in the room. */
void room_member_fail(struct member *member, enum map_result result)
{
    map_done done = member->public.done;
    void *arg = member->public.done_arg;
    leave_room(member);
    if (done)
        done(arg, result, 0);
}

/* Joining. */

static void join_again_later(struct member *member)
{
    struct map_rooms *rooms = member->public.room->rooms;
    if (list_is_empty(&member->again))
        list_append(&rooms->again, &member->again);
    rooms_wake(rooms);
}

/* seq: of the room's last message, which is its coming unless it was a member already. */
static void joined(struct member *member, uint64_t seq)
{
    struct map_room *room = member->public.room;
    confirm_member(member, true);
    member->look_ms = loop_now_ms(map_loop(room->rooms->map)) + LOOK_MS;
    bool is_late = !member->public.active && list_is_empty(&member->entering) && seq <= room->seq;
    /* What was told in another epoch, while nobody of this room was in it, has not been heard. */
    bool is_of_other = strcmp(room->epoch, partition_epoch(room->partition)) != 0;
    if (room->state == ROOM_LISTED && (is_late || is_of_other))
        room_read_start(room);
}

static void on_join_answered(void *arg, enum map_result result, uint64_t version)
{
    struct room_request *asked = arg;
    struct member *member = asked->member;
    free_asked(asked);
    if (!member)
        return;
    if (result == MAP_OK)
        joined(member, version);
    else if (member->public.active)
        join_again_later(member);
    else if (member->joins == 0)
        room_member_fail(member, result);
}

void room_member_join(struct member *member)
{
    struct map_session *session = member->public.session;
    list_remove(&member->again);
    if (!session)
        return;
    struct room_request *asked = create_say_request(member, ASKED_JOIN, (struct bytes){0});
    member->joins++;
    member->sent = true;
    room_op_join(session, map_room_name(member->public.room), member_device_id(member),
                 user_of(member), member->number, on_join_answered, asked);
}

/* At the end of the turn: what is refused is answered at once, and the member freed. */
void room_member_join_soon(struct member *member)
{
    struct map_rooms *rooms = member->public.room->rooms;
    list_remove(&member->again);
    list_append(&rooms->fresh, &member->again);
    loop_defer(map_loop(rooms->map), LOOP_PHASE_VIEW, &rooms->join);
}

void room_join_fresh(void *arg)
{
    struct map_rooms *rooms = arg;
    while (!list_is_empty(&rooms->fresh))
        room_member_join(list_entry(rooms->fresh.next, struct member, again));
}

void room_join_waiting(struct map_room *room)
{
    LIST_FOREACH (node, &room->members) {
        struct map_member *public = list_entry(node, struct map_member, link);
        struct member *member = list_entry(public, struct member, public);
        if (!member->sent)
            room_member_join_soon(member);
    }
}

void room_member_lost(struct member *member)
{
    member->parted |= member->public.active;
    confirm_member(member, false);
    if (member->joins == 0)
        room_member_join(member);
}

struct member *room_member(const struct map_room *room, struct bytes id)
{
    struct member *member = NULL;
    HASH_FIND(hh, room->table, id.data, id.len, member);
    return member;
}

static void session_ended(struct ending *ending)
{
    struct member *member = list_entry(ending, struct member, ending);
    member->public.session = NULL;
    list_remove(&member->again);
}

struct member *room_member_create(struct map_room *room, struct map_session *session,
                                  struct bytes id, struct bytes user)
{
    struct member *member = mem_zalloc(1, sizeof *member + id.len + user.len);
    struct map_member *public = &member->public;
    struct list *lists[] = {&member->joining, &member->entering, &member->again, &member->asked,
                            &public->link};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_init(lists[i]);
    public->room = room;
    public->session = session;
    public->id_len = (uint8_t)id.len;
    memcpy(public->id, id.data, id.len);
    memcpy(public->id + id.len, user.data, user.len);
    member->user_len = user.len;
    member->number = ++room->rooms->number;
    ending_attach(&member->ending, session, session_ended);
    list_append(&room->members, &public->link);
    HASH_ADD_KEYPTR(hh, room->table, public->id, public->id_len, member);
    metrics_add(METRIC_ROOM_MEMBERS, 1);
    return member;
}

void map_room_leave(struct map_member **member)
{
    struct map_member *public = *member;
    *member = NULL;
    if (public)
        leave_room(list_entry(public, struct member, public));
}

/* Saying. */

static void end_say(struct room_request *asked, enum map_result result)
{
    map_done done = asked->done;
    void *arg = asked->arg;
    free_asked(asked);
    if (done)
        done(arg, result, 0);
}

void room_settle_requests(void *arg)
{
    struct map_rooms *rooms = arg;
    while (!list_is_empty(&rooms->settled)) {
        struct room_request *asked = list_entry(rooms->settled.next, struct room_request, settled);
        end_say(asked, (enum map_result)asked->result);
    }
}

static void submit_say(struct room_request *asked);

static void on_say_answered(void *arg, enum map_result result, uint64_t version)
{
    struct room_request *asked = arg;
    struct member *member = asked->member;
    if (result != MAP_MISSING || !member || asked->repeated) {
        end_say(asked, result);
        return;
    }
    /* Redis lost the member: nothing has been said. */
    asked->repeated = true;
    room_member_lost(member);
    submit_say(asked);
}

static void submit_say(struct room_request *asked)
{
    struct member *member = asked->member;
    struct map_room *room = member->public.room;
    member->public.said = ++room->rooms->number;
    room_op_publish(member->public.session, map_room_name(room), member_device_id(member),
                    member->public.said, (struct bytes){asked->message, asked->len},
                    on_say_answered, asked);
}

void map_room_say(struct map_member *public, struct bytes message, map_done done, void *arg)
{
    struct member *member = list_entry(public, struct member, public);
    struct map_rooms *rooms = public->room->rooms;
    struct room_request *asked = create_say_request(member, ASKED_SAY, message);
    asked->done = done;
    asked->arg = arg;
    if (public->active && public->session) {
        submit_say(asked);
        return;
    }
    asked->result = MAP_MISSING;
    list_append(&rooms->settled, &asked->settled);
    loop_defer(map_loop(rooms->map), LOOP_PHASE_VIEW, &rooms->settle);
}

void room_rejoin(struct map_room *room)
{
    LIST_FOREACH (node, &room->members) {
        struct map_member *public = list_entry(node, struct map_member, link);
        struct member *member = list_entry(public, struct member, public);
        if (member->sent && member->joins == 0)
            room_member_join(member);
    }
}
