/*
 * tracker_push: who is told what, and when.
 *
 * A reader is first due a whole map, in which its own writes are to be; then it is current, and
 * gets what each turn brings. One that does not keep up gets no queue: it follows with a place in
 * the view's list of changes, and goes on from there when its output is empty. A whole map that is
 * large is told in the same way, from the list's beginning, a chunk a turn. Closes cannot be told
 * one by one: each makes the whole map due again, not more often than tracker.push_all_interval for
 * one reader.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/tracker/tracker_private.h"

#define LATER_MAX_MS 1000
#define SHARED_MAX   65536 /* a map of at most so many bytes is encoded once for all its readers */

static void serve_due(void *arg);
static void serve_later(void *arg);
static void serve_flow(void *arg);
static void on_push_view_changed(struct map_watcher *watcher, const struct map_changes *changes);
static void on_push_view_live(struct map_watcher *watcher);

struct tracker_audience *tracker_audience_of(struct tracker_service *service,
                                             struct map_space *space)
{
    LIST_FOREACH (node, &service->audiences) {
        struct tracker_audience *audience = list_entry(node, struct tracker_audience, link);
        if (audience->space == space)
            return audience;
    }
    struct tracker_audience *audience = mem_zalloc(1, sizeof *audience);
    audience->service = service;
    audience->space = space;
    audience->watcher.changed = on_push_view_changed;
    audience->watcher.live = on_push_view_live;
    list_init(&audience->watcher.link);
    list_init(&audience->due);
    list_init(&audience->following);
    list_init(&audience->current);
    audience->serve = (struct loop_task){.callback = serve_due, .arg = audience};
    audience->later = loop_timer_create(service->common.loop, serve_later, audience);
    audience->flow = loop_timer_create(service->common.loop, serve_flow, audience);
    list_append(&service->audiences, &audience->link);
    return audience;
}

void tracker_audience_free(struct tracker_audience *audience)
{
    map_unwatch(&audience->watcher);
    loop_cancel(audience->service->common.loop, &audience->serve);
    loop_timer_destroy(&audience->later);
    loop_timer_destroy(&audience->flow);
    get_forget_texts(audience);
    frame_unref(&audience->all);
    turn_free(&audience->turn);
    writer_free(&audience->scratch);
    writer_free(&audience->shown);
    list_remove(&audience->link);
    free(audience);
}

static void refuse_pushes(struct tracker_audience *audience, const char *why)
{
    audience->refused = true;
    log_limited(LOG_WARN, &audience->refused_limit, "snapshot_refused",
                LOG_STRING("space", map_space_name(audience->space)), LOG_STRING("reason", why));
}

struct map_view *tracker_audience_watch(struct tracker_audience *audience)
{
    const char *why = NULL;
    if (audience->watcher.view == NULL && !map_watch(audience->space, &audience->watcher, &why)) {
        refuse_pushes(audience, why);
        return NULL;
    }
    if (map_view_is_over(audience->watcher.view)) {
        refuse_pushes(audience, "the space has more entries than view.max_entries");
        audience_release(audience);
        return NULL;
    }
    audience->refused = false;
    return audience->watcher.view;
}

void audience_release(struct tracker_audience *audience)
{
    if (audience->watcher.view == NULL || audience->reads > 0 || !list_is_empty(&audience->due) ||
        !list_is_empty(&audience->following) || !list_is_empty(&audience->current))
        return;
    map_unwatch(&audience->watcher);
    loop_timer_stop(audience->later);
    get_forget_texts(audience);
    frame_unref(&audience->all);
    writer_free(&audience->scratch);
    writer_free(&audience->shown);
}

/* The one place that changes a session's push state. Leaving PUSH_FOLLOWING gives up its place. */
static void move_push_state(struct tracker_session *session, enum push_state state)
{
    struct tracker_audience *audience = session->port->audience;
    struct list *const lists[] = {NULL, &audience->due, &audience->following, &audience->current};
    if (session->push == PUSH_FOLLOWING && state != PUSH_FOLLOWING) {
        map_cursor_end(&session->tail->cursor);
        free(session->tail);
        session->tail = NULL;
    }
    map_read_cancel(&session->reach);
    if (session->tail == NULL && state == PUSH_FOLLOWING)
        session->tail = mem_zalloc(1, sizeof *session->tail);
    session->push = (uint8_t)state;
    list_remove(&session->subscribed);
    if (state != PUSH_OFF)
        list_append(lists[state], &session->subscribed);
}

static void ask_to_serve(struct tracker_audience *audience)
{
    /* After what the views tell, so that nobody is told the same twice. */
    loop_defer(audience->service->common.loop, LOOP_PHASE_STORE, &audience->serve);
}

