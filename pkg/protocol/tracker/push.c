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

struct tracker_subscribers *tracker_subscribers_of(struct tracker_service *service,
                                                   struct map_space *space)
{
    LIST_FOREACH (node, &service->subscriber_lists) {
        struct tracker_subscribers *subscribers =
            list_entry(node, struct tracker_subscribers, link);
        if (subscribers->space == space)
            return subscribers;
    }
    struct tracker_subscribers *subscribers = mem_zalloc(1, sizeof *subscribers);
    subscribers->service = service;
    subscribers->space = space;
    subscribers->watcher.changed = on_push_view_changed;
    subscribers->watcher.live = on_push_view_live;
    list_init(&subscribers->watcher.link);
    list_init(&subscribers->due);
    list_init(&subscribers->following);
    list_init(&subscribers->current);
    subscribers->serve = (struct loop_task){.callback = serve_due, .arg = subscribers};
    subscribers->later = loop_timer_create(service->common.loop, serve_later, subscribers);
    subscribers->flow = loop_timer_create(service->common.loop, serve_flow, subscribers);
    list_append(&service->subscriber_lists, &subscribers->link);
    return subscribers;
}

void tracker_subscribers_free(struct tracker_subscribers *subscribers)
{
    map_unwatch(&subscribers->watcher);
    loop_cancel(subscribers->service->common.loop, &subscribers->serve);
    loop_timer_destroy(&subscribers->later);
    loop_timer_destroy(&subscribers->flow);
    get_forget_texts(subscribers);
    frame_unref(&subscribers->all);
    turn_free(&subscribers->turn);
    writer_free(&subscribers->scratch);
    writer_free(&subscribers->shown);
    list_remove(&subscribers->link);
    free(subscribers);
}

static void refuse_pushes(struct tracker_subscribers *subscribers, const char *why)
{
    subscribers->refused = true;
    log_limited(LOG_WARN, &subscribers->refused_limit, "snapshot_refused",
                LOG_STRING("space", map_space_name(subscribers->space)), LOG_STRING("reason", why));
}

struct map_view *tracker_subscribers_watch(struct tracker_subscribers *subscribers)
{
    const char *why = NULL;
    if (subscribers->watcher.view == NULL &&
        !map_watch(subscribers->space, &subscribers->watcher, &why)) {
        refuse_pushes(subscribers, why);
        return NULL;
    }
    if (map_view_is_over(subscribers->watcher.view)) {
        refuse_pushes(subscribers, "the space has more entries than view.max_entries");
        subscribers_release(subscribers);
        return NULL;
    }
    subscribers->refused = false;
    return subscribers->watcher.view;
}

void subscribers_release(struct tracker_subscribers *subscribers)
{
    if (subscribers->watcher.view == NULL || subscribers->reads > 0 ||
        !list_is_empty(&subscribers->due) || !list_is_empty(&subscribers->following) ||
        !list_is_empty(&subscribers->current))
        return;
    map_unwatch(&subscribers->watcher);
    loop_timer_stop(subscribers->later);
    get_forget_texts(subscribers);
    frame_unref(&subscribers->all);
    writer_free(&subscribers->scratch);
    writer_free(&subscribers->shown);
}

