/*
 * sync_subscribers: what the clients of a space are sent, and when.
 *
 * A new client gets the map as soon as its own entry is in the view, and is a member then; all of
 * an event-loop iteration get one encoded map. Members get at each tick what is new, and the map.
 * One with a backlog misses that, and gets what it missed, joined, when the backlog has been sent.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/sync/sync_private.h"
#include "protocol/translate/translate.h"

static const char too_large[] = "the space has more entries than view.max_entries";

static void on_sync_view_changed(struct map_watcher *watcher, const struct map_changes *changes);
static void on_sync_view_live(struct map_watcher *watcher);
static void on_sync_tick(void *arg);
static void on_admit(void *arg);
static void release_sync_view(void *arg);

struct sync_subscribers *sync_subscribers_of(struct sync_service *service, struct map_space *space)
{
    LIST_FOREACH (node, &service->subscriber_lists) {
        struct sync_subscribers *subscribers = list_entry(node, struct sync_subscribers, link);
        if (subscribers->space == space) {
            return subscribers;
        }
    }
    struct sync_subscribers *subscribers = mem_zalloc(1, sizeof *subscribers);
    subscribers->service = service;
    subscribers->space = space;
    subscribers->watcher.changed = on_sync_view_changed;
    subscribers->watcher.live = on_sync_view_live;
    subscribers->listener.broadcast = sync_relay_broadcast;
    list_init(&subscribers->watcher.link);
    list_init(&subscribers->listener.link);
    list_init(&subscribers->entering);
    list_init(&subscribers->members);
    fanout_init(&subscribers->packets, service->common.loop, &subscribers->members, "sync_packets",
                sync_relay_deliver, subscribers);
    sync_cache_init(&subscribers->cache);
    subscribers->tick = loop_timer_create(service->common.loop, on_sync_tick, subscribers);
    subscribers->admit = (struct loop_task){.callback = on_admit, .arg = subscribers};
    subscribers->release = (struct loop_task){.callback = release_sync_view, .arg = subscribers};
    list_append(&service->subscriber_lists, &subscribers->link);
    return subscribers;
}

static void forget_rest(struct sync_subscribers *subscribers)
{
    frame_unref(&subscribers->rest);
}

/* All sessions have ended, unless new ones have begun meanwhile. */
static void release_sync_view(void *arg)
{
    struct sync_subscribers *subscribers = arg;
    if (!subscribers->watcher.view || !list_is_empty(&subscribers->entering) ||
        !list_is_empty(&subscribers->members)) {
        return;
    }
    map_unwatch(&subscribers->watcher);
    relay_unlisten(&subscribers->listener);
    loop_timer_stop(subscribers->tick);
    sync_cache_clear(&subscribers->cache);
    forget_rest(subscribers);
}

void sync_subscribers_free(struct sync_subscribers *subscribers)
{
    struct loop *loop = subscribers->service->common.loop;
    release_sync_view(subscribers);
    fanout_stop(&subscribers->packets);
    loop_cancel(loop, &subscribers->admit);
    loop_cancel(loop, &subscribers->release);
    loop_timer_destroy(&subscribers->tick);
    list_remove(&subscribers->link);
    free(subscribers);
}

/* The view. */

static void note_sync_entry(struct sync_subscribers *subscribers, const struct map_entry *entry,
                            bool known)
{
    struct bytes id = map_entry_id(entry);
    if (json_is_text(id)) {
        sync_cache_note(&subscribers->cache, id, known);
    } else if (!known) {
        metrics_add(METRIC_SYNC_UNFIT, 1);
    }
}

static bool read_entry_properties(void *arg, struct bytes id, struct writer *to)
{
    const struct sync_subscribers *subscribers = arg;
    const struct map_entry *entry = map_view_find(subscribers->watcher.view, id);
    /* Of a partial entry only the fields of an update are known; the snapshot has the rest. */
    if (!entry || map_entry_is_partial(entry)) {
        return false;
    }
    translate_properties(entry, to);
    return true;
}

static void read_cache(struct sync_subscribers *subscribers)
{
    sync_cache_read(&subscribers->cache, read_entry_properties, subscribers);
}

