/*
 * room_events: the messages of a room in their order, what they change in the list of its users,
 * and the notification of its members.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "room/room_private.h"
#include "schema/format.h"
#include "schema/keys.h"

enum room_verb { ROOM_JOIN, ROOM_LEAVE, ROOM_SAY, ROOM_MARK };

struct room_event {
    struct bytes epoch;
    uint64_t born;
    uint64_t seq;
    enum room_verb verb;
    struct bytes id;   /* MARK: the front-end's */
    uint64_t number;   /* JOIN, LEAVE: the user's devices, afterwards; MARK: of the reading */
    struct bytes rest; /* the user; or the message */
};

enum judgement { EVENT_OLD, EVENT_NEXT, EVENT_DOUBTFUL };

static bool read_verb(struct bytes word, enum room_verb *verb)
{
    static const struct bytes names[] = {[ROOM_JOIN] = BYTES_LITERAL("join"),
                                         [ROOM_LEAVE] = BYTES_LITERAL("leave"),
                                         [ROOM_SAY] = BYTES_LITERAL("say"),
                                         [ROOM_MARK] = BYTES_LITERAL("mark")};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (bytes_equal(word, names[i])) {
            *verb = (enum room_verb)i;
            return true;
        }
    }
    return false;
}

/* "<format> <epoch> <born> <seq> join|leave <id> <devices> <user>", "... say <id>\n<message>", or
 * "... mark <node> <number>" */
static bool read_event(struct bytes text, struct room_event *event)
{
    struct bytes format = bytes_next_word(&text);
    event->epoch = bytes_next_word(&text);
    event->born = bytes_decimal(bytes_next_word(&text));
    event->seq = bytes_decimal(bytes_next_word(&text));
    if (!format_is_known(format) || event->epoch.len != EPOCH_LENGTH ||
        !read_verb(bytes_next_word(&text), &event->verb)) {
        return false;
    }
    if (event->verb != ROOM_MARK && (event->born == 0 || event->seq == 0)) {
        return false;
    }
    if (event->verb == ROOM_SAY) {
        struct cursor cursor = cursor_over(text);
        event->id = cursor_until(&cursor, '\n');
        event->rest = cursor_take(&cursor, cursor_left(&cursor));
        return !cursor.failed;
    }
    event->id = bytes_next_word(&text);
    event->number = bytes_decimal(bytes_next_word(&text));
    event->rest = text;
    return event->id.len > 0 && (text.len > 0 || event->verb == ROOM_MARK);
}

static bool is_of(const struct room *room, const struct room_event *event)
{
    return bytes_equal(event->epoch, bytes_from_string(room->epoch)) && event->born == room->born;
}

static enum judgement judge_room_event(const struct room *room, const struct room_event *event)
{
    if (event->verb == ROOM_MARK) {
        return EVENT_OLD;
    }
    if (!bytes_equal(event->epoch, bytes_from_string(room->epoch))) {
        return EVENT_DOUBTFUL;
    }
    if (room->born == 0) {
        return event->seq == 1 ? EVENT_NEXT : EVENT_DOUBTFUL;
    }
    if (event->born != room->born) {
        return event->born < room->born ? EVENT_OLD : EVENT_DOUBTFUL;
    }
    if (event->seq <= room->seq) {
        return EVENT_OLD;
    }
    return event->seq == room->seq + 1 ? EVENT_NEXT : EVENT_DOUBTFUL;
}

/* Users. */

struct room_user *room_find_user(struct room *room, struct bytes name, bool create)
{
    struct room_user *user = NULL;
    HASH_FIND(hh, room->users, name.data, name.len, user);
    if (user || !create) {
        return user;
    }
    user = mem_zalloc(1, sizeof *user + name.len);
    user->name_len = name.len;
    memcpy(user->name, name.data, name.len);
    list_init(&user->dirty);
    HASH_ADD(hh, room->users, name, user->name_len, user);
    return user;
}

static void wake_room(struct room *room)
{
    loop_defer(map_loop(room->rooms->map), LOOP_PHASE_VIEW, &room->notify);
}

void room_set_devices(struct room *room, struct bytes name, uint64_t devices)
{
    struct room_user *user = room_find_user(room, name, devices > 0);
    if (!user) {
        return;
    }
    if ((user->devices > 0) != (devices > 0)) {
        room->present = devices > 0 ? room->present + 1 : room->present - 1;
        room_sort_user(room, (struct bytes){user->name, user->name_len}, devices > 0);
    }
    user->devices = devices;
    if (user->announced == (devices > 0) && devices > 0) {
        list_remove(&user->dirty);
    } else if (list_is_empty(&user->dirty)) {
        list_append(&room->dirty, &user->dirty);
    }
    wake_room(room);
}

