/*
 * turntable_room: rooms.
 *
 * A message in a room goes to the map, and comes back in the room's order; then it is encoded once
 * for all members on this front-end. A member whose backlog grows too large is closed, so that the
 * others need not wait.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/turntable/turntable_private.h"

/* A session's membership of a room, or its request to join one. */
struct membership {
    struct list link; /* the session's */
    struct turntable_session *session;
    struct room_member *member; /* NULL until room_join, and after that has failed */
    uint32_t under_way;         /* its messages in progress */
    struct writer join_request; /* until it has joined: the room's name, and the users to be
                                   invited then, each preceded by its length */
};

/* Sending to members. */

/* frame NULL: it could not be encoded. */
static void send_to_member(struct turntable_session *session, enum metric kind, struct frame *frame)
{
    if (!frame) {
        return;
    }
    if (turntable_is_over_backlog(session)) {
        turntable_close(session, WEBSOCKET_TRY_LATER, "too much unread output from a room");
    } else {
        turntable_send_frame(session, kind, frame);
    }
}

static struct turntable_session *session_of(const struct room_member *member)
{
    return ((struct membership *)member->arg)->session;
}

/* frame NULL: it could not be encoded. */
static void send_to_room(struct room *room, enum metric kind, struct frame *frame)
{
    if (frame) {
        room_send(room, kind, frame);
    }
}

static void deliver_to_member(void *arg, struct room_member *member, unsigned kind,
                              struct frame *frame)
{
    send_to_member(session_of(member), (enum metric)kind, frame);
}

/* Redis is a peer: a client would close its connection at text that is not UTF-8. */
static void log_ignored(struct turntable_subscribers *subscribers, const struct room *room,
                        const char *why)
{
    log_limited(LOG_WARN, &subscribers->service->ignored_limit, "turntable_message_ignored",
                LOG_BYTES("room", room_name(room)), LOG_STRING("reason", why));
}

static void on_room_message(void *arg, struct room *room, struct bytes message)
{
    struct frame *frame;
    if (!json_is_text(message)) {
        log_ignored(arg, room, "a message that is not valid UTF-8");
        return;
    }
    frame = websocket_frame_create(WEBSOCKET_TEXT, message);
    send_to_room(room, METRIC_TURNTABLE_GAME_SENT, frame);
    frame_unref(&frame);
}

/* NULL when one of the ids is not valid UTF-8. */
static struct frame *encode_members(struct turntable_subscribers *subscribers, struct room *room,
                                    const struct turntable_members *members)
{
    struct writer text = {0};
    turntable_write_member(&text, room_name(room), members);
    if (!text.failed) {
        return turntable_text_frame(&text);
    }
    log_ignored(subscribers, room, "a user id that is not valid UTF-8");
    writer_free(&text);
    return NULL;
}

static void on_room_changed(void *arg, struct room *room, const struct bytes *joined,
                            size_t joined_count, const struct bytes *left, size_t left_count)
{
    struct turntable_members members = {joined, joined_count, left, left_count};
    struct frame *frame = encode_members(arg, room, &members);
    send_to_room(room, METRIC_TURNTABLE_MEMBER, frame);
    frame_unref(&frame);
}

/* The list of users, encoded once until it changes; a reference is the caller's. */
static struct frame *encode_present(struct turntable_subscribers *subscribers, struct room *room)
{
    struct turntable_members members = {0};
    if (!subscribers->present || subscribers->present_generation != room_generation(room)) {
        members.joined = room_users(room, &members.joined_count);
        frame_unref(&subscribers->present);
        subscribers->present = encode_members(subscribers, room, &members);
        subscribers->present_generation = room_generation(room);
    }
    return subscribers->present ? frame_ref(subscribers->present) : NULL;
}

/* The list, to a session that has joined: it is charged for it, and for notifying the others. */
static void send_present(struct turntable_subscribers *subscribers, struct room *room,
                         struct turntable_session *session, bool is_new)
{
    struct frame *frame = encode_present(subscribers, room);
    turntable_charge(session, frame ? frame->len : 0, TURNTABLE_BYTES_PER_UNIT);
    if (is_new) {
        turntable_charge(session, room_user_count(room), TURNTABLE_MEMBERS_PER_UNIT);
    }
    send_to_member(session, METRIC_TURNTABLE_MEMBER, frame);
    frame_unref(&frame);
}

static void on_entered(void *arg, struct room *room, struct room_member *member)
{
    send_present(arg, room, session_of(member), true);
}

