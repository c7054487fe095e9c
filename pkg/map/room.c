/*
 * room: the sets of rooms, and their members here: coming, going, and saying.
 *
 * What is asked of Redis for a member is a struct room_request: the member may be gone when its
 * answer comes, and the session, with which it ends.
 */
#include "map/room.h"

#include <string.h>

#include "base/mem.h"
#include "map/map_private.h"
#include "map/partition_private.h"
#include "map/room_op_private.h"
#include "map/room_private.h"
#include "map/space_private.h"
#include "metrics/metrics.h"

#define TICK_MS 50
/* Until what Redis did not take is asked again. */
#define RETRY_MS 1000

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

static void on_rooms_tick(void *arg);

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
    loop_defer(rooms->space->map->loop, LOOP_PHASE_FREE, &rooms->forget);
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
static void fail_join(struct member *member, enum map_result result)
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
    member->look_ms = loop_now_ms(room->rooms->space->map->loop) + RETRY_MS;
    bool is_late = !member->public.active && list_is_empty(&member->entering) && seq <= room->seq;
    /* What was told in another epoch, while nobody of this room was in it, has not been heard. */
    bool is_of_other = strcmp(room->epoch, room->partition->epoch) != 0;
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
        fail_join(member, result);
}

static void submit_join(struct member *member)
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
static void join_soon(struct member *member)
{
    struct map_rooms *rooms = member->public.room->rooms;
    list_remove(&member->again);
    list_append(&rooms->fresh, &member->again);
    loop_defer(rooms->space->map->loop, LOOP_PHASE_VIEW, &rooms->join);
}

static void join_fresh(void *arg)
{
    struct map_rooms *rooms = arg;
    while (!list_is_empty(&rooms->fresh))
        submit_join(list_entry(rooms->fresh.next, struct member, again));
}

void room_join_waiting(struct map_room *room)
{
    LIST_FOREACH (node, &room->members) {
        struct map_member *public = list_entry(node, struct map_member, link);
        struct member *member = list_entry(public, struct member, public);
        if (!member->sent)
            join_soon(member);
    }
}

