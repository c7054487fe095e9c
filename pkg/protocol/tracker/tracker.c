/* tracker: a session's life, and the operation of the map for each message. */
#include "protocol/tracker/tracker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/turntable.h"
#include "metrics/metrics.h"
#include "protocol/tracker/tracker_private.h"

#define HEADERS_MAX 64 /* what a message has besides an id and a state */

_Static_assert(sizeof(struct tracker_session) <= 120, "an idle session is small");

static void drain_tracker_session(struct list *link, enum conn_close_reason why)
{
    tracker_end_session(list_entry(link, struct tracker_session, link), why);
}

static const struct protocol_callbacks callbacks = {.drain = drain_tracker_session};

struct tracker_service *tracker_service_create(struct map *map)
{
    struct tracker_service *service = mem_zalloc(1, sizeof *service);
    protocol_service_init(&service->common, map, map_loop(map), &callbacks);
    list_init(&service->subscriber_lists);
    rate_init(service);
    return service;
}

void tracker_service_destroy(struct tracker_service **pointer)
{
    struct tracker_service *service = *pointer;
    *pointer = NULL;
    if (!service) {
        return;
    }
    protocol_service_free(&service->common);
    LIST_FOREACH (node, &service->subscriber_lists) {
        tracker_subscribers_free(list_entry(node, struct tracker_subscribers, link));
    }
    rate_free(service);
    free(service);
}

size_t tracker_service_count(const struct tracker_service *service)
{
    return service->common.count;
}

size_t tracker_service_drain(struct tracker_service *service, size_t count,
                             enum conn_close_reason why)
{
    return protocol_service_drain(&service->common, count, why);
}

struct tracker_port *tracker_port_create(struct tracker_service *service, struct map_space *space,
                                         const struct tracker_settings *settings)
{
    struct tracker_port *port = mem_zalloc(1, sizeof *port);
    *port = (struct tracker_port){
        .service = service,
        .subscribers = tracker_subscribers_of(service, space),
        .space = space,
        .settings = settings,
    };
    service->common.ports++;
    return port;
}

void tracker_port_destroy(struct tracker_port **port)
{
    if (!*port) {
        return;
    }
    (*port)->service->common.ports--;
    free(*port);
    *port = NULL;
}

void tracker_set_id(struct tracker_session *session, struct bytes id)
{
    free(session->id);
    session->id = id.len > 0 ? mem_format("%.*s", (int)id.len, (const char *)id.data) : NULL;
}

bool tracker_has_ids(const struct tracker_session *session)
{
    return session->dialect == TRACKER_VERSIONED || session->dialect == TRACKER_2013;
}

uint64_t tracker_now_ms(const struct tracker_session *session)
{
    return loop_now_ms(session->port->service->common.loop);
}

void tracker_stop_reading(struct tracker_session *session, enum stop_reason reason)
{
    protocol_stop_reading(&session->stops, reason, session->conn);
}

void tracker_resume_reading(struct tracker_session *session, enum stop_reason reason)
{
    protocol_resume_reading(&session->stops, reason, session->conn);
}

/* The one place that changes a session's state, which only advances. Held writes are made before.
 */
static void move_tracker_session(struct tracker_session *session, enum tracker_state state)
{
    if (session->state >= state) {
        return;
    }
    rate_flush(session);
    session->state = (uint8_t)state;
    switch (state) {
    case TRACKER_SERVING:
        break;
    case TRACKER_ENDING:
        list_remove(&session->link);
        tracker_stop_reading(session, STOP_ENDING);
        break;
    case TRACKER_ENDED:
        protocol_service_leave(&session->port->service->common, &session->link);
        push_end(session);
        get_cancel(session);
        map_session_end(&session->map, true);
        break;
    }
}

void tracker_end_session(struct tracker_session *session, enum conn_close_reason why)
{
    if (session->state != TRACKER_SERVING) {
        return;
    }
    session->end = (uint8_t)why;
    move_tracker_session(session, TRACKER_ENDING);
    tracker_check_end(session);
}

