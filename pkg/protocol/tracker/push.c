/*
 * tracker_push: which readers get which pushes, and when (view/follower.h).
 *
 * A reader is first owed a whole map, which includes its own writes; then it is current, and gets
 * what each iteration brings, but for its own packets. A whole map that is small is encoded once
 * for all; a large one is sent from the beginning of the view's list of changes, in chunks.
 * Pushes cannot say that an entry was closed: after closes the whole map is sent again, not more
 * often than tracker.push_all_interval to one reader.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/tracker/tracker_private.h"

#define LATER_MAX_MS       1000
#define LATER_MIN_MS       50
#define SHARED_MAX         65536 /* a map of at most so many bytes is encoded once for all its readers */
#define WHOLE_MAP_PER_UNIT 4096

static struct tracker_session *tracker_session_of(const struct follower *follower)
{
    return list_entry(follower, struct tracker_session, follower);
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
    if (!subscribers->watcher.view && !map_watch(subscribers->space, &subscribers->watcher, &why)) {
        refuse_pushes(subscribers, why);
        return NULL;
    }
    if (map_view_is_over(subscribers->watcher.view)) {
        refuse_pushes(subscribers, "the space has more entries than view.max_entries");
        tracker_subscribers_release(subscribers);
        return NULL;
    }
    subscribers->refused = false;
    return subscribers->watcher.view;
}

void tracker_subscribers_release(struct tracker_subscribers *subscribers)
{
    if (!subscribers->watcher.view || subscribers->reads > 0 ||
        !follower_list_is_empty(&subscribers->followers)) {
        return;
    }
    map_unwatch(&subscribers->watcher);
    loop_timer_stop(subscribers->later);
    get_forget_texts(subscribers);
    frame_unref(&subscribers->all);
    writer_free(&subscribers->scratch);
    writer_free(&subscribers->translated);
}

/* A version that differs from that of the last whole map that the reader got. */
static uint8_t next_version(struct tracker_subscribers *subscribers,
                            const struct tracker_session *session)
{
    do {
        subscribers->maps++;
    } while (session->has_map_version && session->map_version == (uint8_t)subscribers->maps);
    return (uint8_t)subscribers->maps;
}

/* The whole map, or a part of it, that the reader is sent. */
static void charge_whole_map(const struct tracker_session *session, size_t len)
{
    conn_charge(session->conn, (uint32_t)(len / WHOLE_MAP_PER_UNIT));
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
        encode_all(&subscribers->scratch, &subscribers->translated, view, subscribers->all_version);
        frame_unref(&subscribers->all);
        subscribers->all = frame_create(writer_bytes_written(&subscribers->scratch));
    }
    return subscribers->all;
}

/* Roughly what the view's entries take in Update alls; of those of other protocols the ids alone
 * count, and what is longer than a packet is left out. */
static bool is_small(const struct map_view *view)
{
    return map_view_size(view) + 4 * map_view_count(view) <= SHARED_MAX;
}

static void check_closes_soon(struct tracker_subscribers *subscribers)
{
    loop_defer(subscribers->service->common.loop, LOOP_PHASE_STORE, &subscribers->check_closes);
}

static bool has_push_backlog(const struct follower *follower)
{
    return conn_has_backlog(tracker_session_of(follower)->conn);
}

static bool is_push_view_readable(void *arg)
{
    struct tracker_subscribers *subscribers = arg;
    return tracker_subscribers_watch(subscribers) && map_view_is_live(subscribers->watcher.view);
}

static struct push_place *create_push_place(struct follower *follower, enum map_cursor_place where)
{
    struct push_place *place = mem_zalloc(1, sizeof *place);
    map_cursor_begin(&place->cursor, tracker_session_of(follower)->port->subscribers->watcher.view,
                     where);
    follower->place = place;
    return place;
}

static void take_push_place(struct follower *follower)
{
    create_push_place(follower, MAP_CURSOR_ITERATION)->began = true;
}

static void free_push_place(struct follower *follower)
{
    struct push_place *place = follower->place;
    map_cursor_end(&place->cursor);
    free(place);
}

static enum follower_state send_whole_map(struct follower *follower)
{
    struct tracker_session *session = tracker_session_of(follower);
    struct tracker_subscribers *subscribers = session->port->subscribers;
    struct map_view *view = subscribers->watcher.view;
    metrics_add(METRIC_TRACKER_PUSH_ALL, 1);
    session->closes_seen = subscribers->closes;
    session->whole_map_ms = (uint32_t)tracker_now_ms(session);
    if (is_small(view)) {
        struct frame *frame = shared_map(subscribers, session);
        conn_send_frame(session->conn, frame);
        charge_whole_map(session, frame->len);
        session->map_version = subscribers->all_version;
        session->has_map_version = true;
        return FOLLOWER_CURRENT;
    }
    session->map_version = next_version(subscribers, session);
    session->has_map_version = true;
    create_push_place(follower, MAP_CURSOR_OLDEST)->left = map_view_count(view);
    return FOLLOWER_CATCHING_UP;
}