static void on_lost(void *arg, struct room *room, struct room_member *member)
{
    struct writer text = {0};
    struct frame *error, *present = encode_present(arg, room);
    turntable_write_lost(&text, room_name(room));
    error = turntable_text_frame(&text);
    if (member) {
        send_to_member(session_of(member), METRIC_TURNTABLE_ERROR_LOST, error);
        send_to_member(session_of(member), METRIC_TURNTABLE_MEMBER, present);
    } else {
        send_to_room(room, METRIC_TURNTABLE_ERROR_LOST, error);
        send_to_room(room, METRIC_TURNTABLE_MEMBER, present);
    }
    frame_unref(&error);
    frame_unref(&present);
}

const struct room_callbacks turntable_room_callbacks = {.on_message = on_room_message,
                                                        .changed = on_room_changed,
                                                        .entered = on_entered,
                                                        .lost = on_lost,
                                                        .deliver = deliver_to_member};

/* Memberships. */

static struct bytes membership_room_name(const struct membership *membership)
{
    return room_name(membership->member->room);
}

static void send_room_result(struct turntable_session *session, struct bytes name,
                             enum map_result result, const char *what, const char *command)
{
    char *text = mem_format("the room %.*s %s", (int)name.len, (const char *)name.data, what);
    turntable_send_result(session, result, text, command);
    free(text);
}

static struct membership *find_membership(const struct turntable_session *session,
                                          struct bytes name)
{
    LIST_FOREACH (node, &session->rooms) {
        struct membership *membership = list_entry(node, struct membership, link);
        if (membership->member && bytes_equal(membership_room_name(membership), name)) {
            return membership;
        }
    }
    return NULL;
}

struct room *turntable_room_of(const struct turntable_session *session, struct bytes name)
{
    struct membership *membership = find_membership(session, name);
    return membership ? membership->member->room : NULL;
}

static size_t count_rooms(const struct turntable_session *session)
{
    size_t count = 0;
    LIST_FOREACH (node, &session->rooms) {
        count++;
    }
    return count;
}

static void free_membership(struct membership *membership)
{
    struct turntable_session *session = membership->session;
    if (membership->member) {
        room_leave(&membership->member);
    }
    /* Its messages in progress get no result any more. */
    turntable_request_end(session, membership->under_way);
    list_remove(&membership->link);
    writer_free(&membership->join_request);
    free(membership);
}

void turntable_room_end(struct turntable_session *session)
{
    while (!list_is_empty(&session->rooms)) {
        free_membership(list_entry(session->rooms.next, struct membership, link));
    }
}

/* The sender's membership of the message's room; NULL when the message has been refused. */
static struct membership *require_membership(struct turntable_session *session,
                                             const struct turntable_message *message)
{
    struct membership *membership = find_membership(session, message->channel);
    if (!membership) {
        turntable_message_refuse(session, TURNTABLE_CODE_NOT_MEMBER, "you are not in this room",
                                 turntable_command_name(message->command));
    }
    return membership;
}

/* joingame. */

static struct bytes read_noted_text(struct cursor *cursor)
{
    return cursor_take(cursor, cursor_u8(cursor));
}

static void note_text(struct writer *to, struct bytes text)
{
    writer_u8(to, (uint8_t)text.len);
    writer_bytes(to, text);
}

static void send_noted_invites(struct turntable_session *session, struct bytes room,
                               struct cursor *users)
{
    struct invite_round *round = turntable_invite_begin(session);
    while (cursor_left(users) > 0 && session->state == TURNTABLE_SESSION_IDENTIFIED) {
        turntable_invite_send(round, room, read_noted_text(users));
    }
    turntable_invite_finish(round);
}

static void on_room_joined(void *arg, enum map_result result, uint64_t version)
{
    struct membership *membership = arg;
    struct turntable_session *session = membership->session;
    struct writer request = membership->join_request;
    struct cursor cursor = cursor_over(writer_bytes_written(&request));
    struct bytes room = read_noted_text(&cursor);
    membership->join_request = (struct writer){0};
    if (result == MAP_OK) {
        turntable_identity_update_status(session);
        send_noted_invites(session, room, &cursor);
    } else {
        membership->member = NULL; /* the map has freed it */
        free_membership(membership);
        send_room_result(session, room, result, "cannot be joined", "joingame");
    }
    writer_free(&request);
    turntable_resume_reading(session, STOP_BARRIER);
}

/* It is a member already: it gets the list, as after joining, but the others no change. */
static void join_again(struct membership *membership, const struct turntable_message *message)
{
    struct turntable_session *session = membership->session;
    struct room *room = membership->member->room;
    struct frame *frame = encode_present(session->port->subscribers, room);
    send_to_member(session, METRIC_TURNTABLE_MEMBER, frame);
    frame_unref(&frame);
    struct invite_round *round = turntable_invite_begin(session);
    for (size_t i = 0; i < message->id_count; i++) {
        turntable_invite_send(round, room_name(room), message->ids[i]);
    }
    turntable_invite_finish(round);
}

