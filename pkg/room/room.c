/*
 * room: the sets of rooms: a room is created with its first member here and freed after
 * its last one has left. One timer for each set checks deadlines and retries.
 */
#include "room/room.h"

#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "room/room_op_private.h"
#include "room/room_private.h"

#define TICK_MS 50
/* Until what Redis did not accept is sent again. */
#define RETRY_MS 1000

static void on_rooms_tick(void *arg);

struct room *room_find_any(const struct room_set *rooms, struct bytes name)
{
    struct room *room = NULL;
    HASH_FIND(hh, rooms->table, name.data, name.len, room);
    return room;
}

static void on_room_notify(void *room)
{
    room_notify(room);
}

static struct room *create_room(struct room_set *rooms, struct bytes name)
{
    struct room *room = mem_zalloc(1, sizeof *room + name.len);
    room->rooms = rooms;
    room->partition = partition_of(rooms->space, name);
    room->name_len = name.len;
    memcpy(room->name, name.data, name.len);
    struct list *lists[] = {&room->members, &room->dirty,  &room->entering, &room->kept,
                            &room->unused,  &room->failed, &room->awaiting};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        list_init(lists[i]);
    }
    room->notify = (struct loop_task){.callback = on_room_notify, .arg = room};
    HASH_ADD(hh, rooms->table, name, room->name_len, room);
    metrics_add(METRIC_ROOMS, 1);
    room_listen(room);
    return room;
}

struct room_member *room_join(struct room_set *rooms, struct bytes name,
                              struct map_session *session, struct bytes id, struct bytes user,
                              map_done done, void *arg)
{
    struct map *map = rooms->map;
    struct room *room = room_find_any(rooms, name);
    if (!room) {
        room = create_room(rooms, name);
    }
    list_remove(&room->unused);
    struct member *member = room_member_create(room, session, id, user);
    member->public.done = done;
    member->public.done_arg = member->public.arg = arg;
    member->public.asked = true;
    member->deadline_ms = loop_now_ms(map_loop(map)) + map_deadline_ms(map);
    list_append(&rooms->joining, &member->joining);
    rooms_wake(rooms);
    if (channel_is_subscribed(&room->channel)) {
        room_member_join_soon(member);
    }
    return &member->public;
}

/* Sets of rooms. */

static void free_users(struct room_set *rooms)
{
    while (!list_is_empty(&rooms->gone)) {
        struct room_user *user = list_entry(rooms->gone.next, struct room_user, dirty);
        list_remove(&user->dirty);
        free(user);
    }
}

static void free_room(struct room *room)
{
    struct room_set *rooms = room->rooms;
    room_read_stop(room);
    room_forget_kept(room);
    room_forget_users(room);
    channel_leave(&room->channel);
    loop_cancel(map_loop(rooms->map), &room->notify);
    list_remove(&room->unused);
    HASH_DEL(rooms->table, room);
    metrics_add(METRIC_ROOMS, -1);
    free(room->sorted);
    free(room);
}

static void free_unused_rooms(void *arg)
{
    struct room_set *rooms = arg;
    while (!list_is_empty(&rooms->unused)) {
        free_room(list_entry(rooms->unused.next, struct room, unused));
    }
    free_users(rooms);
}

struct room_set *room_set_create(struct map_space *space, const struct room_callbacks *callbacks,
                                 void *arg)
{
    struct room_set *rooms = mem_zalloc(1, sizeof *rooms);
    rooms->space = space;
    rooms->map = map_space_map(space);
    rooms->callbacks = callbacks;
    rooms->arg = arg;
    struct list *lists[] = {&rooms->fresh,  &rooms->joining,  &rooms->again,
                            &rooms->failed, &rooms->awaiting, &rooms->unused,
                            &rooms->gone,   &rooms->settled,  &rooms->reads};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        list_init(lists[i]);
    }
    rooms->join = (struct loop_task){.callback = room_join_fresh, .arg = rooms};
    rooms->settle = (struct loop_task){.callback = room_settle_requests, .arg = rooms};
    rooms->forget = (struct loop_task){.callback = free_unused_rooms, .arg = rooms};
    rooms->timer = loop_timer_create(map_loop(rooms->map), on_rooms_tick, rooms);
    list_append(&room_space_of(space)->sets, &rooms->link);
    return rooms;
}