/* The one place that changes a session's push state. Leaving PUSH_FOLLOWING gives up its place. */
static void move_push_state(struct tracker_session *session, enum push_state state)
{
    struct tracker_subscribers *subscribers = session->port->subscribers;
    struct list *const lists[] = {NULL, &subscribers->due, &subscribers->following,
                                  &subscribers->current};
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

static void ask_to_serve(struct tracker_subscribers *subscribers)
{
    /* After what the views tell, so that nobody is told the same twice. */
    loop_defer(subscribers->service->common.loop, LOOP_PHASE_STORE, &subscribers->serve);
}

/* A version that differs from the last one that the reader was told. */
static uint8_t next_version(struct tracker_subscribers *subscribers,
                            const struct tracker_session *session)
{
    do {
        subscribers->maps++;
    } while (session->has_map_version && session->map_version == (uint8_t)subscribers->maps);
    return (uint8_t)subscribers->maps;
}

/* The whole map in one frame, encoded again when it has changed or the reader had this version. */
static struct frame *shared_map(struct tracker_subscribers *subscribers,
                                const struct tracker_session *session)
{
    struct map_view *view = subscribers->watcher.view;
    bool is_good = subscribers->all != NULL &&
                   subscribers->all_generation == map_view_generation(view) &&
                   !(session->has_map_version && session->map_version == subscribers->all_version);
    if (!is_good) {
        subscribers->all_version = next_version(subscribers, session);
        subscribers->all_generation = map_view_generation(view);
        writer_reset(&subscribers->scratch);
        encode_all(&subscribers->scratch, &subscribers->shown, view, subscribers->all_version);
        frame_unref(&subscribers->all);
        subscribers->all = frame_create(writer_bytes_written(&subscribers->scratch));
    }
    return subscribers->all;
}

static void schedule_push_flow(struct tracker_session *session)
{
    struct tracker_subscribers *subscribers = session->port->subscribers;
    if (!loop_timer_is_running(subscribers->flow))
        loop_timer_start(subscribers->flow, 0);
}

/* One chunk for who follows and keeps up. */
static void send_next_push_chunk(struct tracker_session *session)
{
    struct tracker_subscribers *subscribers = session->port->subscribers;
    struct writer *scratch = &subscribers->scratch;
    bool ended;
    if (session->tail->cursor.lost) {
        move_push_state(session, PUSH_DUE);
        ask_to_serve(subscribers);
        return;
    }
    writer_reset(scratch);
    ended = encode_tail(scratch, &subscribers->shown, session->tail, session->map,
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
    if (session->told_closes != subscribers->closes)
        ask_to_serve(subscribers);
}

/* Roughly what the view's entries take in Update alls; of those of other protocols the ids alone
 * count, and what is longer than a packet is left out. */
static bool is_small(const struct map_view *view)
{
    return map_view_size(view) + 4 * map_view_count(view) <= SHARED_MAX;
}

static void send_whole_map(struct tracker_session *session)
{
    struct tracker_subscribers *subscribers = session->port->subscribers;
    struct map_view *view = subscribers->watcher.view;
    metrics_add(METRIC_TRACKER_PUSH_ALL, 1);
    session->told_closes = subscribers->closes;
    session->told_all_ms = (uint32_t)tracker_now_ms(session);
    if (is_small(view)) {
        conn_send_frame(session->conn, shared_map(subscribers, session));
        session->map_version = subscribers->all_version;
        session->has_map_version = true;
        move_push_state(session, PUSH_CURRENT);
        return;
    }
    session->map_version = next_version(subscribers, session);
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
        if (session->told_closes == session->port->subscribers->closes || busy ||
            conn_has_backlog(session->conn))
            continue;
        if (wait == 0)
            send_whole_map(session);
        else if (wait < next)
            next = wait;
    }
    return next;
}

static bool is_push_view_readable(struct tracker_subscribers *subscribers)
{
    return tracker_subscribers_watch(subscribers) != NULL &&
           map_view_is_live(subscribers->watcher.view);
}

static void serve_due(void *arg)
{
    struct tracker_subscribers *subscribers = arg;
    uint64_t next = UINT64_MAX;
    if (!is_push_view_readable(subscribers))
        return;
    LIST_FOREACH (node, &subscribers->due) {
        struct tracker_session *session = list_entry(node, struct tracker_session, subscribed);
        if (session->reach == NULL && !conn_has_backlog(session->conn))
            send_whole_map(session);
    }
    if (loop_timer_is_running(subscribers->later))
        return;
    next = tell_closes(&subscribers->current, next);
    next = tell_closes(&subscribers->following, next);
    /* The interval may be another when it is over: a reload changes it. */
    if (next != UINT64_MAX)
        loop_timer_start(subscribers->later, next < LATER_MAX_MS ? next : LATER_MAX_MS);
}

static void serve_later(void *arg)
{
    ask_to_serve(arg);
}

static void serve_flow(void *arg)
{
    struct tracker_subscribers *subscribers = arg;
    if (!is_push_view_readable(subscribers))
        return;
    LIST_FOREACH (node, &subscribers->following) {
        struct tracker_session *session = list_entry(node, struct tracker_session, subscribed);
        if (!conn_has_backlog(session->conn))
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
    struct tracker_subscribers *subscribers = session->port->subscribers;
    const struct tracker_iteration *turn = &subscribers->turn;
    struct slice_target target = {session->conn, turn->frame};
    if (!conn_has_backlog(session->conn)) {
        metrics_add(METRIC_TRACKER_PUSH_ONE,
                    (int64_t)turn_ranges(turn, session->map, send_slice, &target));
        return;
    }
    metrics_add(METRIC_CONFLATIONS, 1);
    move_push_state(session, PUSH_FOLLOWING);
    session->tail->began = true;
    map_cursor_begin(&session->tail->cursor, subscribers->watcher.view, MAP_CURSOR_ITERATION);
}

/* Nobody is told anything while the space is too large; then everybody the whole. */
static void suspend_pushes(struct tracker_subscribers *subscribers)
{
    struct list *lists[] = {&subscribers->following, &subscribers->current};
    for (size_t i = 0; i < 2; i++) {
        LIST_FOREACH (node, lists[i])
            move_push_state(list_entry(node, struct tracker_session, subscribed), PUSH_DUE);
    }
}

static void on_push_view_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
    struct tracker_subscribers *subscribers =
        list_entry(watcher, struct tracker_subscribers, watcher);
    bool was_refused = subscribers->refused;
    if (tracker_subscribers_watch(subscribers) == NULL) {
        suspend_pushes(subscribers);
        return;
    }
    if (changes->changed_count > 0 && !list_is_empty(&subscribers->current)) {
        turn_encode(&subscribers->turn, &subscribers->scratch, &subscribers->shown,
                    changes->changed, changes->changed_count);
        LIST_FOREACH (node, &subscribers->current) {
            if (subscribers->turn.frame != NULL)
                send_iteration_changes(list_entry(node, struct tracker_session, subscribed));
        }
        frame_unref(&subscribers->turn.frame);
    }
    subscribers->closes += changes->closed_count > 0;
    if (was_refused || (changes->closed_count > 0 && !loop_timer_is_running(subscribers->later)))
        ask_to_serve(subscribers);
}

static void on_push_view_live(struct map_watcher *watcher)
{
    ask_to_serve(list_entry(watcher, struct tracker_subscribers, watcher));
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
    ask_to_serve(session->port->subscribers);
}

void push_begin(struct tracker_session *session, bool whole)
{
    struct tracker_subscribers *subscribers = session->port->subscribers;
    struct map_view *view;
    if (!is_pushed_to(session) || session->ended || (session->push != PUSH_OFF && !whole))
        return;
    view = tracker_subscribers_watch(subscribers);
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
    subscribers_release(session->port->subscribers);
}

void push_drained(struct tracker_session *session)
{
    struct tracker_subscribers *subscribers = session->port->subscribers;
    if (session->push == PUSH_FOLLOWING && is_push_view_readable(subscribers))
        send_next_push_chunk(session);
    else if (session->push != PUSH_OFF)
        ask_to_serve(subscribers);
}