/* How long a reader has to wait until it may get a whole map again, ms. */
static uint64_t whole_map_wait_ms(const struct tracker_session *session)
{
    uint32_t since = (uint32_t)tracker_now_ms(session) - session->whole_map_ms;
    uint64_t interval = (uint64_t)session->port->settings->push_all_interval;
    return since >= interval ? 0 : interval - since;
}

/* Checks all again, at the latest after LATER_MAX_MS: a reload may change the interval meanwhile.
 * Not at once for each that is due: many readers with as many times are checked together. */
static void check_closes_later(struct tracker_subscribers *subscribers, uint64_t wait_ms)
{
    if (wait_ms == UINT64_MAX || loop_timer_is_running(subscribers->later)) {
        return;
    }
    if (wait_ms > LATER_MAX_MS) {
        wait_ms = LATER_MAX_MS;
    }
    loop_timer_start(subscribers->later, wait_ms > LATER_MIN_MS ? wait_ms : LATER_MIN_MS);
}

static enum follower_state send_push_chunk(struct follower *follower)
{
    struct tracker_session *session = tracker_session_of(follower);
    struct tracker_subscribers *subscribers = session->port->subscribers;
    struct push_place *place = follower->place;
    struct writer *scratch = &subscribers->scratch;
    if (place->cursor.lost) {
        return FOLLOWER_BACKLOGGED;
    }
    writer_reset(scratch);
    bool is_end = encode_push_chunk(scratch, &subscribers->translated, place, session->map,
                                    session->map_version, (size_t)session->port->settings->chunk);
    if (scratch->len > 0) {
        struct frame *frame = frame_create(writer_bytes_written(scratch));
        conn_send_frame(session->conn, frame);
        frame_unref(&frame);
        charge_whole_map(session, scratch->len);
    }
    if (!is_end) {
        return FOLLOWER_CATCHING_UP;
    }
    if (session->closes_seen != subscribers->closes) {
        uint64_t wait = whole_map_wait_ms(session);
        if (wait == 0) {
            return FOLLOWER_BACKLOGGED;
        }
        check_closes_later(subscribers, wait);
    }
    return FOLLOWER_CURRENT;
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

static void send_push_iteration(struct follower *follower, void *changes)
{
    const struct tracker_iteration *iteration = changes;
    const struct tracker_session *session = tracker_session_of(follower);
    struct slice_target target = {session->conn, iteration->frame};
    metrics_add(METRIC_TRACKER_PUSH_ONE,
                (int64_t)iteration_ranges(iteration, session->map, send_slice, &target));
}

static const struct follower_callbacks push_callbacks = {
    .is_readable = is_push_view_readable,
    .has_backlog = has_push_backlog,
    .send_whole = send_whole_map,
    .send_chunk = send_push_chunk,
    .send_changes = send_push_iteration,
    .take_place = take_push_place,
    .free_place = free_push_place,
};

/* Closes. */

/* In the middle of a whole map: that one is sent first, or it might never be complete. */
static bool is_within_whole_map(const struct follower *follower)
{
    if (follower->state != FOLLOWER_CATCHING_UP) {
        return false;
    }
    const struct push_place *place = follower->place;
    return place->left > 0;
}

/* When it has not seen all closes, starts to send it the whole map again, or returns how long it
 * has to wait for that; UINT64_MAX: it has, or it has to read first. */
static uint64_t send_whole_after_closes(struct tracker_subscribers *subscribers,
                                        struct follower *follower)
{
    const struct tracker_session *session = tracker_session_of(follower);
    uint64_t wait = whole_map_wait_ms(session);
    if (session->closes_seen == subscribers->closes || is_within_whole_map(follower) ||
        conn_has_backlog(session->conn)) {
        return UINT64_MAX;
    }
    if (wait > 0) {
        return wait;
    }
    follower_wait(&subscribers->followers, follower);
    follower_list_serve(&subscribers->followers);
    return UINT64_MAX;
}

static void on_check_closes(void *arg)
{
    static const int lists[] = {FOLLOWER_CURRENT, FOLLOWER_CATCHING_UP, FOLLOWER_TO_ADVANCE};
    struct tracker_subscribers *subscribers = arg;
    uint64_t next = UINT64_MAX;
    loop_label(subscribers->service->common.loop, "pushes_after_closes");
    if (!is_push_view_readable(subscribers) || loop_timer_is_running(subscribers->later)) {
        return;
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        LIST_FOREACH (node, &subscribers->followers.followers[lists[i]]) {
            uint64_t wait =
                send_whole_after_closes(subscribers, list_entry(node, struct follower, link));
            next = wait < next ? wait : next;
        }
    }
    check_closes_later(subscribers, next);
}

static void on_push_later(void *arg)
{
    check_closes_soon(arg);
}

/* The view. */

static void on_push_view_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
    struct tracker_subscribers *subscribers =
        list_entry(watcher, struct tracker_subscribers, watcher);
    bool was_refused = subscribers->refused;
    if (!tracker_subscribers_watch(subscribers)) {
        follower_list_suspend(&subscribers->followers);
        return;
    }
    if (changes->changed_count > 0 && follower_list_has_current(&subscribers->followers)) {
        struct tracker_iteration *iteration = &subscribers->iteration;
        iteration_encode(iteration, &subscribers->scratch, &subscribers->translated,
                         changes->changed, changes->changed_count);
        if (iteration->frame) {
            follower_list_publish(&subscribers->followers, iteration);
        }
        frame_unref(&iteration->frame);
    }
    if (was_refused) {
        follower_list_serve(&subscribers->followers);
    }
    if (changes->closed_count > 0) {
        subscribers->closes++;
        check_closes_soon(subscribers);
    }
}