void tracker_check_end(struct tracker_session *session)
{
    enum conn_close_reason why = (enum conn_close_reason)session->end;
    /* A Redis that does not answer is not waited for. */
    if (session->state != TRACKER_ENDING ||
        (reply_count(session) > 0 && why != CONN_CLOSE_CUT_OFF)) {
        return;
    }
    move_tracker_session(session, TRACKER_ENDED);
    /* Answers that the peer expects are sent before the connection is closed, and the reason where
     * the transport can carry it. */
    if (why == CONN_CLOSE_DRAIN || why == CONN_CLOSE_CUT_OFF ||
        conn_output_size(session->conn) > 0 || conn_is_framed(session->conn)) {
        conn_close_after_output(session->conn, why);
    } else {
        conn_close(session->conn, why);
    }
}

/* The map's side of a session. */

static uint64_t on_idle_ms(void *arg)
{
    struct tracker_session *session = arg;
    return conn_idle_ms(session->conn);
}

static void on_tracker_entry_end(void *arg, enum map_end why)
{
    struct tracker_session *session = arg;
    switch (why) {
    case MAP_END_SILENT:
        conn_close(session->conn, CONN_CLOSE_SILENT);
        break;
    case MAP_END_KICKED:
        conn_close(session->conn, CONN_CLOSE_KICKED);
        break;
    case MAP_END_DROPPED:
        log_limited(LOG_INFO, &session->port->service->dropped_limit, "entry_taken_over",
                    LOG_STRING("peer", conn_peer_text(session->conn)),
                    LOG_STRING("reason", "its client has reconnected"));
        conn_close(session->conn, CONN_CLOSE_TAKEN);
        break;
    case MAP_END_TAKEN:
        log_limited(LOG_INFO, &session->port->service->dropped_limit, "entry_taken_over",
                    LOG_STRING("peer", conn_peer_text(session->conn)),
                    LOG_STRING("reason", "another connection owns one of its ids"));
        conn_close_after_output(session->conn, CONN_CLOSE_TAKEN);
        break;
    }
}

static bool on_is_gone(void *arg)
{
    const struct tracker_session *session = arg;
    return conn_peer_is_gone(session->conn);
}

static const struct map_sink sink = {
    .idle_ms = on_idle_ms, .end = on_tracker_entry_end, .is_gone = on_is_gone};

static struct map_session *tracker_map_session(struct tracker_session *session)
{
    char certificate[CONN_CERTIFICATE_LENGTH + 1];
    if (session->map) {
        return session->map;
    }
    session->map = map_session_create(session->port->space, "tracker",
                                      conn_peer_text(session->conn), &sink, session);
    map_session_count_in(session->map, conn_limited_account(session->conn));
    if (session->port->settings->adopt == MAP_ADOPT_TLS &&
        conn_certificate(session->conn, certificate)) {
        map_session_set_certificate(session->map, certificate);
    }
    /* The program of 2013 reads exactly seven bytes. */
    if (session->port->settings->id_form == TRACKER_ID_UUID && session->dialect != TRACKER_2013) {
        map_session_make_uuids(session->map);
    }
    return session->map;
}

static enum map_adopt tracker_adoption(const struct tracker_session *session)
{
    return (enum map_adopt)session->port->settings->adopt;
}

/* Messages. */

/* Without ids, the next requests refer to the entry whose id is not known yet. */
static void open_tracker_entry(struct tracker_session *session, struct bytes state,
                               enum reply_kind kind)
{
    reply_expect(session, kind);
    if (!tracker_has_ids(session)) {
        tracker_stop_reading(session, STOP_BARRIER);
    }
    map_session_open(tracker_map_session(session), state, reply_judged, session);
}

void tracker_write_entry(struct tracker_session *session, struct bytes state, uint64_t skipped,
                         enum reply_kind kind)
{
    if (!session->id) {
        open_tracker_entry(session, state, REPLY_OPEN_SILENT);
        return;
    }
    struct map_update update = {
        .id = bytes_from_string(session->id),
        .state = state,
        .kind = MAP_VERSION_NEXT,
        .version = skipped,
        .adopt = tracker_adoption(session),
    };
    reply_expect(session, kind);
    map_session_update(tracker_map_session(session), &update, reply_judged, session);
}

