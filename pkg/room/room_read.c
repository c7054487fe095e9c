/*
 * room_read: the lists of rooms: of those with members here, and of any other that a caller asks
 * for.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "room/room_private.h"
#include "schema/keys.h"
#include "schema/scripts.h"

static struct redis_script room_script = {.name = "room", .source = script_room};

/* The script's reply, from which it borrows. */
struct room_listing {
    struct bytes epoch;
    uint64_t born, seq;
    size_t user_count, mine_count;
    struct user_count {
        struct bytes name;
        uint64_t devices;
    } * users;
    struct bytes *mine; /* ids of this front-end's members */
};

static void free_listing(struct room_listing *listing)
{
    free(listing->users);
    free(listing->mine);
}

static void read_users(struct cursor *cursor, struct room_listing *listing)
{
    listing->users = mem_zalloc(listing->user_count + 1, sizeof *listing->users);
    for (size_t i = 0; i < listing->user_count && !cursor->failed; i++) {
        size_t len = cursor_decimal(cursor, ' ');
        listing->users[i].devices = cursor_decimal(cursor, '\n');
        listing->users[i].name = cursor_take(cursor, len);
    }
}

static void read_mine(struct cursor *cursor, struct room_listing *listing)
{
    listing->mine = mem_zalloc(listing->mine_count + 1, sizeof *listing->mine);
    for (size_t i = 0; i < listing->mine_count && !cursor->failed; i++) {
        listing->mine[i] = cursor_take(cursor, cursor_decimal(cursor, '\n'));
    }
}

/* False when it is malformed, or Redis knows no epoch yet. To be freed in any case. */
static bool read_listing(struct bytes text, struct room_listing *listing)
{
    struct cursor cursor = cursor_over(text);
    memset(listing, 0, sizeof *listing);
    struct bytes format = cursor_until(&cursor, ' ');
    listing->epoch = cursor_until(&cursor, ' ');
    listing->born = cursor_decimal(&cursor, ' ');
    listing->seq = cursor_decimal(&cursor, ' ');
    listing->user_count = cursor_decimal(&cursor, ' ');
    listing->mine_count = cursor_decimal(&cursor, '\n');
    if (cursor.failed || !bytes_equal(format, BYTES_LITERAL("1")) ||
        listing->epoch.len != EPOCH_LENGTH || listing->user_count > cursor_left(&cursor) ||
        listing->mine_count > cursor_left(&cursor)) {
        return false;
    }
    read_users(&cursor, listing);
    read_mine(&cursor, listing);
    return !cursor.failed;
}

static bool can_read(const struct map *map)
{
    return redis_link_is_up(map_link(map)) && map_is_checked(map);
}

/* mark: the number of the mark to be published; 0: none. */
static void send_room_read(const struct partition *partition, struct bytes name, uint64_t mark,
                           redis_callback callback, void *arg)
{
    struct map *map = map_space_map(partition_space(partition));
    struct writer key = {0}, channel = {0};
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)mark);
    struct bytes args[] = {bytes_from_string(partition_key_head(partition)),
                           keys_write(&key, partition_prefix(partition), "room:", name),
                           keys_write(&channel, partition_channels(partition), "room:", name),
                           bytes_from_string(map_node_id(map)), bytes_from_string(number)};
    redis_eval(map_link(map), &room_script, callback, arg, 3, 5, args);
    writer_free(&key);
    writer_free(&channel);
}

/* A room with members here. */

struct room_read {
    struct room *room; /* NULL: another read has taken its place, or none is needed */
};

static bool is_same_room(const struct room *room, const struct room_listing *listing)
{
    return room->known && room->born == listing->born &&
           bytes_equal(listing->epoch, bytes_from_string(room->epoch));
}

/* Whether the kept messages lead from what is known to what was read, without a hole. */
static bool is_gapless(const struct room *room, const struct room_listing *listing)
{
    uint64_t seq = room->seq;
    if (!is_same_room(room, listing) || listing->seq < seq) {
        return false;
    }
    LIST_FOREACH (node, &room->kept) {
        const struct kept *kept = list_entry(node, struct kept, link);
        if (!kept->is_after && room_follows(room, kept, seq)) {
            seq++;
        }
    }
    return seq == listing->seq;
}

static void adopt_listing(struct room *room, const struct room_listing *listing)
{
    memcpy(room->epoch, listing->epoch.data, EPOCH_LENGTH);
    room->born = listing->born;
    room->seq = listing->seq;
    room_forget_users(room);
    for (size_t i = 0; i < listing->user_count; i++) {
        room_set_devices(room, listing->users[i].name, listing->users[i].devices);
        struct room_user *user = room_find_user(room, listing->users[i].name, false);
        if (!user) {
            continue;
        }
        user->announced = true;
        list_remove(&user->dirty);
    }
}