static struct membership *create_membership(struct turntable_session *session,
                                            const struct turntable_message *message)
{
    struct membership *membership = mem_zalloc(1, sizeof *membership);
    membership->session = session;
    note_text(&membership->join_request, message->channel);
    for (size_t i = 0; i < message->id_count; i++) {
        note_text(&membership->join_request, message->ids[i]);
    }
    list_append(&session->rooms, &membership->link);
    return membership;
}

static void start_join(struct membership *membership)
{
    struct turntable_session *session = membership->session;
    struct cursor cursor = cursor_over(writer_bytes_written(&membership->join_request));
    turntable_stop_reading(session, STOP_BARRIER);
    membership->member =
        room_join(session->port->subscribers->rooms, read_noted_text(&cursor), session->map,
                  turntable_id(session), turntable_user(session), on_room_joined, membership);
}

void turntable_room_defer_join(struct turntable_session *session,
                               const struct turntable_message *message)
{
    create_membership(session, message);
}

/* turntable_room_join's checks were made when it was deferred, or do not apply to a first room. */
bool turntable_room_start_deferred_join(struct turntable_session *session)
{
    if (list_is_empty(&session->rooms)) {
        return false;
    }
    start_join(list_entry(session->rooms.next, struct membership, link));
    return true;
}

void turntable_room_drop_deferred_join(struct turntable_session *session)
{
    turntable_room_end(session);
}

void turntable_room_join(struct turntable_session *session, const struct turntable_message *message)
{
    struct membership *membership;
    if (!bytes_equal(message->user, turntable_user(session))) {
        turntable_message_refuse(session, TURNTABLE_CODE_NOT_YOU, "data.self: is not your id",
                                 "joingame");
        return;
    }
    membership = find_membership(session, message->channel);
    if (membership) {
        join_again(membership, message);
    } else if (count_rooms(session) >= (uint64_t)session->port->settings->max_rooms) {
        turntable_message_refuse(session, TURNTABLE_CODE_LIMIT, "in as many rooms as allowed",
                                 "joingame");
    } else {
        start_join(create_membership(session, message));
    }
}

/* game. */

static void on_room_message_judged(void *arg, enum map_result result, uint64_t version)
{
    struct membership *membership = arg;
    struct turntable_session *session = membership->session;
    membership->under_way--;
    turntable_request_end(session, 1);
    if (result != MAP_OK) {
        send_room_result(session, membership_room_name(membership), result,
                         "may not receive your message", "game");
    }
}

static bool is_member(void *arg, struct bytes id)
{
    return room_has_user(arg, id);
}

void turntable_room_game(struct turntable_session *session, const struct turntable_message *message)
{
    const struct turntable_settings *settings = session->port->settings;
    struct membership *membership = require_membership(session, message);
    struct turntable_error error;
    struct writer text = {0};
    if (!membership) {
        return;
    }
    const struct room *room = membership->member->room;
    conn_wait_us(websocket_conn(session->websocket), room_wait_us(room));
    if (room_refuses(room)) {
        send_room_result(session, membership_room_name(membership), MAP_REFUSED,
                         "may not receive your message", "game");
        return;
    }
    struct turntable_rules rules = {
        .sender = turntable_user(session),
        .now = map_redis_time_ms(session->port->service->common.map),
        .tolerance = (uint64_t)settings->tolerance,
        .needs_form = settings->validate != TURNTABLE_VALIDATE_OFF &&
                      settings->id_form == TURNTABLE_ID_STRICT,
        .is_member = settings->validate == TURNTABLE_VALIDATE_MEMBER ? is_member : NULL,
        .arg = membership->member->room,
    };
    if (turntable_relay_game(&text, message, &rules, &error)) {
        membership->under_way++;
        turntable_request_begin(session, 1);
        size_t users = room_user_count(membership->member->room);
        turntable_charge(session, users, TURNTABLE_RECEIVERS_PER_UNIT);
        turntable_charge(session, users * text.len, TURNTABLE_SENT_PER_UNIT);
        room_publish(membership->member, writer_bytes_written(&text), on_room_message_judged,
                     membership);
    } else {
        turntable_message_refuse(session, error.code, error.detail.text, "game");
    }
    writer_free(&text);
}

/* leavegame. */

void turntable_room_leave(struct turntable_session *session,
                          const struct turntable_message *message)
{
    struct membership *membership = require_membership(session, message);
    if (!membership) {
        return;
    }
    turntable_charge(session, room_user_count(membership->member->room),
                     TURNTABLE_MEMBERS_PER_UNIT);
    free_membership(membership);
    turntable_identity_update_status(session);
}