void room_set_destroy(struct room_set **rooms_pointer)
{
    struct room_set *rooms = *rooms_pointer;
    if (!rooms) {
        return;
    }
    *rooms_pointer = NULL;
    struct loop *loop = map_loop(rooms->map);
    room_reads_cancel_all(rooms);
    room_settle_requests(rooms);
    free_unused_rooms(rooms);
    loop_cancel(loop, &rooms->join);
    loop_cancel(loop, &rooms->settle);
    loop_cancel(loop, &rooms->forget);
    loop_timer_destroy(&rooms->timer);
    list_remove(&rooms->link);
    free(rooms);
}

void rooms_wake(struct room_set *rooms)
{
    if (!loop_timer_is_running(rooms->timer)) {
        loop_timer_start(rooms->timer, TICK_MS);
    }
}

static void give_up_late(struct room_set *rooms, uint64_t now)
{
    while (!list_is_empty(&rooms->joining)) {
        struct member *member = list_entry(rooms->joining.next, struct member, joining);
        if (member->deadline_ms > now) {
            return;
        }
        room_member_fail(member, MAP_DEADLINE);
    }
}

/* Redis has accepted the joining, and no message of the room has announced it: it may have been a
 * member before. */
static void look_for_late(struct room_set *rooms, uint64_t now)
{
    LIST_FOREACH (node, &rooms->joining) {
        struct member *member = list_entry(node, struct member, joining);
        if (!member->confirmed || member->look_ms > now) {
            continue;
        }
        member->look_ms = now + RETRY_MS;
        if (member->public.room->state == ROOM_LISTED) {
            room_read_start(member->public.room);
        }
    }
}

static void retry_refused_joins(struct room_set *rooms, uint64_t now)
{
    if (now < rooms->retry_ms) {
        return;
    }
    rooms->retry_ms = now + RETRY_MS;
    /* A member that is refused at once is appended again, after this mark. */
    struct list last;
    list_init(&last);
    list_append(&rooms->again, &last);
    while (rooms->again.next != &last) {
        room_member_join(list_entry(rooms->again.next, struct member, again));
    }
    list_remove(&last);
    room_reads_send(rooms, NULL);
}

static void on_rooms_tick(void *arg)
{
    struct room_set *rooms = arg;
    uint64_t now = loop_now_ms(map_loop(rooms->map));
    give_up_late(rooms, now);
    room_reads_check(rooms, now);
    room_marks_check(rooms, now);
    look_for_late(rooms, now);
    retry_refused_joins(rooms, now);
    if (!list_is_empty(&rooms->joining) || !list_is_empty(&rooms->again) ||
        !list_is_empty(&rooms->failed) || !list_is_empty(&rooms->awaiting) ||
        !list_is_empty(&rooms->reads)) {
        rooms_wake(rooms);
    }
}

/* What callers learn of a room. */

struct bytes room_name(const struct room *room)
{
    return (struct bytes){room->name, room->name_len};
}

struct list *room_members(struct room *room)
{
    return &room->members;
}

static int compare_room_names(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

const struct bytes *room_users(struct room *room, size_t *count)
{
    *count = room->present;
    if (room->sorted_good) {
        return room->sorted;
    }
    size_t at = 0;
    room->sorted = mem_realloc(room->sorted, (room->present + 1) * sizeof *room->sorted);
    for (struct room_user *user = room->users; user; user = user->hh.next) {
        if (user->devices > 0) {
            room->sorted[at++] = (struct bytes){user->name, user->name_len};
        }
    }
    qsort(room->sorted, at, sizeof *room->sorted, compare_room_names);
    room->sorted_good = true;
    return room->sorted;
}

bool room_has_user(const struct room *room, struct bytes name)
{
    struct room_user *user = NULL;
    HASH_FIND(hh, room->users, name.data, name.len, user);
    return user && user->devices > 0;
}

struct room *room_find(const struct room_set *rooms, struct bytes name)
{
    struct room *room = room_find_any(rooms, name);
    return room && !list_is_empty(&room->members) ? room : NULL;
}
