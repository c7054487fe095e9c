/*
 * tracker_reply: the answers to requests, in the order of the requests.
 *
 * The map answers a session's writes in order, a Get blocks later requests, and an answer that is
 * known beforehand is sent as soon as it is the first. So the next result is always that of the
 * first outstanding request, and one byte for each is all that has to be kept.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/tracker/tracker_private.h"

#define CAPACITY 4 /* at first */

static struct pending *create_pending_replies(struct tracker_session *session)
{
    struct pending *pending = mem_alloc(sizeof *pending + CAPACITY);
    *pending = (struct pending){.session = session, .capacity = CAPACITY};
    list_init(&pending->throttled);
    return pending;
}

struct pending *pending_of(struct tracker_session *session)
{
    if (!session->pending) {
        session->pending = create_pending_replies(session);
    }
    return session->pending;
}

void pending_release(struct tracker_session *session)
{
    struct pending *pending = session->pending;
    if (!pending || pending->count > 0 || !list_is_empty(&pending->throttled)) {
        return;
    }
    free(pending);
    session->pending = NULL;
}

size_t reply_count(const struct tracker_session *session)
{
    return session->pending ? session->pending->count : 0;
}

/* Doubles the room, the first at the front. A throttled session makes no requests, so that it is in
 * no list now. */
static void grow_pending_replies(struct tracker_session *session)
{
    struct pending *old = session->pending;
    struct pending *new = mem_alloc(sizeof *new + (size_t)old->capacity * 2);
    *new = *old;
    list_init(&new->throttled);
    new->first = 0;
    new->capacity = (uint16_t)(old->capacity * 2);
    for (size_t i = 0; i < old->count; i++) {
        new->kinds[i] = old->kinds[(old->first + i) % old->capacity];
    }
    free(old);
    session->pending = new;
}

static void send_reply_byte(struct tracker_session *session, bool accepted)
{
    const uint8_t byte = accepted;
    conn_send(session->conn, (struct bytes){&byte, 1});
}

/* Whether the answer is known beforehand. */
static bool is_reply_fixed(enum reply_kind kind)
{
    return kind == REPLY_YES || kind == REPLY_NO;
}

/* Removes the first, and sends those after it that are known beforehand. */
static void advance_replies(struct tracker_session *session)
{
    struct pending *pending = session->pending;
    do {
        pending->first = (uint16_t)((pending->first + 1) % pending->capacity);
        pending->count--;
        if (pending->count == 0 ||
            !is_reply_fixed((enum reply_kind)pending->kinds[pending->first])) {
            break;
        }
        send_reply_byte(session, pending->kinds[pending->first] == REPLY_YES);
    } while (true);
    if (pending->count <= (uint64_t)session->port->settings->pipeline / 2) {
        tracker_resume_reading(session, STOP_FULL);
    }
    if (pending->count > 0 && pending->kinds[pending->first] == REPLY_GET) {
        get_start(session);
    } else {
        pending_release(session);
    }
    tracker_check_end(session);
}

void reply_expect(struct tracker_session *session, enum reply_kind kind)
{
    struct pending *pending = pending_of(session);
    if (pending->count == pending->capacity) {
        grow_pending_replies(session);
        pending = session->pending;
    }
    if (is_reply_fixed(kind) && pending->count == 0) {
        send_reply_byte(session, kind == REPLY_YES);
        pending_release(session);
        return;
    }
    assert(pending->count < pending->capacity);
    pending->kinds[(pending->first + pending->count) % pending->capacity] = (uint8_t)kind;
    pending->count++;
    if (pending->count >= session->port->settings->pipeline) {
        tracker_stop_reading(session, STOP_FULL);
    }
    if (kind == REPLY_GET && pending->count == 1) {
        get_start(session);
    }
}

static void send_opened_id(struct tracker_session *session, bool silent)
{
    struct bytes id = map_session_opened_id(session->map);
    struct writer reply = {0};
    if (!tracker_has_ids(session)) {
        tracker_set_id(session, id);
    }
    if (silent) {
        return;
    }
    tracker_write_id(&reply, (enum tracker_dialect)session->dialect, id);
    conn_send(session->conn, writer_bytes_written(&reply));
    writer_free(&reply);
}

/* 2013 has no bytes for a refusal: any seven would be an id. */
static void refuse_open(struct tracker_session *session, enum map_result result, bool silent)
{
    log_limited(LOG_WARN, &session->port->service->refused_limit, "open_refused",
                LOG_STRING("peer", conn_peer_text(session->conn)),
                LOG_STRING("reason", map_result_name(result)));
    if (session->dialect == TRACKER_2013) {
        tracker_end_session(session, CONN_CLOSE_LOCAL);
    } else if (!silent) {
        send_reply_byte(session, false);
    }
}

static bool is_reply_accepted(const struct tracker_session *session, enum reply_kind kind,
                              enum map_result result)
{
    if (kind == REPLY_CLOSE && result == MAP_MISSING) {
        return true;
    }
    /* The program of 2013 answers so, and ignores the update. */
    if (kind == REPLY_UPDATE && session->dialect == TRACKER_2013 && result == MAP_STALE) {
        return true;
    }
    return result == MAP_OK;
}

void reply_judged(void *arg, enum map_result result, uint64_t version)
{
    struct tracker_session *session = arg;
    struct pending *pending = session->pending;
    enum reply_kind kind = (enum reply_kind)pending->kinds[pending->first];
    switch (kind) {
    case REPLY_OPEN:
    case REPLY_OPEN_SILENT:
        if (result == MAP_OK) {
            send_opened_id(session, kind == REPLY_OPEN_SILENT);
        } else {
            refuse_open(session, result, kind == REPLY_OPEN_SILENT);
        }
        tracker_resume_reading(session, STOP_BARRIER);
        break;
    case REPLY_OPEN_AGAIN:
    case REPLY_UPDATE:
    case REPLY_CLOSE:
        send_reply_byte(session, is_reply_accepted(session, kind, result));
        break;
    case REPLY_SILENT:
    case REPLY_YES:
    case REPLY_NO:
    case REPLY_GET:
        break;
    }
    if (result == MAP_OK && kind != REPLY_CLOSE) {
        push_begin(session, kind == REPLY_OPEN);
    }
    advance_replies(session);
}

void reply_sent(struct tracker_session *session)
{
    tracker_resume_reading(session, STOP_BARRIER);
    advance_replies(session);
}
