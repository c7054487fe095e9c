/*
 * room: the sets of rooms: a room is created with its first member here and freed after
 * its last one has left. What Redis did not accept is retried by one timer for each set.
 */
#include "room/room.h"

#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "room/room_op_private.h"
#include "room/room_private.h"

/* Before the first retry, so that one serves all that failed for the same reason. */
#define RETRY_SOON_MS 50
/* From one attempt to the next. */
#define RETRY_MS 1000

static void retry_refused(void *arg);

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

static void deliver_frame(void *arg, struct list *receiver, const struct fanout_frame *frame)
{
    const struct room_set *rooms = ((struct room *)arg)->rooms;
    struct room_member *public = list_entry(receiver, struct room_member, link);
    struct member *member = list_entry(public, struct member, public);
    if (public->active && member->last_frame < frame->number) {
        member->last_frame = frame->number;
        rooms->callbacks->deliver(rooms->arg, public, frame->kind, frame->frame);
    }
}

void room_send(struct room *room, unsigned kind, struct frame *frame)
{
    fanout_add(&room->fanout, kind, frame);
}

uint64_t room_wait_us(const struct room *room)
{
    return fanout_wait_us(&room->fanout);
}

bool room_refuses(const struct room *room)
{
    return fanout_refuses(&room->fanout);
}

static struct room *create_room(struct room_set *rooms, struct bytes name)
{
    struct room *room = mem_zalloc(1, sizeof *room + name.len);
    room->rooms = rooms;
    room->partition = partition_of(rooms->space, name);
    room->name_len = name.len;
    memcpy(room->name, name.data, name.len);
    struct list *lists[] = {&room->members, &room->dirty,  &room->entering,
                            &room->kept,    &room->unused, &room->failed};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        list_init(lists[i]);
    }
    loop_pending_init(&room->mark);
    fanout_init(&room->fanout, map_loop(rooms->map), &room->members, "room_messages", deliver_frame,
                room);
    room->notify = (struct loop_task){.callback = on_room_notify, .arg = room};
    room_forget_sorted(room);
    HASH_ADD(hh, rooms->table, name, room->name_len, room);
    metrics_add(METRIC_ROOMS, 1);
    room_listen(room);
    return room;
}

struct room_member *room_join(struct room_set *rooms, struct bytes name,
                              struct map_session *session, struct bytes id, struct bytes user,
                              map_done done, void *arg)
{
    struct room *room = room_find_any(rooms, name);
    if (!room) {
        room = create_room(rooms, name);
    }
    list_remove(&room->unused);
    struct member *member = room_member_create(room, session, id, user);
    member->public.done = done;
    member->public.done_arg = member->public.arg = arg;
    member->public.is_joining = true;
    loop_pending_begin(rooms->joins, &member->joining, map_deadline_ms(rooms->map), 0);
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
    fanout_stop(&room->fanout);
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
    struct loop *loop = map_loop(map_space_map(space));
    rooms->space = space;
    rooms->map = map_space_map(space);
    rooms->callbacks = callbacks;
    rooms->arg = arg;
    struct list *lists[] = {&rooms->fresh, &rooms->again,   &rooms->failed, &rooms->unused,
                            &rooms->gone,  &rooms->settled, &rooms->unsent};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        list_init(lists[i]);
    }
    rooms->join = (struct loop_task){.callback = room_join_fresh, .arg = rooms};
    rooms->settle = (struct loop_task){.callback = room_settle_requests, .arg = rooms};
    rooms->forget = (struct loop_task){.callback = free_unused_rooms, .arg = rooms};
    rooms->retry = loop_timer_create(loop, retry_refused, rooms);
    rooms->joins = loop_pending_set_create(loop, LOOP_PHASE_VIEW, room_member_expire, rooms);
    rooms->checks = loop_pending_set_create(loop, LOOP_PHASE_VIEW, room_member_check, rooms);
    rooms->marks = loop_pending_set_create(loop, LOOP_PHASE_VIEW, room_mark_expire, rooms);
    rooms->reads = loop_pending_set_create(loop, LOOP_PHASE_VIEW, room_users_read_expire, rooms);
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
    loop_timer_destroy(&rooms->retry);
    loop_pending_set_destroy(&rooms->joins);
    loop_pending_set_destroy(&rooms->checks);
    loop_pending_set_destroy(&rooms->marks);
    loop_pending_set_destroy(&rooms->reads);
    list_remove(&rooms->link);
    free(rooms);
}

void rooms_retry_later(struct room_set *rooms)
{
    uint64_t now = loop_now_ms(map_loop(rooms->map));
    uint64_t left = rooms->retry_ms > now ? rooms->retry_ms - now : 0;

    if (!loop_timer_is_running(rooms->retry)) {
        loop_timer_start(rooms->retry, left > RETRY_SOON_MS ? left : RETRY_SOON_MS);
    }
}

static void retry_refused_joins(struct room_set *rooms)
{
    /* A member that is refused at once is appended again, after this mark. */
    struct list last;

    list_init(&last);
    list_append(&rooms->again, &last);
    while (rooms->again.next != &last) {
        room_member_join(list_entry(rooms->again.next, struct member, again));
    }
    list_remove(&last);
}

static void retry_refused(void *arg)
{
    struct room_set *rooms = arg;

    rooms->retry_ms = loop_now_ms(map_loop(rooms->map)) + RETRY_MS;
    retry_refused_joins(rooms);
    room_reads_send(rooms, NULL);
    if (!list_is_empty(&rooms->again) || !list_is_empty(&rooms->failed) ||
        !list_is_empty(&rooms->unsent)) {
        rooms_retry_later(rooms);
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

static void reserve_sorted(struct room *room, size_t count)
{
    if (count <= room->sorted_capacity) {
        return;
    }
    room->sorted_capacity = count + count / 2 + 1;
    room->sorted = mem_realloc(room->sorted, room->sorted_capacity * sizeof *room->sorted);
}

const struct bytes *room_users(struct room *room, size_t *count)
{
    *count = room->present;
    if (room->sorted_good) {
        return room->sorted;
    }
    size_t at = 0;
    reserve_sorted(room, room->present + 1);
    for (struct room_user *user = room->users; user; user = user->hh.next) {
        if (user->devices > 0) {
            room->sorted[at++] = (struct bytes){user->name, user->name_len};
        }
    }
    qsort(room->sorted, at, sizeof *room->sorted, compare_room_names);
    room->sorted_good = true;
    return room->sorted;
}

/* Where the name is, or would be, among so many. */
static size_t find_sorted(const struct room *room, size_t count, struct bytes name)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_compare(room->sorted[middle], name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* present counts the user already, or no longer. */
void room_sort_user(struct room *room, struct bytes name, bool is_there)
{
    room->generation = ++room->rooms->generation;
    if (!room->sorted_good) {
        return;
    }
    size_t count = is_there ? room->present - 1 : room->present + 1;
    size_t at = find_sorted(room, count, name);
    reserve_sorted(room, count + 1);
    struct bytes *place = room->sorted + at;
    if (is_there) {
        memmove(place + 1, place, (count - at) * sizeof *place);
        *place = name;
    } else {
        memmove(place, place + 1, (count - at - 1) * sizeof *place);
    }
}

size_t room_user_count(const struct room *room)
{
    return room->present;
}

uint64_t room_generation(const struct room *room)
{
    return room->generation;
}

void room_forget_sorted(struct room *room)
{
    room->sorted_good = false;
    room->generation = ++room->rooms->generation;
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