/* Ticks of all spaces are at the same times: whole multiples of sync.tick. */
static void start_tick(struct sync_subscribers *subscribers)
{
    const struct sync_session *any;
    struct list *first =
        !list_is_empty(&subscribers->members) ? &subscribers->members : &subscribers->entering;
    uint64_t time;
    if (loop_timer_is_running(subscribers->tick) || list_is_empty(first)) {
        return;
    }
    any = list_entry(first->next, struct sync_session, place);
    time = (uint64_t)any->port->settings->tick;
    loop_timer_start(subscribers->tick,
                     time - loop_now_ms(subscribers->service->common.loop) % time);
}

static void check_news(struct sync_subscribers *subscribers)
{
    forget_rest(subscribers);
    if (sync_cache_has_news(&subscribers->cache)) {
        start_tick(subscribers);
    }
}

/* Entries that existed before the first client are not news, but for those of clients that have
 * just joined. */
static void load_sync_view(struct sync_subscribers *subscribers)
{
    struct map_cursor cursor = {.view = NULL};
    const struct map_entry *entry;
    map_cursor_begin(&cursor, subscribers->watcher.view, MAP_CURSOR_OLDEST);
    while ((entry = map_cursor_next(&cursor))) {
        note_sync_entry(subscribers, entry, true);
    }
    map_cursor_end(&cursor);
    LIST_FOREACH (node, &subscribers->entering) {
        const struct sync_session *session = list_entry(node, struct sync_session, place);
        if (!session->entering->is_resumed) {
            sync_cache_announce(&subscribers->cache, bytes_from_string(session->token));
        }
    }
    check_news(subscribers);
}

void sync_subscribers_admit_soon(struct sync_subscribers *subscribers)
{
    loop_defer(subscribers->service->common.loop, LOOP_PHASE_STORE, &subscribers->admit);
}

static void on_sync_view_live(struct map_watcher *watcher)
{
    struct sync_subscribers *subscribers = list_entry(watcher, struct sync_subscribers, watcher);
    load_sync_view(subscribers);
    sync_subscribers_admit_soon(subscribers);
}

static void on_sync_view_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
    struct sync_subscribers *subscribers = list_entry(watcher, struct sync_subscribers, watcher);
    for (size_t i = 0; i < changes->closed_count; i++) {
        sync_cache_close(&subscribers->cache, changes->closed[i]);
    }
    for (size_t i = 0; i < changes->changed_count; i++) {
        note_sync_entry(subscribers, changes->changed[i], false);
    }
    check_news(subscribers);
}

/* Entering. */

bool sync_subscribers_enter(struct sync_session *session, const char **why)
{
    struct sync_subscribers *subscribers = session->port->subscribers;
    *why = too_large;
    list_append(&subscribers->entering, &session->place);
    if (!subscribers->watcher.view) {
        if (!map_watch(subscribers->space, &subscribers->watcher, why)) {
            return false;
        }
        relay_listen(subscribers->space, &subscribers->listener);
        if (map_view_is_live(subscribers->watcher.view)) {
            load_sync_view(subscribers);
        }
    }
    return !map_view_is_over(subscribers->watcher.view);
}

/* Not known: the map has not been read once within the time that a read may take. */
static void on_sync_reached(void *arg, bool known, bool stale)
{
    struct sync_session *session = arg;
    session->entering->read = NULL;
    if (!known) {
        sync_session_end_later(session, SYNC_END_UNKNOWN);
        return;
    }
    sync_session_move(session, SYNC_READY);
}

void sync_subscribers_wait(struct sync_session *session)
{
    struct map_view *view = session->port->subscribers->watcher.view;
    session->entering->read = map_read(view, MAP_READ_HERE, on_sync_reached, session);
}

static void send_metadata(struct sync_session *session, struct frame *rest, const char *secret)
{
    struct writer head = {0};
    sync_write_metadata_head(&head, bytes_from_string(session->token), bytes_from_string(secret));
    websocket_send_parts(session->websocket, WEBSOCKET_TEXT, writer_bytes_written(&head), rest);
    writer_free(&head);
    metrics_add(METRIC_SYNC_PUSH_METADATA, 1);
}

static void forget_entering(struct sync_session *session)
{
    if (!session->entering) {
        return;
    }
    map_read_cancel(&session->entering->read);
    free(session->entering);
    session->entering = NULL;
}