/* Members whose joining was answered before the list was requested are in it, or Redis lost them.
 */
static void check_mine(struct room *room, const struct room_listing *listing)
{
    for (size_t i = 0; i < listing->mine_count; i++) {
        struct member *member = room_find_member(room, listing->mine[i]);
        if (member) {
            member->listed = room->reads;
        }
    }
    LIST_FOREACH (node, &room->members) {
        struct room_member *public = list_entry(node, struct room_member, link);
        struct member *member = list_entry(public, struct member, public);
        if (!member->confirmed || member->confirmed_at >= room->reads) {
            continue;
        }
        if (member->listed == room->reads) {
            room_let_enter(member);
        } else if (member->joins == 0) {
            room_member_lost(member);
        }
    }
}

/* What was kept while the list was read; a new doubt has it read again. Callbacks may
 * remove all members, but the room is not freed before the event-loop iteration ends. */
static void take_kept(struct room *room, uint64_t seen)
{
    while (room->state == ROOM_LISTED && !list_is_empty(&room->kept)) {
        struct kept *kept = list_entry(room->kept.next, struct kept, link);
        if (!room_take(room, kept, seen)) {
            room_read_start(room);
            return;
        }
        list_remove(&kept->link);
        room->kept_bytes -= sizeof *kept + kept->len;
        free(kept);
    }
}

static void complete_room_read(struct room *room, const struct room_listing *listing)
{
    bool gapless = is_gapless(room, listing);
    bool lost = room->known && !gapless && room->active > 0;
    uint64_t seen = is_same_room(room, listing) ? room->seq : 0;
    room->state = ROOM_LISTED;
    room->marked = false;
    if (!gapless) {
        adopt_listing(room, listing);
    }
    room->known = true;
    check_mine(room, listing);
    if (lost) {
        room_report_lost(room, NULL);
    }
    take_kept(room, seen);
}

static void read_later(struct room *room)
{
    struct room_set *rooms = room->rooms;
    if (list_is_empty(&room->failed)) {
        list_append(&rooms->failed, &room->failed);
    }
    rooms_retry_later(rooms);
}

/* The list and its mark are there. */
static void complete_with(struct room *room, struct bytes text)
{
    struct room_listing listing;
    loop_pending_cancel(&room->mark);
    room->unmarked = 0;
    if (read_listing(text, &listing)) {
        complete_room_read(room, &listing);
    } else {
        read_later(room);
    }
    free_listing(&listing);
}

/* The longer it has not come, the longer it is waited for: a Redis that is slow is not to be asked
 * more because of that. */
static void await_mark(struct room *room)
{
    struct room_set *rooms = room->rooms;
    uint64_t timeout = (uint64_t)map_settings_of(rooms->map)->room_read_timeout;
    unsigned doublings = room->unmarked < 3 ? room->unmarked : 3;
    loop_pending_begin(rooms->marks, &room->mark, timeout << doublings, 0);
}

static void on_room_listing_read(void *arg, enum redis_status status,
                                 const struct redis_reply *reply)
{
    struct room_read *read = arg;
    struct room *room = read->room;
    free(read);
    if (!room) {
        return;
    }
    room->read = NULL;
    if (status != REDIS_OK || reply->type != REDIS_STRING || reply->text.len == 0) {
        read_later(room);
    } else if (room->marked) {
        complete_with(room, reply->text);
    } else {
        writer_bytes(&room->list, reply->text);
        await_mark(room);
    }
}

void room_read_marked(struct room *room, uint64_t number)
{
    if (number != room->reads) {
        return; /* of a reading that was given up */
    }
    if (room->list.len == 0) {
        room->marked = room->read != NULL;
        return;
    }
    struct writer list = room->list;
    room->list = (struct writer){0};
    complete_with(room, writer_bytes_written(&list));
    writer_free(&list);
}

void room_read_stop(struct room *room)
{
    list_remove(&room->failed);
    loop_pending_cancel(&room->mark);
    writer_free(&room->list);
    room->marked = false;
    if (room->read) {
        room->read->room = NULL;
    }
    room->read = NULL;
    LIST_FOREACH (node, &room->kept) {
        list_entry(node, struct kept, link)->is_after = false;
    }
}

void room_read_start(struct room *room)
{
    room_read_stop(room);
    room->state = ROOM_READING;
    if (!can_read(room->rooms->map)) {
        read_later(room);
        return;
    }
    room->reads++;
    room->read = mem_alloc(sizeof *room->read);
    room->read->room = room;
    send_room_read(room->partition, room_name(room), room->reads, on_room_listing_read, room->read);
}

void room_read_restart(struct room *room)
{
    if (loop_pending_is_waiting(&room->mark)) {
        room_read_start(room);
    }
}

/* What was published to the room may not have come either. Members are notified when it seems to
 * last; what the list says when the room has been read is exact, and notifies them again. */
