/*
 * live: the map, or the game servers in it, as server-sent events (docs/web.md has their names).
 *
 * A reader is a follower (view/follower.h): it gets the whole map in chunks, then what each
 * iteration brings, encoded once for all. A place in the view's list of changes does not meet
 * closed entries: their ids are kept for a reader that catches up, up to CLOSED_MAX bytes. Beyond
 * that, and when the view has forgotten closes, the whole map is sent again. So it is at the end of
 * the list when only the owner of an entry changed meanwhile, which a place does not meet either.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/admin_private.h"
#include "admin/live_private.h"
#include "base/mem.h"
#include "metrics/metrics.h"

#define TICK_MS    1000
#define CLOSED_MAX 65536 /* bytes of ids for a reader that catches up */

struct live_reader {
    struct follower follower; /* of the space; its place: struct live_place */
    struct admin_space *space;
    struct conn *conn;
    struct live_share share;
    enum live_form form;
    bool is_displaced; /* the connection is being closed */
};

/* The place of a reader that catches up. */
struct live_place {
    struct map_cursor cursor;
    struct writer closed; /* JSON values, each followed by a comma */
    bool whole;           /* the whole map is being sent */
    bool again;           /* and has to be sent again */
};

struct live {
    struct admin *admin;
    size_t count;
    struct list shares; /* struct live_share: of those that count */
    uint64_t opened;
    struct log_limit displaced_limit;
    struct loop_timer *tick;
    struct writer scratch;
    struct writer closed; /* those of this iteration, as a place keeps them */
    struct writer nodes;  /* the last event of that name */
};

static const char answer_head[] = "HTTP/1.1 200 OK\r\n"
                                  "Content-Type: text/event-stream\r\n"
                                  "Cache-Control: no-store\r\n"
                                  "X-Content-Type-Options: nosniff\r\n"
                                  "X-Accel-Buffering: no\r\n"
                                  "Connection: close\r\n\r\n";

/* Readers. */

static struct live_reader *live_reader_of(const struct follower *follower)
{
    return list_entry(follower, struct live_reader, follower);
}

static void send_live_text(struct live_reader *reader, struct writer *text)
{
    if (text->len > 0) {
        conn_send(reader->conn, writer_bytes_written(text));
    }
}

static bool is_space_readable(void *arg)
{
    const struct admin_space *space = arg;
    return space->watcher.view != NULL && map_view_is_live(space->watcher.view) &&
           !map_view_is_over(space->watcher.view);
}

static bool has_live_backlog(const struct follower *follower)
{
    return conn_has_backlog(live_reader_of(follower)->conn);
}

static struct live_place *create_live_place(struct follower *follower, enum map_cursor_place where)
{
    struct live_place *place = mem_zalloc(1, sizeof *place);
    map_cursor_begin(&place->cursor, live_reader_of(follower)->space->watcher.view, where);
    follower->place = place;
    return place;
}

static void take_live_place(struct follower *follower)
{
    create_live_place(follower, MAP_CURSOR_ITERATION);
}

static void free_live_place(struct follower *follower)
{
    struct live_place *place = follower->place;
    map_cursor_end(&place->cursor);
    writer_free(&place->closed);
    free(place);
}

static enum follower_state begin_whole(struct follower *follower)
{
    struct live_reader *reader = live_reader_of(follower);
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
    create_live_place(follower, MAP_CURSOR_OLDEST)->whole = true;
    return FOLLOWER_CATCHING_UP;
}

static enum follower_state send_live_chunk(struct follower *follower)
{
    struct live_reader *reader = live_reader_of(follower);
    struct live_place *place = follower->place;
    struct writer *scratch = &reader->space->admin->live->scratch;
    const size_t limit = (size_t)reader->space->admin->settings->chunk;
    struct live_entries events = live_entries_begin(scratch, reader->space, reader->form);
    struct map_entry *entry = NULL;
    if (place->cursor.lost) {
        return FOLLOWER_BACKLOGGED;
    }
    events.whole = place->whole;
    writer_reset(scratch);
    live_write_closed(scratch, writer_bytes_written(&place->closed));
    writer_free(&place->closed);
    while (scratch->len < limit && (entry = map_cursor_next(&place->cursor))) {
        live_entries_write(&events, entry);
    }
    live_entries_end(&events);
    if (!entry && place->whole && scratch->len < limit) {
        place->whole = false;
        live_event_begin(scratch, "live");
        writer_string(scratch, "{}");
        live_event_end(scratch);
    }
    bool is_end = !entry && scratch->len < limit;
    send_live_text(reader, scratch);
    conn_charge(reader->conn, (uint32_t)(scratch->len / 1024));
    if (!is_end) {
        return FOLLOWER_CATCHING_UP;
    }
    return place->again ? FOLLOWER_BACKLOGGED : FOLLOWER_CURRENT;
}