/* Only now is it read from: packets that it sends to all members reach itself, too. */
void sync_subscribers_add_member(struct sync_session *session)
{
    struct sync_subscribers *subscribers = session->port->subscribers;
    forget_entering(session);
    session->is_fresh = true;
    session->last_packet = (uint32_t)subscribers->packets.number;
    list_remove(&session->place);
    list_append(&subscribers->members, &session->place);
    subscribers->member_count++;
    conn_resume_reading(websocket_conn(session->websocket));
    sync_cache_show(&subscribers->cache);
    if (!session->is_delta) {
        return;
    }
    subscribers->deltas++;
    subscribers->cache.collects_names = true;
}

static bool is_sync_view_readable(struct sync_subscribers *subscribers)
{
    if (!subscribers->watcher.view || !map_view_is_live(subscribers->watcher.view)) {
        return false;
    }
    if (!map_view_is_over(subscribers->watcher.view)) {
        return true;
    }
    log_limited(LOG_WARN, &subscribers->refused_limit, "snapshot_refused",
                LOG_STRING("space", map_space_name(subscribers->space)),
                LOG_STRING("reason", too_large));
    return false;
}

/* Entering clients are refused while the map is too large; members wait until it is not. */
static void refuse_entering(struct sync_subscribers *subscribers)
{
    LIST_FOREACH (node, &subscribers->entering) {
        sync_session_close(list_entry(node, struct sync_session, place), WEBSOCKET_TRY_LATER,
                           too_large);
    }
}

/* Where the map could not be read in time it may lack the entries of entering clients. */
static void assume_entering(struct sync_subscribers *subscribers)
{
    LIST_FOREACH (node, &subscribers->entering) {
        const struct sync_session *session = list_entry(node, struct sync_session, place);
        struct bytes token = bytes_from_string(session->token);
        if (session->state == SYNC_READY && !sync_cache_find(&subscribers->cache, token)) {
            sync_cache_assume(&subscribers->cache, token);
        }
    }
}

static void admit_ready(struct sync_subscribers *subscribers)
{
    struct frame *rest;
    read_cache(subscribers);
    assume_entering(subscribers);
    rest = sync_frame_rest(subscribers);
    LIST_FOREACH (node, &subscribers->entering) {
        struct sync_session *session = list_entry(node, struct sync_session, place);
        if (session->state != SYNC_READY) {
            continue;
        }
        send_metadata(session, rest, session->entering->secret);
        conn_charge(websocket_conn(session->websocket), (uint32_t)(rest->len / 1024));
        sync_session_move(session, SYNC_MEMBER);
    }
    forget_rest(subscribers);
    subscribers->rest = rest;
    subscribers->rest_len = rest->len;
    if (sync_cache_has_news(&subscribers->cache)) {
        start_tick(subscribers);
    }
}

static void on_admit(void *arg)
{
    struct sync_subscribers *subscribers = arg;
    if (list_is_empty(&subscribers->entering)) {
        return;
    }
    if (is_sync_view_readable(subscribers)) {
        admit_ready(subscribers);
    } else if (subscribers->watcher.view && map_view_is_over(subscribers->watcher.view)) {
        refuse_entering(subscribers);
    }
}

/* The map does not report the close of an entry that it has never had. */
static void close_assumed(struct sync_subscribers *subscribers, struct bytes token)
{
    const struct map_view *view = subscribers->watcher.view;
    if (!view || map_view_find(view, token)) {
        return;
    }
    sync_cache_close(&subscribers->cache, token);
    check_news(subscribers);
}

void sync_subscribers_leave(struct sync_session *session, enum sync_state from)
{
    struct sync_subscribers *subscribers = session->port->subscribers;
    forget_entering(session);
    fanout_leave(&subscribers->packets, &session->place);
    list_remove(&session->place);
    close_assumed(subscribers, bytes_from_string(session->token));
    if (from == SYNC_MEMBER) {
        subscribers->member_count--;
        subscribers->deltas -= session->is_delta;
    }
    subscribers->cache.collects_names = subscribers->deltas > 0;
    loop_defer(subscribers->service->common.loop, LOOP_PHASE_FREE, &subscribers->release);
}

/* Members. */

static struct frame *rest_frame_of(struct sync_subscribers *subscribers)
{
    if (!subscribers->rest) {
        read_cache(subscribers);
        subscribers->rest = sync_frame_rest(subscribers);
        subscribers->rest_len = subscribers->rest->len;
    }
    return subscribers->rest;
}

