/*
 * live: the map, or the game servers in it, as server-sent events (docs/web.md has their names).
 *
 * A reader is first told the whole map in chunks, each when it has taken the one before, by a
 * cursor in the view's list of changes; then it is current, and gets what a turn brings, which is
 * encoded once for all. One that does not keep up goes on by a cursor, too: it skips states that
 * are no longer true. The ids that were closed meanwhile are kept for it, up to web.chunk; beyond
 * that, and when the view has forgotten closes, it is told the whole map anew. So it is at the end
 * of the list, too, when an entry has changed silently meanwhile, which a cursor does not meet.
 *
 *   DUE ── the view is complete ──► FOLLOWING ── end of the list ──► CURRENT
 *    ▲                               │    ▲                              │
 *    └─────── its place is lost ─────┘    └──────── it is behind ────────┘
 */
#include <stdlib.h>
#include <string.h>

#include "admin/admin_private.h"
#include "admin/live_private.h"
#include "base/mem.h"
#include "metrics/metrics.h"

#define TICK_MS    1000
#define CLOSED_MAX 65536 /* bytes of ids for a reader that is behind */

enum live_state { LIVE_DUE, LIVE_FOLLOWING, LIVE_CURRENT };

struct live_reader {
    struct list link;
    struct admin_space *space;
    struct conn *conn;
    enum live_form form;
    enum live_state state;
    bool whole; /* it is being told the whole map */
    bool again; /* and will be again */
    struct map_cursor cursor;
    struct writer closed; /* JSON values, each with a comma behind it */
};

struct live {
    struct admin *admin;
    size_t count;
    struct loop_timer *tick;
    struct loop_timer *flow;
    struct loop_task serve; /* those who follow */
    struct writer scratch;
    struct writer closed; /* this turn's, as a reader keeps them */
    struct writer nodes;  /* the last event of that name */
};

static const char answer_head[] = "HTTP/1.1 200 OK\r\n"
                                  "Content-Type: text/event-stream\r\n"
                                  "Cache-Control: no-store\r\n"
                                  "X-Content-Type-Options: nosniff\r\n"
                                  "X-Accel-Buffering: no\r\n"
                                  "Connection: close\r\n\r\n";

/* Readers. */

/* The one place that changes a reader's state. */
static void move_live_reader(struct live_reader *reader, enum live_state state)
{
    map_cursor_end(&reader->cursor);
    reader->cursor = (struct map_cursor){0};
    if (state != LIVE_FOLLOWING)
        writer_free(&reader->closed);
    reader->state = state;
}

static void send_live_text(struct live_reader *reader, struct writer *text)
{
    if (text->len > 0)
        conn_send(reader->conn, writer_bytes_written(text));
}

static void schedule_live_flow(struct live *live)
{
    if (!loop_timer_is_running(live->flow))
        loop_timer_start(live->flow, 0);
}

static void begin_whole(struct live_reader *reader)
{
    struct map_view *view = reader->space->watcher.view;
    struct writer *scratch = &reader->space->admin->live->scratch;
    struct json_writer json = json_writer_over(scratch);
    writer_reset(scratch);
    live_event_begin(scratch, "begin");
    json_write_object_begin(&json);
    json_write_name(&json, "count");
    json_write_integer(&json, (int64_t)map_view_count(view));
    json_write_object_end(&json);
    live_event_end(scratch);
    send_live_text(reader, scratch);
    move_live_reader(reader, LIVE_FOLLOWING);
    reader->whole = true;
    reader->again = false;
    map_cursor_begin(&reader->cursor, view, MAP_CURSOR_OLDEST);
    schedule_live_flow(reader->space->admin->live);
}

static bool is_space_readable(const struct admin_space *space)
{
    return space->watcher.view != NULL && map_view_is_live(space->watcher.view) &&
           !map_view_is_over(space->watcher.view);
}

/* One chunk for who follows and keeps up. */
static void send_next_live_chunk(struct live_reader *reader)
{
    struct admin *admin = reader->space->admin;
    struct writer *scratch = &admin->live->scratch;
    struct live_entries events = live_entries_begin(scratch, reader->space, reader->form);
    struct map_entry *entry = NULL;
    if (reader->cursor.lost) {
        begin_whole(reader);
        return;
    }
    events.whole = reader->whole;
    writer_reset(scratch);
    live_write_closed(scratch, writer_bytes_written(&reader->closed));
    writer_free(&reader->closed);
    while (scratch->len < (size_t)admin->settings->chunk &&
           (entry = map_cursor_next(&reader->cursor)) != NULL)
        live_entries_write(&events, entry);
    live_entries_end(&events);
    if (!entry && reader->whole && scratch->len < (size_t)admin->settings->chunk) {
        reader->whole = false;
        live_event_begin(scratch, "live");
        writer_string(scratch, "{}");
        live_event_end(scratch);
    }
    bool ended = !entry && scratch->len < (size_t)admin->settings->chunk;
    send_live_text(reader, scratch);
    if (ended && reader->again)
        begin_whole(reader);
    else if (ended)
        move_live_reader(reader, LIVE_CURRENT);
    else
        schedule_live_flow(admin->live);
}