/* A version that differs from the last one that the reader was told. */
static uint8_t next_version(struct tracker_audience *audience,
                            const struct tracker_session *session)
{
    do {
        audience->maps++;
    } while (session->has_map_version && session->map_version == (uint8_t)audience->maps);
    return (uint8_t)audience->maps;
}

/* The whole map in one frame, encoded again when it has changed or the reader had this version. */
static struct frame *shared_map(struct tracker_audience *audience,
                                const struct tracker_session *session)
{
    struct map_view *view = audience->watcher.view;
    bool is_good = audience->all != NULL && audience->all_generation == map_view_generation(view) &&
                   !(session->has_map_version && session->map_version == audience->all_version);
    if (!is_good) {
        audience->all_version = next_version(audience, session);
        audience->all_generation = map_view_generation(view);
        writer_reset(&audience->scratch);
        encode_all(&audience->scratch, &audience->shown, view, audience->all_version);
        frame_unref(&audience->all);
        audience->all = frame_create(writer_bytes_written(&audience->scratch));
    }
    return audience->all;
}

static void schedule_push_flow(struct tracker_session *session)
{
    struct tracker_audience *audience = session->port->audience;
    if (!loop_timer_is_running(audience->flow))
        loop_timer_start(audience->flow, 0);
}

/* One chunk for who follows and keeps up. */
static void send_next_push_chunk(struct tracker_session *session)
{
    struct tracker_audience *audience = session->port->audience;
    struct writer *scratch = &audience->scratch;
    bool ended;
    if (session->tail->cursor.lost) {
        move_push_state(session, PUSH_DUE);
        ask_to_serve(audience);
        return;
    }
    writer_reset(scratch);
    ended = encode_tail(scratch, &audience->shown, session->tail, session->map,
                        session->map_version, (size_t)session->port->settings->chunk);
    if (scratch->len > 0) {
        struct frame *frame = frame_create(writer_bytes_written(scratch));
        conn_send_frame(session->conn, frame);
        frame_unref(&frame);
    }
    if (!ended) {
        schedule_push_flow(session);
        return;
    }
    move_push_state(session, PUSH_CURRENT);
    /* Closes may have come meanwhile. */
    if (session->told_closes != audience->closes)
        ask_to_serve(audience);
}

/* Roughly what the view's entries take in Update alls; of those of other protocols the ids alone
 * count, and what is longer than a packet is left out. */
static bool is_small(const struct map_view *view)
{
    return map_view_size(view) + 4 * map_view_count(view) <= SHARED_MAX;
}

static void send_whole_map(struct tracker_session *session)
{
    struct tracker_audience *audience = session->port->audience;
    struct map_view *view = audience->watcher.view;
    metrics_add(METRIC_TRACKER_PUSH_ALL, 1);
    session->told_closes = audience->closes;
    session->told_all_ms = (uint32_t)tracker_now_ms(session);
    if (is_small(view)) {
        conn_send_frame(session->conn, shared_map(audience, session));
        session->map_version = audience->all_version;
        session->has_map_version = true;
        move_push_state(session, PUSH_CURRENT);
        return;
    }
    session->map_version = next_version(audience, session);
    session->has_map_version = true;
    move_push_state(session, PUSH_FOLLOWING);
    session->tail->began = false;
    session->tail->left = map_view_count(view);
    map_cursor_begin(&session->tail->cursor, view, MAP_CURSOR_OLDEST);
    send_next_push_chunk(session);
}

/* How long a reader that was told the whole map has to wait until it is told again, ms. */
static uint64_t wait_of(const struct tracker_session *session)
{
    uint32_t since = (uint32_t)tracker_now_ms(session) - session->told_all_ms;
    uint64_t interval = (uint64_t)session->port->settings->push_all_interval;
    return since >= interval ? 0 : interval - since;
}

/* The whole map again for those of the list that closes made it due for; the shortest wait of
 * those that must wait. */
static uint64_t tell_closes(struct list *list, uint64_t next)
{
    LIST_FOREACH (node, list) {
        struct tracker_session *session = list_entry(node, struct tracker_session, subscribed);
        uint64_t wait = wait_of(session);
        /* In the middle of a whole map it goes on with that one first, or it might never end. */
        bool busy = session->push == PUSH_FOLLOWING && session->tail->left > 0;
        if (session->told_closes == session->port->audience->closes || busy ||
            conn_is_behind(session->conn))
            continue;
        if (wait == 0)
            send_whole_map(session);
        else if (wait < next)
            next = wait;
    }
    return next;
}

static bool is_push_view_readable(struct tracker_audience *audience)
{
    return tracker_audience_watch(audience) != NULL && map_view_is_live(audience->watcher.view);
}