/* What a tick sends; each frame is encoded when the first member needs it. */
struct sync_tick {
    struct sync_subscribers *subscribers;
    struct sync_news news;
    /* By mode, and by whether they are for members that joined since the last tick, and so know
     * what vanished. */
    struct frame *frames[2][2];
};

static bool knows_vanished(const struct sync_news *news, const struct sync_session *session)
{
    return session->is_fresh && news->vanished_count > 0;
}

static struct frame *tick_frame_for(struct sync_tick *tick, const struct sync_session *session)
{
    const struct sync_news *news = &tick->news;
    bool with_vanished = knows_vanished(news, session);
    struct frame **frame = &tick->frames[session->is_delta][with_vanished];
    if (!*frame) {
        *frame = session->is_delta
                     ? sync_frame_delta(&tick->subscribers->cache, news, with_vanished)
                     : sync_frame_changes(news, with_vanished);
    }
    return *frame;
}

static void send_changes_frame(struct sync_session *session, struct frame *changes)
{
    websocket_send_frame(session->websocket, changes);
    metrics_add(METRIC_SYNC_PUSH_CHANGES, 1);
    if (!session->is_delta) {
        send_metadata(session, rest_frame_of(session->port->subscribers), "");
    }
}

/* What it missed, in one. */
static void send_missed_changes(struct sync_session *session)
{
    struct sync_subscribers *subscribers = session->port->subscribers;
    struct sync_joined joined;
    struct frame *frame;
    sync_missed_join(session->missed, &subscribers->cache, &joined);
    if (!sync_news_is_empty(&joined.news)) {
        frame = sync_frame_joined(&joined);
        send_changes_frame(session, frame);
        frame_unref(&frame);
    }
    sync_joined_free(&joined);
    sync_missed_destroy(&session->missed);
}

/* What vanished is sent only to members that know it. */
static bool concerns_session(const struct sync_news *news, const struct sync_session *session)
{
    return news->opened_count + news->closed_count + news->properties_count > 0 ||
           knows_vanished(news, session);
}

static void send_tick_news(struct sync_tick *tick, struct sync_session *session)
{
    bool has_backlog = conn_has_backlog(websocket_conn(session->websocket));
    if (!concerns_session(&tick->news, session)) {
        return;
    }
    if (has_backlog && !session->missed) {
        session->missed = sync_missed_create(session->is_delta);
        metrics_add(METRIC_CONFLATIONS, 1);
    }
    if (session->missed) {
        sync_missed_add(session->missed, &tick->subscribers->cache, &tick->news, session->is_fresh);
    }
    if (has_backlog) {
        return;
    }
    if (session->missed) {
        send_missed_changes(session);
    } else {
        send_changes_frame(session, tick_frame_for(tick, session));
    }
}

static void send_news_to_all(struct sync_subscribers *subscribers)
{
    struct sync_tick tick = {.subscribers = subscribers};
    sync_cache_collect(&subscribers->cache, &tick.news);
    LIST_FOREACH (node, &subscribers->members) {
        struct sync_session *session = list_entry(node, struct sync_session, place);
        send_tick_news(&tick, session);
        session->is_fresh = false;
    }
    sync_news_free(&tick.news);
    for (size_t i = 0; i < 4; i++) {
        frame_unref(&tick.frames[i / 2][i % 2]);
    }
}

static void on_sync_tick(void *arg)
{
    struct sync_subscribers *subscribers = arg;
    loop_label(subscribers->service->common.loop, "sync_tick");
    subscribers->is_tick_paid = false;
    if (!is_sync_view_readable(subscribers)) {
        start_tick(subscribers);
        return;
    }
    forget_rest(subscribers); /* it may lack entries that could not be read then */
    read_cache(subscribers);
    send_news_to_all(subscribers);
    sync_cache_settle(&subscribers->cache);
    if (sync_cache_has_news(&subscribers->cache)) {
        start_tick(subscribers); /* what could not be read yet */
    }
}

void sync_subscribers_drained(struct sync_session *session)
{
    if (session->missed && is_sync_view_readable(session->port->subscribers)) {
        send_missed_changes(session);
    }
}