void room_mark_expire(void *rooms, struct loop_pending *mark, int result)
{
    static struct log_limit limit = {.burst = 5};
    struct room *room = list_entry(mark, struct room, mark);
    const struct map_settings *settings = map_settings_of(room->rooms->map);
    metrics_add(METRIC_ROOM_REREADS, 1);
    room->unmarked++;
    log_limited(LOG_WARN, &limit, "room_mark_missing",
                LOG_STRING("prefix", partition_prefix(room->partition)),
                LOG_BYTES("room", room_name(room)), LOG_INT("readings", room->unmarked));
    if (room->unmarked == settings->room_read_attempts && room->known && room->active > 0) {
        room_report_lost(room, NULL);
    }
    if (room->unmarked > 1) {
        channel_subscribe_again(&room->channel);
    }
    room_read_start(room);
}

/* Any room. */

struct room_users_read {
    struct loop_pending pending;
    struct list unsent;     /* the set's: no command is under way */
    struct room_set *rooms; /* NULL: taken back while it is under way */
    struct partition *partition;
    room_read_done done;
    void *arg;
    bool sent;
    size_t name_len;
    uint8_t name[];
};

static int compare_listed_users(const void *a, const void *b)
{
    const struct user_count *one = a, *other = b;
    return bytes_compare(one->name, other->name);
}

/* Calls back, and frees the read unless its reply is still to come. */
static void end_read(struct room_users_read *read, bool known, const struct room_listing *listing)
{
    size_t count = listing ? listing->user_count : 0;
    struct bytes *names = mem_zalloc(count + 1, sizeof *names);
    room_read_done done = read->done;
    void *arg = read->arg;
    if (listing) {
        qsort(listing->users, count, sizeof *listing->users, compare_listed_users);
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = listing->users[i].name;
    }
    room_read_cancel(&read);
    done(arg, known, names, count);
    free(names);
}

void room_users_read_expire(void *rooms, struct loop_pending *pending, int result)
{
    end_read(list_entry(pending, struct room_users_read, pending), false, NULL);
}

/* It is sent again, until its deadline. */
static void send_users_later(struct room_users_read *read)
{
    list_append(&read->rooms->unsent, &read->unsent);
    rooms_retry_later(read->rooms);
}

static void on_users(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct room_users_read *read = arg;
    struct room_listing listing = {0};
    read->sent = false;
    if (!read->rooms) {
        free(read);
    } else if (status == REDIS_OK && reply->type == REDIS_STRING &&
               read_listing(reply->text, &listing)) {
        end_read(read, true, &listing);
    } else {
        send_users_later(read);
    }
    free_listing(&listing);
}

static void send_users(struct room_users_read *read)
{
    list_remove(&read->unsent);
    read->sent = true;
    send_room_read(read->partition, (struct bytes){read->name, read->name_len}, 0, on_users, read);
}

struct room_users_read *room_read_users(struct room_set *rooms, struct bytes name,
                                        room_read_done done, void *arg)
{
    struct room_users_read *read = mem_zalloc(1, sizeof *read + name.len);
    read->rooms = rooms;
    read->partition = partition_of(rooms->space, name);
    read->done = done;
    read->arg = arg;
    read->name_len = name.len;
    memcpy(read->name, name.data, name.len);
    list_init(&read->unsent);
    loop_pending_init(&read->pending);
    loop_pending_begin(rooms->reads, &read->pending, map_deadline_ms(rooms->map), 0);
    if (can_read(rooms->map)) {
        send_users(read);
    } else {
        send_users_later(read);
    }
    return read;
}

void room_read_cancel(struct room_users_read **pointer)
{
    struct room_users_read *read = *pointer;
    if (!read) {
        return;
    }
    *pointer = NULL;
    loop_pending_cancel(&read->pending);
    list_remove(&read->unsent);
    read->rooms = NULL;
    if (!read->sent) {
        free(read);
    }
}

/* All of them. */

void room_reads_send(struct room_set *rooms, const struct partition *partition)
{
    if (!can_read(rooms->map)) {
        return;
    }
    LIST_FOREACH (node, &rooms->failed) {
        struct room *room = list_entry(node, struct room, failed);
        if (!partition || room->partition == partition) {
            room_read_start(room);
        }
    }
    LIST_FOREACH (node, &rooms->unsent) {
        struct room_users_read *read = list_entry(node, struct room_users_read, unsent);
        if (!partition || read->partition == partition) {
            send_users(read);
        }
    }
}

void room_reads_cancel_all(struct room_set *rooms)
{
    struct loop_pending *first;

    while ((first = loop_pending_set_first(rooms->reads))) {
        struct room_users_read *read = list_entry(first, struct room_users_read, pending);
        room_read_cancel(&read);
    }
}