static void serve_due(void *arg)
{
    struct tracker_audience *audience = arg;
    uint64_t next = UINT64_MAX;
    if (!is_push_view_readable(audience))
        return;
    LIST_FOREACH (node, &audience->due) {
        struct tracker_session *session = list_entry(node, struct tracker_session, subscribed);
        if (session->reach == NULL && !conn_is_behind(session->conn))
            send_whole_map(session);
    }
    if (loop_timer_is_running(audience->later))
        return;
    next = tell_closes(&audience->current, next);
    next = tell_closes(&audience->following, next);
    /* The interval may be another when it is over: a reload changes it. */
    if (next != UINT64_MAX)
        loop_timer_start(audience->later, next < LATER_MAX_MS ? next : LATER_MAX_MS);
}

static void serve_later(void *arg)
{
    ask_to_serve(arg);
}

static void serve_flow(void *arg)
{
    struct tracker_audience *audience = arg;
    if (!is_push_view_readable(audience))
        return;
    LIST_FOREACH (node, &audience->following) {
        struct tracker_session *session = list_entry(node, struct tracker_session, subscribed);
        if (!conn_is_behind(session->conn))
            send_next_push_chunk(session);
    }
}

struct slice_target {
    struct conn *conn;
    struct frame *frame;
};

static void send_slice(void *arg, size_t offset, size_t len)
{
    const struct slice_target *target = arg;
    conn_send_slice(target->conn, target->frame, offset, len);
}

static void send_iteration_changes(struct tracker_session *session)
{
    struct tracker_audience *audience = session->port->audience;
    const struct tracker_iteration *turn = &audience->turn;
    struct slice_target target = {session->conn, turn->frame};
    if (!conn_is_behind(session->conn)) {
        metrics_add(METRIC_TRACKER_PUSH_ONE,
                    (int64_t)turn_ranges(turn, session->map, send_slice, &target));
        return;
    }
    metrics_add(METRIC_CONFLATIONS, 1);
    move_push_state(session, PUSH_FOLLOWING);
    session->tail->began = true;
    map_cursor_begin(&session->tail->cursor, audience->watcher.view, MAP_CURSOR_TURN);
}

/* Nobody is told anything while the space is too large; then everybody the whole. */
static void suspend_pushes(struct tracker_audience *audience)
{
    struct list *lists[] = {&audience->following, &audience->current};
    for (size_t i = 0; i < 2; i++) {
        LIST_FOREACH (node, lists[i])
            move_push_state(list_entry(node, struct tracker_session, subscribed), PUSH_DUE);
    }
}

static void on_push_view_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
    struct tracker_audience *audience = list_entry(watcher, struct tracker_audience, watcher);
    bool was_refused = audience->refused;
    if (tracker_audience_watch(audience) == NULL) {
        suspend_pushes(audience);
        return;
    }
    if (changes->changed_count > 0 && !list_is_empty(&audience->current)) {
        turn_encode(&audience->turn, &audience->scratch, &audience->shown, changes->changed,
                    changes->changed_count);
        LIST_FOREACH (node, &audience->current) {
            if (audience->turn.frame != NULL)
                send_iteration_changes(list_entry(node, struct tracker_session, subscribed));
        }
        frame_unref(&audience->turn.frame);
    }
    audience->closes += changes->closed_count > 0;
    if (was_refused || (changes->closed_count > 0 && !loop_timer_is_running(audience->later)))
        ask_to_serve(audience);
}

static void on_push_view_live(struct map_watcher *watcher)
{
    ask_to_serve(list_entry(watcher, struct tracker_audience, watcher));
}

static bool is_pushed_to(const struct tracker_session *session)
{
    return session->dialect == TRACKER_VERSIONED &&
           session->port->settings->push != TRACKER_PUSH_OFF;
}

static void on_push_reached(void *arg, bool known, bool stale)
{
    struct tracker_session *session = arg;
    (void)known;
    (void)stale;
    session->reach = NULL;
    ask_to_serve(session->port->audience);
}

void push_begin(struct tracker_session *session, bool whole)
{
    struct tracker_audience *audience = session->port->audience;
    struct map_view *view;
    if (!is_pushed_to(session) || session->ended || (session->push != PUSH_OFF && !whole))
        return;
    view = tracker_audience_watch(audience);
    if (view == NULL)
        return;
    move_push_state(session, PUSH_DUE);
    session->reach = map_read(view, MAP_READ_HERE, on_push_reached, session);
}

void push_end(struct tracker_session *session)
{
    if (session->push == PUSH_OFF)
        return;
    move_push_state(session, PUSH_OFF);
    audience_release(session->port->audience);
}

void push_drained(struct tracker_session *session)
{
    struct tracker_audience *audience = session->port->audience;
    if (session->push == PUSH_FOLLOWING && is_push_view_readable(audience))
        send_next_push_chunk(session);
    else if (session->push != PUSH_OFF)
        ask_to_serve(audience);
}