static void handle_tracker_open(struct tracker_session *session,
                                const struct tracker_message *message)
{
    metrics_add(METRIC_TRACKER_OPEN, 1);
    if (session->id) {
        tracker_write_entry(session, message->state, 0, REPLY_OPEN_AGAIN);
    } else {
        open_tracker_entry(session, message->state, REPLY_OPEN);
    }
}

static void handle_tracker_close(struct tracker_session *session,
                                 const struct tracker_message *message)
{
    char *own = NULL;
    struct bytes id = message->id;
    metrics_add(METRIC_TRACKER_CLOSE, 1);
    if (!tracker_has_ids(session)) {
        own = session->id;
        session->id = NULL;
        id = own ? bytes_from_string(own) : BYTES_LITERAL("");
    }
    if (id.len > 0) {
        reply_expect(session, REPLY_CLOSE);
        map_session_close_entry(tracker_map_session(session), id, tracker_adoption(session),
                                reply_judged, session);
    } else {
        reply_expect(session, REPLY_YES);
    }
    free(own);
}

static void handle_tracker_update(struct tracker_session *session,
                                  const struct tracker_message *message)
{
    struct map_update update = {
        .id = message->id,
        .state = message->state,
        .kind = session->dialect == TRACKER_VERSIONED ? MAP_VERSION_LOW_BYTE : MAP_VERSION_ABSOLUTE,
        .version = message->version,
        .adopt = tracker_adoption(session),
    };
    metrics_add(METRIC_TRACKER_UPDATE, 1);
    if (tracker_has_ids(session)) {
        reply_expect(session, REPLY_UPDATE);
        map_session_update(tracker_map_session(session), &update, reply_judged, session);
    } else {
        tracker_write_entry(session, message->state, 0, REPLY_SILENT);
    }
}

static void handle_tracker_get(struct tracker_session *session)
{
    metrics_add(METRIC_TRACKER_GET, 1);
    if (session->dialect == TRACKER_2013) {
        reply_expect(session, REPLY_YES);
        return;
    }
    tracker_stop_reading(session, STOP_BARRIER);
    reply_expect(session, REPLY_GET);
}

/* A write to an id of the form of a user's, which the client may not write. */
static bool is_id_forbidden(const struct tracker_session *session,
                            const struct tracker_message *message)
{
    return session->no_user && tracker_has_ids(session) &&
           (message->type == TRACKER_UPDATE || message->type == TRACKER_CLOSE) &&
           turntable_is_user(message->id);
}

static void handle_tracker_message(struct tracker_session *session,
                                   const struct tracker_message *message)
{
    conn_handshake_done(session->conn);
    if (is_id_forbidden(session, message)) {
        metrics_add(METRIC_TOKENS_REFUSED_USER, 1);
        reply_expect(session, REPLY_NO);
        return;
    }
    switch (message->type) {
    case TRACKER_OPEN:
        handle_tracker_open(session, message);
        break;
    case TRACKER_CLOSE:
        handle_tracker_close(session, message);
        break;
    case TRACKER_UPDATE:
        handle_tracker_update(session, message);
        break;
    case TRACKER_ALL:
        handle_tracker_get(session);
        break;
    }
}

static void refuse_malformed(struct tracker_session *session, const struct tracker_result *result)
{
    static const struct {
        enum metric metric;
        const char *name;
    } kinds[] = {
        [TRACKER_ERROR_MAGIC] = {METRIC_MALFORMED_MAGIC, "magic"},
        [TRACKER_ERROR_VERSION] = {METRIC_MALFORMED_VERSION, "version"},
        [TRACKER_ERROR_TYPE] = {METRIC_MALFORMED_TYPE, "type"},
        [TRACKER_ERROR_LENGTH] = {METRIC_MALFORMED_LENGTH, "length"},
        [TRACKER_ERROR_LIMIT] = {METRIC_MALFORMED_LIMIT, "limit"},
    };
    metrics_add(kinds[result->error].metric, 1);
    log_limited(LOG_WARN, &session->port->service->malformed_limit, "malformed_message",
                LOG_STRING("peer", conn_peer_text(session->conn)),
                LOG_STRING("protocol", "tracker"), LOG_STRING("kind", kinds[result->error].name),
                LOG_STRING("reason", result->reason));
    tracker_end_session(session, CONN_CLOSE_PROTOCOL);
}