static void on_push_view_live(struct map_watcher *watcher)
{
    struct tracker_subscribers *subscribers =
        list_entry(watcher, struct tracker_subscribers, watcher);
    follower_list_resume(&subscribers->followers);
    check_closes_soon(subscribers);
}

/* Subscribers. */

struct tracker_subscribers *tracker_subscribers_of(struct tracker_service *service,
                                                   struct map_space *space)
{
    LIST_FOREACH (node, &service->subscriber_lists) {
        struct tracker_subscribers *subscribers =
            list_entry(node, struct tracker_subscribers, link);
        if (subscribers->space == space) {
            return subscribers;
        }
    }
    struct tracker_subscribers *subscribers = mem_zalloc(1, sizeof *subscribers);
    subscribers->service = service;
    subscribers->space = space;
    subscribers->watcher.changed = on_push_view_changed;
    subscribers->watcher.live = on_push_view_live;
    list_init(&subscribers->watcher.link);
    follower_list_init(&subscribers->followers, service->common.loop, &push_callbacks, subscribers);
    subscribers->check_closes = (struct loop_task){.callback = on_check_closes, .arg = subscribers};
    subscribers->later = loop_timer_create(service->common.loop, on_push_later, subscribers);
    list_append(&service->subscriber_lists, &subscribers->link);
    return subscribers;
}

void tracker_subscribers_free(struct tracker_subscribers *subscribers)
{
    map_unwatch(&subscribers->watcher);
    follower_list_free(&subscribers->followers);
    loop_cancel(subscribers->service->common.loop, &subscribers->check_closes);
    loop_timer_destroy(&subscribers->later);
    get_forget_texts(subscribers);
    frame_unref(&subscribers->all);
    iteration_free(&subscribers->iteration);
    writer_free(&subscribers->scratch);
    writer_free(&subscribers->translated);
    list_remove(&subscribers->link);
    free(subscribers);
}

/* A session. */

static bool is_pushed_to(const struct tracker_session *session)
{
    return session->dialect == TRACKER_VERSIONED &&
           session->port->settings->push != TRACKER_PUSH_OFF;
}

static void on_push_reached(void *arg, bool known, bool stale)
{
    struct tracker_session *session = arg;
    follower_reached(&session->port->subscribers->followers, &session->follower);
}

void push_begin(struct tracker_session *session, bool whole)
{
    struct tracker_subscribers *subscribers = session->port->subscribers;
    if (!is_pushed_to(session) || session->state == TRACKER_ENDED ||
        (session->follower.state != FOLLOWER_OFF && !whole)) {
        return;
    }
    struct map_view *view = tracker_subscribers_watch(subscribers);
    if (!view) {
        return;
    }
    follower_wait(&subscribers->followers, &session->follower);
    session->follower.read = map_read(view, MAP_READ_HERE, on_push_reached, session);
}

void push_end(struct tracker_session *session)
{
    if (session->follower.state == FOLLOWER_OFF) {
        return;
    }
    follower_stop(&session->port->subscribers->followers, &session->follower);
    tracker_subscribers_release(session->port->subscribers);
}

void push_drained(struct tracker_session *session)
{
    struct tracker_subscribers *subscribers = session->port->subscribers;
    follower_drained(&subscribers->followers, &session->follower);
    if (session->follower.state == FOLLOWER_CURRENT && is_push_view_readable(subscribers)) {
        check_closes_later(subscribers, send_whole_after_closes(subscribers, &session->follower));
    }
}
