/*
 * tracker_get: the map as text. It is encoded once for all Gets while it does not change.
 *
 * A Get reads the map when it is the first outstanding request: then the session's own writes
 * before it have been acknowledged, and it includes them like all others.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "protocol/tracker/tracker_private.h"

#define PLAIN_MAX        255 /* what the plain dialect can frame */
#define ENTRIES_PER_UNIT 64  /* of the budget, when they are encoded */

void get_forget_texts(struct tracker_subscribers *subscribers)
{
    frame_unref(&subscribers->texts[0]);
    frame_unref(&subscribers->texts[1]);
}

/* Whether the text is more than the plain dialect can frame: "{", "}", and with each entry at least
 * a byte of its id, "=" and, but for the first, ", ". */
static bool is_map_text_too_long(struct tracker_subscribers *subscribers, struct map_view *view)
{
    size_t count = map_view_count(view), size = 2;
    struct map_entry *const *entries;
    if (4 * count > PLAIN_MAX) {
        return true;
    }
    entries = map_view_sorted(view, &count);
    for (size_t i = 0; i < count; i++) {
        size += map_entry_id(entries[i]).len +
                translate_state(entries[i], &subscribers->translated).len + (i > 0 ? 3 : 1);
    }
    return size > PLAIN_MAX;
}

/* All entries with their states, to be freed. What has to be written for them is in texts, which
 * must not change any more. */
static struct bytes (*collect_states(struct map_view *view, struct writer *texts, size_t *count))[2]
{
    struct map_entry *const *entries = map_view_sorted(view, count);
    struct bytes(*pairs)[2] = mem_zalloc(*count + 1, sizeof *pairs);
    struct writer text = {0};
    size_t at = 0;
    for (size_t i = 0; i < *count; i++) {
        struct bytes state = translate_state(entries[i], &text);
        pairs[i][0] = map_entry_id(entries[i]);
        pairs[i][1] = state;
        if (state.data == map_entry_state(entries[i]).data) {
            continue;
        }
        writer_bytes(texts, state);
        pairs[i][1].data = NULL; /* which an entry's own state of some length never is */
    }
    for (size_t i = 0; i < *count; i++) {
        if (!pairs[i][1].data && pairs[i][1].len > 0) {
            pairs[i][1].data = texts->data + at;
            at += pairs[i][1].len;
        }
    }
    writer_free(&text);
    return pairs;
}

static struct frame *encode_get_reply(struct map_view *view, enum tracker_dialect dialect)
{
    struct writer texts = {0}, text = {0}, reply = {0};
    size_t count;
    struct bytes(*pairs)[2] = collect_states(view, &texts, &count);
    tracker_write_map_text(&text, (const struct bytes(*)[2])pairs, count);
    tracker_write_map_reply(&reply, dialect, writer_bytes_written(&text));
    struct frame *frame = frame_create(writer_bytes_written(&reply));
    writer_free(&reply);
    writer_free(&text);
    writer_free(&texts);
    free(pairs);
    return frame;
}

/* WIDE and 2014 have eight bytes for the text's length. */
static bool has_long_text(const struct tracker_session *session)
{
    return session->dialect == TRACKER_WIDE || session->dialect == TRACKER_2014;
}

/* A length of 0, which the text of a map never has: the map is not available. */
static void send_no_map(struct tracker_session *session)
{
    static const uint8_t none[8];
    conn_send(session->conn, (struct bytes){none, has_long_text(session) ? sizeof none : 1});
}

static void send_map_text(struct tracker_session *session, struct map_view *view)
{
    struct tracker_subscribers *subscribers = session->port->subscribers;
    int which = has_long_text(session);
    struct frame **text = &subscribers->texts[which];
    if (session->dialect == TRACKER_PLAIN && is_map_text_too_long(subscribers, view)) {
        send_no_map(session);
        return;
    }
    if (!*text || subscribers->texts_generation[which] != map_view_generation(view)) {
        frame_unref(text);
        *text = encode_get_reply(view, (enum tracker_dialect)session->dialect);
        subscribers->texts_generation[which] = map_view_generation(view);
        conn_charge(session->conn, (uint32_t)(map_view_count(view) / ENTRIES_PER_UNIT));
    }
    conn_charge(session->conn, (*text)->len / 1024);
    conn_send_frame(session->conn, *text);
}

static void on_get_read(void *arg, bool known, bool stale)
{
    struct tracker_session *session = arg;
    struct tracker_subscribers *subscribers = session->port->subscribers;
    struct map_view *view;
    session->pending->read = NULL;
    view = known ? tracker_subscribers_watch(subscribers) : NULL;
    if (view) {
        send_map_text(session, view);
    } else {
        send_no_map(session);
    }
    subscribers->reads--;
    tracker_subscribers_release(subscribers);
    reply_sent(session);
}

void get_start(struct tracker_session *session)
{
    const struct tracker_settings *settings = session->port->settings;
    struct tracker_subscribers *subscribers = session->port->subscribers;
    struct map_view *view = tracker_subscribers_watch(subscribers);
    if (!view) {
        send_no_map(session);
        reply_sent(session);
        return;
    }
    subscribers->reads++;
    session->pending->read = map_read(
        view, settings->consistent_get ? MAP_READ_EVERYWHERE : MAP_READ_HERE, on_get_read, session);
}

void get_cancel(struct tracker_session *session)
{
    struct tracker_subscribers *subscribers = session->port->subscribers;
    if (!session->pending || !session->pending->read) {
        return;
    }
    map_read_cancel(&session->pending->read);
    subscribers->reads--;
    tracker_subscribers_release(subscribers);
}