static struct tracker_options tracker_options_of(const struct tracker_settings *settings)
{
    return (struct tracker_options){
        .limits = {.max_state = (size_t)settings->max_state, .max_id = (size_t)settings->max_id},
        .original = settings->original == 0 ? TRACKER_2013 : TRACKER_2014,
        .wide = settings->form == TRACKER_FORM_SETTING_WIDE,
        .update_form = (enum tracker_update_form)settings->update_form,
    };
}

/* In units: a message, what it is long, and the operation in Redis that it causes. */
static uint32_t tracker_message_cost(const struct tracker_message *message, size_t len)
{
    return 1 + (uint32_t)(len / 1024) + (message->type != TRACKER_ALL);
}

/* Handles one message of the input. False when there is none that may be handled now. */
static bool handle_next_message(struct tracker_session *session, struct bytes *input)
{
    const struct tracker_settings *settings = session->port->settings;
    struct tracker_options options = tracker_options_of(settings);
    enum tracker_dialect dialect = (enum tracker_dialect)session->dialect;
    struct tracker_message message;
    struct tracker_result result = tracker_read(*input, &options, &dialect, &message);
    session->dialect = (uint8_t)dialect;
    if (result.outcome == TRACKER_FAILED) {
        refuse_malformed(session, &result);
        input->len = 0;
        return false;
    }
    enum rate_verdict verdict = RATE_GO;
    if (result.outcome == TRACKER_MESSAGE) {
        verdict = rate_judge(session, &message);
    }
    if (verdict == RATE_WAIT) {
        return false;
    }
    input->data += result.consumed;
    input->len -= result.consumed;
    if (result.outcome == TRACKER_MESSAGE) {
        conn_charge(session->conn, tracker_message_cost(&message, result.consumed));
        if (verdict == RATE_GO) {
            handle_tracker_message(session, &message);
        }
        return true;
    }
    if (result.consumed > 0) {
        rate_charge_acknowledgements(session, result.consumed);
    }
    session->is_lone_close = tracker_is_close_at_end(*input, dialect);
    conn_set_input_limit(session->conn,
                         (size_t)(settings->max_state + settings->max_id) + HEADERS_MAX);
    return false;
}

static size_t on_tracker_input(void *arg, struct bytes input)
{
    struct tracker_session *session = arg;
    struct bytes left = input;
    while (session->stops == 0 && left.len > 0 && !conn_is_waiting(session->conn) &&
           handle_next_message(session, &left)) {
        ;
    }
    return input.len - left.len;
}

static void on_drained(void *arg)
{
    push_drained(arg);
}

static void on_ended(void *arg)
{
    static const struct tracker_message lone_close = {.type = TRACKER_CLOSE};
    struct tracker_session *session = arg;
    if (session->dialect == TRACKER_UNKNOWN && session->is_lone_close) {
        session->dialect = TRACKER_PLAIN;
        handle_tracker_message(session, &lone_close);
    }
    tracker_end_session(session, CONN_CLOSE_PEER);
}

static void on_closed(void *arg, enum conn_close_reason reason)
{
    struct tracker_session *session = arg;
    move_tracker_session(session, TRACKER_ENDED);
    if (session->pending) {
        list_remove(&session->pending->throttled);
    }
    free(session->pending);
    free(session->id);
    free(session);
}

static const struct conn_handler handler = {
    .received = on_tracker_input, .drained = on_drained, .ended = on_ended, .closed = on_closed};

static struct tracker_session *serve_tracker_conn(struct tracker_port *port, struct conn *conn)
{
    struct tracker_session *session = mem_zalloc(1, sizeof *session);
    follower_init(&session->follower);
    session->port = port;
    session->conn = conn;
    protocol_service_join(&port->service->common, &session->link);
    conn_set_handler(conn, &handler, session);
    return session;
}

void tracker_serve(struct tracker_port *port, struct conn *conn)
{
    (void)serve_tracker_conn(port, conn);
}

void tracker_serve_no_user(struct tracker_port *port, struct conn *conn)
{
    serve_tracker_conn(port, conn)->no_user = true;
}