/* What an iteration brought. */

struct live_iteration {
    struct admin_space *space;
    const struct map_changes *changes;
    struct frame *frames[LIVE_FORMS]; /* NULL: not encoded yet */
};

static struct frame *encode_iteration(const struct live_iteration *iteration, enum live_form form)
{
    struct live *live = iteration->space->admin->live;
    const struct map_changes *changes = iteration->changes;
    struct live_entries events = live_entries_begin(&live->scratch, iteration->space, form);
    writer_reset(&live->scratch);
    live_write_closed(&live->scratch, writer_bytes_written(&live->closed));
    for (size_t i = 0; i < changes->changed_count; i++) {
        live_entries_write(&events, changes->changed[i]);
    }
    for (size_t i = 0; i < changes->owner_changed_count; i++) {
        live_entries_write(&events, changes->owner_changed[i]);
    }
    live_entries_end(&events);
    return frame_create(writer_bytes_written(&live->scratch));
}

static void send_live_iteration(struct follower *follower, void *changes)
{
    struct live_iteration *iteration = changes;
    struct live_reader *reader = live_reader_of(follower);
    struct frame **frame = &iteration->frames[reader->form];
    if (!*frame) {
        *frame = encode_iteration(iteration, reader->form);
    }
    conn_send_frame(reader->conn, *frame);
}

static const struct follower_callbacks live_callbacks = {
    .is_readable = is_space_readable,
    .has_backlog = has_live_backlog,
    .send_whole = begin_whole,
    .send_chunk = send_live_chunk,
    .send_changes = send_live_iteration,
    .take_place = take_live_place,
    .free_place = free_live_place,
};

/* What the places of those that catch up do not meet. */
static void keep_unmet_changes(struct admin_space *space, const struct map_changes *changes)
{
    static const int lists[] = {FOLLOWER_CATCHING_UP, FOLLOWER_TO_ADVANCE};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        LIST_FOREACH (node, &space->readers.followers[lists[i]]) {
            struct follower *follower = list_entry(node, struct follower, link);
            struct live_place *place = follower->place;
            place->again |= changes->owner_changed_count > 0;
            writer_bytes(&place->closed, writer_bytes_written(&space->admin->live->closed));
            if (place->closed.len > CLOSED_MAX) {
                follower_wait(&space->readers, follower);
            }
        }
    }
}

void live_changed(struct admin_space *space, const struct map_changes *changes)
{
    struct live *live = space->admin->live;
    struct live_iteration iteration = {.space = space, .changes = changes};
    if (!is_space_readable(space)) {
        follower_list_suspend(&space->readers);
        return;
    }
    writer_reset(&live->closed);
    for (size_t i = 0; i < changes->closed_count; i++) {
        live_write_id(&live->closed, changes->closed[i]);
        writer_u8(&live->closed, ',');
    }
    follower_list_publish(&space->readers, &iteration);
    keep_unmet_changes(space, changes);
    follower_list_serve(&space->readers);
    for (size_t i = 0; i < LIVE_FORMS; i++) {
        frame_unref(&iteration.frames[i]);
    }
}

void live_resume(struct admin_space *space)
{
    follower_list_resume(&space->readers);
}

void live_add_space(struct admin_space *space)
{
    follower_list_init(&space->readers, space->admin->loop, &live_callbacks, space);
}

void live_remove_space(struct admin_space *space)
{
    follower_list_free(&space->readers);
}

/* Each second: numbers for all; readers that still wait for the whole map are checked. */

static void send_to_live_readers(struct admin_space *space, struct bytes text)
{
    struct frame *frame = text.len > 0 ? frame_create(text) : NULL;
    for (size_t state = 0; frame && state < FOLLOWER_LISTS; state++) {
        LIST_FOREACH (node, &space->readers.followers[state]) {
            const struct follower *follower = list_entry(node, struct follower, link);
            if (!has_live_backlog(follower)) {
                conn_send_frame(live_reader_of(follower)->conn, frame);
            }
        }
    }
    frame_unref(&frame);
}

static void tick_space(struct live *live, struct admin_space *space)
{
    if (follower_list_is_empty(&space->readers)) {
        return;
    }
    writer_reset(&live->scratch);
    live_write_stats(&live->scratch, space);
    if (space->watcher.view && map_view_is_over(space->watcher.view)) {
        live_write_refusal(&live->scratch, "the space has more entries than view.max_entries");
    }
    send_to_live_readers(space, writer_bytes_written(&live->scratch));
    follower_list_serve(&space->readers);
}

