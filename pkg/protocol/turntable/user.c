/*
 * turntable_user: users with sessions on this front-end, and the invitations and packets for them.
 * Both are opaque to the map, so they are checked to be valid JSON before they are sent.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/turntable/turntable_private.h"

static bool is_json_invitation(struct turntable_subscribers *subscribers, struct bytes text)
{
    struct json_limits limits = JSON_LIMITS_DEFAULT;
    struct json_error error = {0};
    struct json_document *document;
    /* The sender's front-end has checked it, and added a few keys since. Clients of metadata sync
     * may send all that JSON.parse accepts. */
    limits.bytes = text.len;
    limits.values *= 2;
    limits.keys = limits.values;
    limits.depth = JSON_DEPTH_MAX;
    limits.lone_surrogates = true;
    document = json_document_parse(text, &limits, &error);
    if (!document) {
        log_limited(LOG_WARN, &subscribers->service->ignored_limit, "turntable_message_ignored",
                    LOG_STRING("space", map_space_name(subscribers->space)),
                    LOG_STRING("reason", error.text));
    }
    json_document_free(&document);
    return error.fault == JSON_FAULT_NONE;
}

void turntable_user_add(struct turntable_session *session, struct bytes name)
{
    struct turntable_subscribers *subscribers = session->port->subscribers;
    struct user *user;
    HASH_FIND(hh, subscribers->users, name.data, name.len, user);
    if (!user) {
        user = mem_zalloc(1, sizeof *user + name.len);
        list_init(&user->sessions);
        user->len = (uint8_t)name.len;
        memcpy(user->name, name.data, name.len);
        HASH_ADD(hh, subscribers->users, name[0], user->len, user);
    }
    session->user = user;
    list_append(&user->sessions, &session->of_user);
}

void turntable_user_remove(struct turntable_session *session)
{
    struct turntable_subscribers *subscribers = session->port->subscribers;
    struct user *user = session->user;
    session->user = NULL;
    if (!user) {
        return;
    }
    list_remove(&session->of_user);
    if (!list_is_empty(&user->sessions)) {
        return;
    }
    HASH_DEL(subscribers->users, user);
    free(user);
}

/* Invitations. */

/* Whether it was sent to one of the user's sessions. */
static bool send_to_user(struct user *user, enum metric kind, struct frame *frame)
{
    bool sent = false;
    LIST_FOREACH (node, &user->sessions) {
        struct turntable_session *session = list_entry(node, struct turntable_session, of_user);
        if (session->state != TURNTABLE_SESSION_IDENTIFIED || turntable_is_over_backlog(session)) {
            continue;
        }
        turntable_send_frame(session, kind, frame);
        sent = true;
    }
    return sent;
}

static bool on_user_invited(struct relay_listener *listener, struct bytes name,
                            struct bytes invitation)
{
    struct turntable_subscribers *subscribers =
        list_entry(listener, struct turntable_subscribers, listener);
    struct user *user;
    struct frame *frame;
    bool taken;
    HASH_FIND(hh, subscribers->users, name.data, name.len, user);
    if (!user || !is_json_invitation(subscribers, invitation)) {
        return false;
    }
    frame = websocket_frame_create(WEBSOCKET_TEXT, invitation);
    taken = send_to_user(user, METRIC_TURNTABLE_INVITE, frame);
    frame_unref(&frame);
    return taken;
}

void turntable_user_invited(void *arg, struct bytes invitation)
{
    struct turntable_session *session = arg;
    struct frame *frame;
    if (!is_json_invitation(session->port->subscribers, invitation)) {
        return;
    }
    frame = websocket_frame_create(WEBSOCKET_TEXT, invitation);
    turntable_send_frame(session, METRIC_TURNTABLE_INVITE, frame);
    frame_unref(&frame);
}

/* Packets. */

/* NULL: it is not valid JSON. */
static struct frame *encode_packet(void *subscribers, struct bytes packet)
{
    struct writer text = {0};
    if (!is_json_invitation(subscribers, packet)) {
        return NULL;
    }
    turntable_write_packet(&text, packet);
    return turntable_text_frame(&text);
}

bool turntable_user_relayed(void *arg, struct map_packet *packet)
{
    struct turntable_session *session = arg;
    struct frame *frame;
    if (session->state != TURNTABLE_SESSION_IDENTIFIED || turntable_is_over_backlog(session)) {
        return false;
    }
    frame = map_packet_frame(packet, encode_packet, session->port->subscribers);
    if (frame) {
        turntable_send_frame(session, METRIC_TURNTABLE_PACKET, frame);
    }
    return frame != NULL;
}

static void on_user_broadcast(struct relay_listener *listener, struct bytes from,
                              struct bytes packet)
{
    struct turntable_subscribers *subscribers =
        list_entry(listener, struct turntable_subscribers, listener);
    struct user *user, *next;
    struct frame *frame;
    frame = subscribers->users ? encode_packet(subscribers, packet) : NULL;
    if (!frame) {
        return;
    }
    HASH_ITER (hh, subscribers->users, user, next) {
        (void)send_to_user(user, METRIC_TURNTABLE_PACKET, frame);
    }
    frame_unref(&frame);
}

void turntable_user_begin(struct turntable_subscribers *subscribers)
{
    list_init(&subscribers->listener.link);
    subscribers->listener.broadcast = on_user_broadcast;
    subscribers->listener.invited = on_user_invited;
    relay_listen(subscribers->space, &subscribers->listener);
}

void turntable_user_free(struct turntable_subscribers *subscribers)
{
    relay_unlisten(&subscribers->listener);
}