/* After the views have told what is closed: a close that is kept behind what was sent of the same
 * id opened again would take that away. */
static void on_flow(void *arg)
{
    struct live *live = arg;
    loop_defer(live->admin->loop, LOOP_PHASE_STORE, &live->serve);
}

static void serve_following(void *arg)
{
    struct live *live = arg;
    LIST_FOREACH (node, &live->admin->spaces) {
        struct admin_space *space = list_entry(node, struct admin_space, link);
        if (!is_space_readable(space))
            continue;
        LIST_FOREACH (link, &space->readers) {
            struct live_reader *reader = list_entry(link, struct live_reader, link);
            if (reader->state == LIVE_FOLLOWING && !conn_has_backlog(reader->conn))
                send_next_live_chunk(reader);
        }
    }
}

/* What a turn brought. */

static struct frame *encode_turn(struct live *live, struct admin_space *space,
                                 const struct map_changes *changes, enum live_form form)
{
    struct live_entries events = live_entries_begin(&live->scratch, space, form);
    writer_reset(&live->scratch);
    live_write_closed(&live->scratch, writer_bytes_written(&live->closed));
    for (size_t i = 0; i < changes->changed_count; i++)
        live_entries_write(&events, changes->changed[i]);
    for (size_t i = 0; i < changes->owner_changed_count; i++)
        live_entries_write(&events, changes->owner_changed[i]);
    live_entries_end(&events);
    return frame_create(writer_bytes_written(&live->scratch));
}

static void send_live_changes(struct live_reader *reader, const struct map_changes *changes,
                              struct frame *frames[LIVE_FORMS])
{
    struct frame **frame = &frames[reader->form];
    struct live *live = reader->space->admin->live;
    if (reader->state == LIVE_CURRENT && conn_has_backlog(reader->conn)) {
        metrics_add(METRIC_CONFLATIONS, 1);
        move_live_reader(reader, LIVE_FOLLOWING);
        map_cursor_begin(&reader->cursor, reader->space->watcher.view, MAP_CURSOR_ITERATION);
    }
    if (reader->state == LIVE_CURRENT) {
        if (!*frame)
            *frame = encode_turn(live, reader->space, changes, reader->form);
        conn_send_frame(reader->conn, *frame);
    } else if (reader->state == LIVE_FOLLOWING) {
        reader->again |= changes->owner_changed_count > 0;
        writer_bytes(&reader->closed, writer_bytes_written(&live->closed));
        if (reader->closed.len > CLOSED_MAX)
            move_live_reader(reader, LIVE_DUE);
        else
            schedule_live_flow(live);
    }
}

void live_changed(struct admin_space *space, const struct map_changes *changes)
{
    struct live *live = space->admin->live;
    struct frame *frames[LIVE_FORMS] = {NULL};
    writer_reset(&live->closed);
    for (size_t i = 0; i < changes->closed_count; i++) {
        live_write_id(&live->closed, changes->closed[i]);
        writer_u8(&live->closed, ',');
    }
    bool tells = is_space_readable(space);
    LIST_FOREACH (node, &space->readers) {
        struct live_reader *reader = list_entry(node, struct live_reader, link);
        if (!tells)
            move_live_reader(reader, LIVE_DUE);
        else if (reader->state != LIVE_DUE)
            send_live_changes(reader, changes, frames);
        else if (!conn_has_backlog(reader->conn))
            begin_whole(reader);
    }
    for (size_t i = 0; i < LIVE_FORMS; i++)
        frame_unref(&frames[i]);
}

/* Each second: numbers for all, and who waits is looked at. */

static void send_to_live_readers(struct admin_space *space, struct bytes text)
{
    struct frame *frame = text.len > 0 ? frame_create(text) : NULL;
    LIST_FOREACH (node, &space->readers) {
        struct live_reader *reader = list_entry(node, struct live_reader, link);
        if (frame && !conn_has_backlog(reader->conn))
            conn_send_frame(reader->conn, frame);
    }
    if (frame)
        frame_unref(&frame);
}

static void tick_space(struct live *live, struct admin_space *space)
{
    if (list_is_empty(&space->readers))
        return;
    writer_reset(&live->scratch);
    live_write_stats(&live->scratch, space);
    if (space->watcher.view && map_view_is_over(space->watcher.view))
        live_write_refusal(&live->scratch, "the space has more entries than view.max_entries");
    send_to_live_readers(space, writer_bytes_written(&live->scratch));
    LIST_FOREACH (node, &space->readers) {
        struct live_reader *reader = list_entry(node, struct live_reader, link);
        if (reader->state == LIVE_DUE && is_space_readable(space) &&
            !conn_has_backlog(reader->conn))
            begin_whole(reader);
    }
}

static void on_live_tick(void *arg)
{
    struct live *live = arg;
    if (live->count == 0)
        return;
    LIST_FOREACH (node, &live->admin->spaces)
        tick_space(live, list_entry(node, struct admin_space, link));
    (void)admin_nodes_refresh(live->admin);
    loop_timer_start(live->tick, TICK_MS);
}