static void on_live_tick(void *arg)
{
    struct live *live = arg;
    loop_label(live->admin->loop, "live_tick");
    if (live->count == 0) {
        return;
    }
    LIST_FOREACH (node, &live->admin->spaces) {
        tick_space(live, list_entry(node, struct admin_space, link));
    }
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
    LIST_FOREACH (node, &live->admin->spaces) {
        send_to_live_readers(list_entry(node, struct admin_space, link),
                             writer_bytes_written(&text));
    }
}

/* Connections. */

static size_t on_live_input(void *arg, struct bytes input)
{
    return input.len;
}

static void on_drained(void *arg)
{
    struct live_reader *reader = arg;
    follower_drained(&reader->space->readers, &reader->follower);
}

/* It is sent nothing more, and does not count. */
static void stop_reader(struct live_reader *reader)
{
    follower_stop(&reader->space->readers, &reader->follower);
    list_remove(&reader->share.link);
    reader->space->admin->live->count--;
}

static void on_closed(void *arg, enum conn_close_reason reason)
{
    struct live_reader *reader = arg;
    if (!reader->is_displaced) {
        stop_reader(reader);
    }
    admin_space_release(reader->space);
    free(reader);
}

static void displace_reader(struct live *live, struct live_reader *reader)
{
    metrics_add(METRIC_LIVE_DISPLACED, 1);
    log_limited(LOG_INFO, &live->displaced_limit, "live_stream_displaced",
                LOG_STRING("peer", conn_peer_text(reader->conn)));
    stop_reader(reader);
    reader->is_displaced = true;
    if (has_live_backlog(&reader->follower)) {
        conn_close(reader->conn, CONN_CLOSE_LOCAL);
    } else {
        conn_close_after_output(reader->conn, CONN_CLOSE_LOCAL);
    }
}

/* False when the request has been refused: the client's address has its share. */
static bool make_live_room(struct live *live, struct http_request *request)
{
    const struct admin_settings *settings = live->admin->settings;
    const struct conn *conn = http_request_conn(request);
    struct live_address address = conn ? live_address_of(conn) : (struct live_address){0};
    if (settings->address_watchers > 0 &&
        live_shares_count(&live->shares, &address) >= (size_t)settings->address_watchers) {
        admin_respond_error(request, 503,
                            "this address has as many live streams as web.address_watchers");
        return false;
    }
    if (live->count < (size_t)settings->max_watchers) {
        return true;
    }
    struct live_share *chosen = live_shares_choose(&live->shares, &address);
    if (!chosen) {
        admin_respond_error(request, 503, "there are as many live streams as web.max_watchers");
        return false;
    }
    displace_reader(live, list_entry(chosen, struct live_reader, share));
    return true;
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
    follower_wait(&reader->space->readers, &reader->follower);
    follower_list_serve(&reader->space->readers);
}

/* False when it has been answered. */
static bool read_form(struct http_request *request, enum live_form *form)
{
    bool servers = false;
    if (!admin_read_switch(request, "servers", &servers)) {
        return false;
    }
    *form = servers ? LIVE_SERVERS : LIVE_CLIENTS;
    return true;
}

static void on_live_request(void *arg, struct http_request *request)
{
    struct admin *admin = arg;
    struct live *live = admin->live;
    const struct admin_settings *settings = admin->settings;
    const char *why = NULL;
    if (!admin_allows(admin, request, admin_either(settings->page, settings->api))) {
        return;
    }
    enum live_form form;
    if (!read_form(request, &form)) {
        return;
    }
    struct admin_space *space = form == LIVE_SERVERS ? admin_space_of_servers(admin, request)
                                                     : admin_space_asked(admin, request);
    if (!space) {
        return;
    }
    if (!bytes_equal(http_request_method(request), BYTES_LITERAL("GET"))) {
        http_respond(request, 200, "text/event-stream",
                     "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
                     (struct bytes){0});
        return;
    }
    if (!admin_space_hold(space, &why)) {
        admin_respond_error(request, 503, why);
        return;
    }
    if (!make_live_room(live, request)) {
        admin_space_release(space);
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
    follower_init(&reader->follower);
    reader->share.address = live_address_of(conn);
    reader->share.number = live->opened++;
    list_append(&live->shares, &reader->share.link);
    live->count++;
    conn_set_handler(conn, &handler, reader);
    begin_live_stream(reader);
    (void)admin_nodes_refresh(admin); /* which may send to all readers at once */
    if (!loop_timer_is_running(live->tick)) {
        loop_timer_start(live->tick, TICK_MS);
    }
}

struct live *live_create(struct admin *admin)
{
    struct live *live = mem_zalloc(1, sizeof *live);
    live->admin = admin;
    list_init(&live->shares);
    live->displaced_limit = (struct log_limit){.burst = 10};
    live->tick = loop_timer_create(admin->loop, on_live_tick, live);
    return live;
}

void live_destroy(struct live **pointer)
{
    struct live *live = *pointer;
    *pointer = NULL;
    loop_timer_destroy(&live->tick);
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