/* A caller that received the list of users may use it until the event-loop iteration ends. */
static void retire_user(struct room *room, struct room_user *user)
{
    HASH_DEL(room->users, user);
    list_remove(&user->dirty);
    list_append(&room->rooms->gone, &user->dirty);
    loop_defer(map_loop(room->rooms->map), LOOP_PHASE_FREE, &room->rooms->forget);
}

void room_forget_users(struct room *room)
{
    struct room_user *user, *next;
    HASH_ITER (hh, room->users, user, next) {
        retire_user(room, user);
    }
    room->present = 0;
    room_forget_sorted(room);
}

/* Notifying members. */

static void notify_of_users(struct room *room)
{
    const struct room_set *rooms = room->rooms;
    size_t count = 0, joined = 0, left = 0;
    if (list_is_empty(&room->dirty)) {
        return;
    }
    LIST_FOREACH (node, &room->dirty) {
        count++;
    }
    struct bytes *names = mem_alloc(count * sizeof *names);
    LIST_FOREACH (node, &room->dirty) {
        struct room_user *user = list_entry(node, struct room_user, dirty);
        struct bytes name = {user->name, user->name_len};
        list_remove(&user->dirty);
        if (user->devices > 0 && !user->announced) {
            names[joined++] = name;
        } else if (user->devices == 0 && user->announced) {
            names[count - ++left] = name; /* from the end */
        }
        user->announced = user->devices > 0;
        if (user->devices == 0) {
            retire_user(room, user);
        }
    }
    if (joined + left > 0 && room->active > 0) {
        rooms->callbacks->changed(rooms->arg, room, names, joined, names + count - left, left);
    }
    free(names);
}

/* It may leave while it is notified. */
static void enter_room(struct room *room, struct member *member)
{
    struct room_member *public = &member->public;
    const struct room_set *rooms = room->rooms;
    list_remove(&member->entering);
    loop_pending_cancel(&member->joining);
    loop_pending_cancel(&member->check);
    public->active = true;
    member->last_frame = room->fanout.number;
    public->is_joining = false;
    room->active++;
    room->current = member;
    rooms->callbacks->entered(rooms->arg, room, public);
    if (room->current != member) {
        return;
    }
    room->current = NULL;
    map_done done = public->done;
    public->done = NULL;
    if (done) {
        done(public->done_arg, MAP_OK, 0);
    }
}

void room_notify(struct room *room)
{
    notify_of_users(room);
    while (!list_is_empty(&room->entering)) {
        enter_room(room, list_entry(room->entering.next, struct member, entering));
    }
}

void room_let_enter(struct member *member)
{
    if (member->public.active || !list_is_empty(&member->entering)) {
        return;
    }
    list_append(&member->public.room->entering, &member->entering);
    wake_room(member->public.room);
}

void room_report_lost(struct room *room, struct member *only)
{
    const struct room_set *rooms = room->rooms;
    metrics_add(METRIC_ROOM_LOSSES, 1);
    log_info("room_messages_lost", LOG_STRING("prefix", partition_prefix(room->partition)),
             LOG_BYTES("room", room_name(room)), LOG_INT("members", only ? 1 : room->active));
    LIST_FOREACH (node, &room->members) {
        struct room_member *public = list_entry(node, struct room_member, link);
        struct member *member = list_entry(public, struct member, public);
        member->parted &= only && only != member;
    }
    if (only) {
        only->last_frame = room->fanout.number; /* what is queued for it is in the list, or lost */
    }
    rooms->callbacks->lost(rooms->arg, room, only ? &only->public : NULL);
}

/* What arrives. */

static void deliver_room_message(struct room *room, const struct room_event *event)
{
    const struct room_set *rooms = room->rooms;
    room_notify(room);
    if (room->active > 0) {
        rooms->callbacks->on_message(rooms->arg, room, event->rest);
    }
}

static void on_member_joined(struct member *member)
{
    struct room *room = member->public.room;
    if (!member->parted) {
        room_let_enter(member);
        return;
    }
    /* It was removed and is a member again: it did not get the messages between. */
    room_notify(room);
    room_report_lost(room, member);
}

static void on_member_left(struct member *member)
{
    if (!member->public.active && list_is_empty(&member->entering)) {
        return; /* its joining has not arrived yet */
    }
    list_remove(&member->entering);
    room_member_lost(member);
}

static void apply_membership(struct room *room, const struct room_event *event)
{
    struct member *member = room_find_member(room, event->id);
    room_set_devices(room, event->rest, event->number);
    if (member && event->verb == ROOM_JOIN) {
        on_member_joined(member);
    } else if (member) {
        on_member_left(member);
    }
    if (room->present == 0) {
        room->born = room->seq = 0;
    }
}