void room_member_lost(struct member *member)
{
    member->parted |= member->public.active;
    confirm_member(member, false);
    if (member->joins == 0)
        submit_join(member);
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

struct map_room *room_find_any(const struct map_rooms *rooms, struct bytes name)
{
    struct map_room *room = NULL;
    HASH_FIND(hh, rooms->table, name.data, name.len, room);
    return room;
}

static void on_room_tell_task(void *room)
{
    room_tell(room);
}

static struct map_room *create_room(struct map_rooms *rooms, struct bytes name)
{
    struct map_room *room = mem_zalloc(1, sizeof *room + name.len);
    room->rooms = rooms;
    room->partition = partition_of(rooms->space, name);
    room->name_len = name.len;
    memcpy(room->name, name.data, name.len);
    struct list *lists[] = {&room->members, &room->dirty,  &room->entering, &room->kept,
                            &room->unused,  &room->failed, &room->awaiting};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_init(lists[i]);
    room->tell = (struct loop_task){.callback = on_room_tell_task, .arg = room};
    HASH_ADD(hh, rooms->table, name, room->name_len, room);
    metrics_add(METRIC_ROOMS, 1);
    room_listen(room);
    return room;
}

static struct member *create_member(struct map_room *room, struct map_session *session,
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

struct map_member *map_room_join(struct map_rooms *rooms, struct bytes name,
                                 struct map_session *session, struct bytes id, struct bytes user,
                                 map_done done, void *arg)
{
    struct map *map = rooms->space->map;
    struct map_room *room = room_find_any(rooms, name);
    if (!room)
        room = create_room(rooms, name);
    list_remove(&room->unused);
    struct member *member = create_member(room, session, id, user);
    member->public.done = done;
    member->public.done_arg = member->public.arg = arg;
    member->public.asked = true;
    member->deadline_ms = loop_now_ms(map->loop) + (uint64_t)map->redis->deadline;
    list_append(&rooms->joining, &member->joining);
    rooms_wake(rooms);
    if (channel_is_subscribed(&room->channel))
        join_soon(member);
    return &member->public;
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

static void settle_said(void *arg)
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
    loop_defer(rooms->space->map->loop, LOOP_PHASE_VIEW, &rooms->settle);
}

/* Sets of rooms. */

static void free_users(struct map_rooms *rooms)
{
    while (!list_is_empty(&rooms->gone)) {
        struct room_user *user = list_entry(rooms->gone.next, struct room_user, dirty);
        list_remove(&user->dirty);
        free(user);
    }
}

static void free_room(struct map_room *room)
{
    struct map_rooms *rooms = room->rooms;
    room_read_stop(room);
    room_forget_kept(room);
    room_forget_users(room);
    channel_leave(&room->channel);
    loop_cancel(rooms->space->map->loop, &room->tell);
    list_remove(&room->unused);
    HASH_DEL(rooms->table, room);
    metrics_add(METRIC_ROOMS, -1);
    free(room->sorted);
    free(room);
}

static void free_unused_rooms(void *arg)
{
    struct map_rooms *rooms = arg;
    while (!list_is_empty(&rooms->unused))
        free_room(list_entry(rooms->unused.next, struct map_room, unused));
    free_users(rooms);
}

struct map_rooms *map_rooms_create(struct map_space *space,
                                   const struct map_room_callbacks *callbacks, void *arg)
{
    struct map_rooms *rooms = mem_zalloc(1, sizeof *rooms);
    rooms->space = space;
    rooms->callbacks = callbacks;
    rooms->arg = arg;
    struct list *lists[] = {&rooms->fresh,  &rooms->joining,  &rooms->again,
                            &rooms->failed, &rooms->awaiting, &rooms->unused,
                            &rooms->gone,   &rooms->settled,  &rooms->reads};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        list_init(lists[i]);
    rooms->join = (struct loop_task){.callback = join_fresh, .arg = rooms};
    rooms->settle = (struct loop_task){.callback = settle_said, .arg = rooms};
    rooms->forget = (struct loop_task){.callback = free_unused_rooms, .arg = rooms};
    rooms->timer = loop_timer_create(space->map->loop, on_rooms_tick, rooms);
    list_append(&room_space_of(space)->sets, &rooms->link);
    return rooms;
}

void map_rooms_destroy(struct map_rooms **rooms_pointer)
{
    struct map_rooms *rooms = *rooms_pointer;
    if (!rooms)
        return;
    *rooms_pointer = NULL;
    struct loop *loop = rooms->space->map->loop;
    room_reads_cancel_all(rooms);
    settle_said(rooms);
    free_unused_rooms(rooms);
    loop_cancel(loop, &rooms->join);
    loop_cancel(loop, &rooms->settle);
    loop_cancel(loop, &rooms->forget);
    loop_timer_destroy(&rooms->timer);
    list_remove(&rooms->link);
    free(rooms);
}

void rooms_wake(struct map_rooms *rooms)
{
    if (!loop_timer_is_running(rooms->timer))
        loop_timer_start(rooms->timer, TICK_MS);
}

static void give_up_late(struct map_rooms *rooms, uint64_t now)
{
    while (!list_is_empty(&rooms->joining)) {
        struct member *member = list_entry(rooms->joining.next, struct member, joining);
        if (member->deadline_ms > now)
            return;
        fail_join(member, MAP_DEADLINE);
    }
}

/* Redis has said that it is a member, and the room does not tell its coming: it may have been one
 * before. */
static void look_for_late(struct map_rooms *rooms, uint64_t now)
{
    LIST_FOREACH (node, &rooms->joining) {
        struct member *member = list_entry(node, struct member, joining);
        if (!member->confirmed || member->look_ms > now)
            continue;
        member->look_ms = now + RETRY_MS;
        if (member->public.room->state == ROOM_LISTED)
            room_read_start(member->public.room);
    }
}

static void retry_refused_joins(struct map_rooms *rooms, uint64_t now)
{
    if (now < rooms->retry_ms)
        return;
    rooms->retry_ms = now + RETRY_MS;
    /* Who is refused at once stands behind the last again. */
    struct list last;
    list_init(&last);
    list_append(&rooms->again, &last);
    while (rooms->again.next != &last)
        submit_join(list_entry(rooms->again.next, struct member, again));
    list_remove(&last);
    room_reads_send(rooms, NULL);
}

static void on_rooms_tick(void *arg)
{
    struct map_rooms *rooms = arg;
    uint64_t now = loop_now_ms(rooms->space->map->loop);
    give_up_late(rooms, now);
    room_reads_check(rooms, now);
    room_marks_check(rooms, now);
    look_for_late(rooms, now);
    retry_refused_joins(rooms, now);
    if (!list_is_empty(&rooms->joining) || !list_is_empty(&rooms->again) ||
        !list_is_empty(&rooms->failed) || !list_is_empty(&rooms->awaiting) ||
        !list_is_empty(&rooms->reads))
        rooms_wake(rooms);
}

/* What is told of a room. */

struct bytes map_room_name(const struct map_room *room)
{
    return (struct bytes){room->name, room->name_len};
}

struct list *map_room_members(struct map_room *room)
{
    return &room->members;
}

static int compare_room_names(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

const struct bytes *map_room_users(struct map_room *room, size_t *count)
{
    *count = room->present;
    if (room->sorted_good)
        return room->sorted;
    size_t at = 0;
    room->sorted = mem_realloc(room->sorted, (room->present + 1) * sizeof *room->sorted);
    for (struct room_user *user = room->users; user; user = user->hh.next) {
        if (user->devices > 0)
            room->sorted[at++] = (struct bytes){user->name, user->name_len};
    }
    qsort(room->sorted, at, sizeof *room->sorted, compare_room_names);
    room->sorted_good = true;
    return room->sorted;
}

bool map_room_has_user(const struct map_room *room, struct bytes name)
{
    struct room_user *user = NULL;
    HASH_FIND(hh, room->users, name.data, name.len, user);
    return user && user->devices > 0;
}

struct map_room *map_room_find(const struct map_rooms *rooms, struct bytes name)
{
    struct map_room *room = room_find_any(rooms, name);
    return room && !list_is_empty(&room->members) ? room : NULL;
}

void room_rejoin(struct map_room *room)
{
    LIST_FOREACH (node, &room->members) {
        struct map_member *public = list_entry(node, struct map_member, link);
        struct member *member = list_entry(public, struct member, public);
        if (member->sent && member->joins == 0)
            submit_join(member);
    }
}