void live_nodes_read(struct live *live)
{
    struct writer text = {0};
    struct json_writer json = json_writer_over(&text);
    live_event_begin(&text, "nodes");
    entries_write_nodes(&json, live->admin->nodes);
    live_event_end(&text);
    if (bytes_equal(writer_bytes_written(&text), writer_bytes_written(&live->nodes))) {
        writer_free(&text);
        return;
    }
    writer_free(&live->nodes);
    live->nodes = text;
    LIST_FOREACH (node, &live->admin->spaces)
        send_to_live_readers(list_entry(node, struct admin_space, link),
                             writer_bytes_written(&text));
}

/* Connections. */

static size_t on_live_input(void *arg, struct bytes input)
{
    (void)arg;
    return input.len;
}

static void on_drained(void *arg)
{
    struct live_reader *reader = arg;
    if (!is_space_readable(reader->space))
        return;
    if (reader->state == LIVE_FOLLOWING)
        schedule_live_flow(reader->space->admin->live);
    else if (reader->state == LIVE_DUE)
        begin_whole(reader);
}

static void on_closed(void *arg, enum conn_close_reason reason)
{
    struct live_reader *reader = arg;
    struct live *live = reader->space->admin->live;
    (void)reason;
    move_live_reader(reader, LIVE_DUE);
    list_remove(&reader->link);
    admin_space_release(reader->space);
    live->count--;
    free(reader);
}

static const struct conn_handler handler = {
    .received = on_live_input, .drained = on_drained, .closed = on_closed};

static void begin_live_stream(struct live_reader *reader)
{
    struct live *live = reader->space->admin->live;
    struct writer *scratch = &live->scratch;
    writer_reset(scratch);
    writer_string(scratch, answer_head);
    live_write_hello(scratch, live->admin, reader->space);
    writer_bytes(scratch, writer_bytes_written(&live->nodes));
    live_write_stats(scratch, reader->space);
    send_live_text(reader, scratch);
    if (is_space_readable(reader->space))
        begin_whole(reader);
}

/* False when it has been answered. */
static bool read_form(struct http_request *request, enum live_form *form)
{
    bool servers = false;
    if (!admin_read_switch(request, "servers", &servers))
        return false;
    *form = servers ? LIVE_SERVERS : LIVE_CLIENTS;
    return true;
}

static void on_live_request(void *arg, struct http_request *request)
{
    struct admin *admin = arg;
    struct live *live = admin->live;
    const struct admin_settings *settings = admin->settings;
    const char *why = NULL;
    if (!admin_allows(admin, request, admin_either(settings->page, settings->api)))
        return;
    enum live_form form;
    if (!read_form(request, &form))
        return;
    struct admin_space *space = form == LIVE_SERVERS ? admin_space_of_servers(admin, request)
                                                     : admin_space_asked(admin, request);
    if (!space)
        return;
    if (!bytes_equal(http_request_method(request), BYTES_LITERAL("GET"))) {
        http_respond(request, 200, "text/event-stream",
                     "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
                     (struct bytes){0});
        return;
    }
    if (live->count >= (size_t)settings->max_watchers) {
        admin_respond_error(request, 503, "there are as many live streams as web.max_watchers");
        return;
    }
    if (!admin_space_hold(space, &why)) {
        admin_respond_error(request, 503, why);
        return;
    }
    struct conn *conn = http_request_upgrade(request);
    if (!conn) {
        admin_space_release(space);
        return;
    }
    struct live_reader *reader = mem_zalloc(1, sizeof *reader);
    reader->space = space;
    reader->conn = conn;
    reader->form = form;
    list_append(&space->readers, &reader->link);
    live->count++;
    conn_set_handler(conn, &handler, reader);
    begin_live_stream(reader);
    (void)admin_nodes_refresh(admin); /* which may tell all readers at once */
    if (!loop_timer_is_running(live->tick))
        loop_timer_start(live->tick, TICK_MS);
}

struct live *live_create(struct admin *admin)
{
    struct live *live = mem_zalloc(1, sizeof *live);
    live->admin = admin;
    live->tick = loop_timer_create(admin->loop, on_live_tick, live);
    live->flow = loop_timer_create(admin->loop, on_flow, live);
    live->serve = (struct loop_task){.callback = serve_following, .arg = live};
    return live;
}

void live_destroy(struct live **pointer)
{
    struct live *live = *pointer;
    *pointer = NULL;
    loop_timer_destroy(&live->tick);
    loop_timer_destroy(&live->flow);
    loop_cancel(live->admin->loop, &live->serve);
    writer_free(&live->scratch);
    writer_free(&live->closed);
    writer_free(&live->nodes);
    free(live);
}

void live_add_routes(struct admin *admin, struct http_router *router)
{
    http_router_add(router, "GET", "/api/v1/live", on_live_request, admin);
}

size_t live_count(const struct live *live)
{
    return live->count;
}