static void apply_room_event(struct room *room, const struct room_event *event)
{
    room->born = event->born;
    room->seq = event->seq;
    if (event->verb == ROOM_SAY) {
        deliver_room_message(room, event);
    } else {
        apply_membership(room, event);
    }
}

static void keep_room_event(struct room *room, struct bytes text)
{
    struct kept *kept = mem_alloc(sizeof *kept + text.len);
    kept->is_after = room->marked;
    kept->len = text.len;
    memcpy(kept->text, text.data, text.len);
    list_init(&kept->link);
    list_append(&room->kept, &kept->link);
    room->kept_bytes += sizeof *kept + text.len;
    /* The list will be correct all the same; the gap in the numbers will show. */
    if (room->kept_bytes > (size_t)map_settings_of(room->rooms->map)->room_max_buffered) {
        room_forget_kept(room);
    }
}

void room_forget_kept(struct room *room)
{
    while (!list_is_empty(&room->kept)) {
        struct kept *kept = list_entry(room->kept.next, struct kept, link);
        list_remove(&kept->link);
        free(kept);
    }
    room->kept_bytes = 0;
}

static void log_malformed(const struct room *room, struct bytes message)
{
    static struct log_limit limit = {.burst = 5};
    if (message.len > 200) {
        message.len = 200;
    }
    metrics_add(METRIC_MALFORMED_FROM_REDIS, 1);
    log_limited(LOG_WARN, &limit, "malformed_room_message",
                LOG_STRING("prefix", partition_prefix(room->partition)),
                LOG_BYTES("message", message));
}

static bool is_our_mark(const struct room *room, const struct room_event *event)
{
    return event->verb == ROOM_MARK &&
           bytes_equal(event->id, bytes_from_string(map_node_id(room->rooms->map)));
}

static void on_message(void *arg, struct bytes message)
{
    struct room *room = arg;
    struct room_event event = {0};
    metrics_add(METRIC_ROOM_MESSAGES, 1);
    if (format_is_unknown(FORMAT_ROOM, partition_prefix(room->partition), message)) {
        return;
    }
    bool good = read_event(message, &event);
    if (good && room->state == ROOM_READING) {
        if (is_our_mark(room, &event)) {
            room_read_marked(room, event.number);
        } else {
            keep_room_event(room, message);
        }
        return;
    }
    enum judgement judgement = good ? judge_room_event(room, &event) : EVENT_OLD;
    if (!good) {
        log_malformed(room, message);
    }
    if (judgement == EVENT_NEXT) {
        apply_room_event(room, &event);
    } else if (judgement == EVENT_DOUBTFUL) {
        keep_room_event(room, message);
        room_read_start(room);
    }
}

/* The list already contains its effect on members; but a message may be new to the members here,
 * and a joining of one of them is announced. */
static void take_listed(struct room *room, const struct room_event *event, uint64_t seen)
{
    struct member *member = room_find_member(room, event->id);
    if (!is_of(room, event)) {
        return;
    }
    if (event->verb == ROOM_SAY && event->seq > seen) {
        deliver_room_message(room, event);
    }
    if (event->verb == ROOM_JOIN && member) {
        room_let_enter(member);
    }
}

bool room_take(struct room *room, const struct kept *kept, uint64_t seen)
{
    struct bytes text = {kept->text, kept->len};
    struct room_event event;
    if (!read_event(text, &event)) {
        return true;
    }
    enum judgement judgement = judge_room_event(room, &event);
    if (judgement == EVENT_NEXT && (kept->is_after || room->born != 0)) {
        apply_room_event(room, &event);
    } else if (judgement == EVENT_OLD) {
        take_listed(room, &event, seen);
    }
    return judgement != EVENT_DOUBTFUL || !kept->is_after;
}

bool room_follows(const struct room *room, const struct kept *kept, uint64_t seq)
{
    struct bytes text = {kept->text, kept->len};
    struct room_event event;
    return read_event(text, &event) && event.verb != ROOM_MARK && is_of(room, &event) &&
           event.seq == seq + 1;
}

static void on_room_subscribed(void *arg)
{
    struct room *room = arg;
    room_read_start(room);
    room_join_waiting(room);
}

static void on_room_channel_down(void *arg)
{
    struct room *room = arg;
    room_read_stop(room);
    room->unmarked = 0;
    room->state = ROOM_WAITING;
}

void room_listen(struct room *room)
{
    static const struct channel_callbacks callbacks = {
        .subscribed = on_room_subscribed, .message = on_message, .down = on_room_channel_down};
    struct map *map = room->rooms->map;
    struct writer key = {0};
    struct bytes channel =
        keys_write(&key, partition_channels(room->partition), "room:", room_name(room));
    bool subscribed = channel_join(map_channels(map), &room->channel, channel, &callbacks, room);
    writer_free(&key);
    if (subscribed) {
        on_room_subscribed(room);
    }
}
