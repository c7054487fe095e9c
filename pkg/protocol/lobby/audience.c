/*
 * lobby_audience: the list of a space's game servers as players are told it.
 *
 * Each server is kept written, so that a change is written once for all players, and the whole list
 * is put together without being written again. Lines stand in the order of their last change, and
 * each change has a stamp: a player who has fallen behind keeps one number, and goes on from there
 * with the newest state of what changed since, however much that was. What is gone keeps its place
 * for a while; a player who has missed what is forgotten gets the whole list again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/lobby/lobby_private.h"

#define GONE_MAX 1024 /* lines that are kept although they are gone */

static void serve_players(void *arg)
{
    struct lobby_audience *audience = arg;

    if (audience->watcher.view != NULL && map_view_is_live(audience->watcher.view))
        lobby_players_serve(audience);
}

static void flow_players(void *arg)
{
    lobby_players_flow(arg);
}

/* Lines. */

static struct line *find_server_line(const struct lobby_audience *audience, struct bytes id)
{
    struct line *line = NULL;

    HASH_FIND(hh, audience->lines, id.data, id.len, line);
    return line;
}

bool lobby_audience_lists(const struct lobby_audience *audience, const char *id)
{
    return find_server_line(audience, bytes_from_string(id)) != NULL;
}

static void mark_line_changed(struct lobby_audience *audience, struct line *line)
{
    line->stamp = ++audience->stamp;
    list_remove(&line->link);
    list_append(&audience->changes, &line->link);
}

static struct line *add_server_line(struct lobby_audience *audience, struct bytes id)
{
    struct line *line = mem_zalloc(1, sizeof *line + id.len + 1);

    memcpy(line->id, id.data, id.len);
    line->id_len = id.len;
    list_init(&line->link);
    list_init(&line->in_gone);
    line->born = audience->stamp + 1;
    HASH_ADD_KEYPTR(hh, audience->lines, line->id, line->id_len, line);
    return line;
}

static void free_line(struct line *line)
{
    list_remove(&line->link);
    list_remove(&line->in_gone);
    writer_free(&line->text);
    free(line);
}

static void forget_oldest(struct lobby_audience *audience)
{
    struct line *line = list_entry(audience->gone.next, struct line, in_gone);

    if (audience->forgotten < line->stamp)
        audience->forgotten = line->stamp;
    audience->gone_count--;
    free_line(line);
}

static void remove_line(struct lobby_audience *audience, struct line *line)
{
    assert(audience->lines != NULL); /* it is one of them */
    HASH_DEL(audience->lines, line);
    line->gone = true;
    mark_line_changed(audience, line);
    list_append(&audience->gone, &line->in_gone);
    if (++audience->gone_count > GONE_MAX)
        forget_oldest(audience);
}

static void free_lines(struct lobby_audience *audience)
{
    HASH_CLEAR(hh, audience->lines);
    LIST_FOREACH (node, &audience->changes)
        free_line(list_entry(node, struct line, link));
    audience->gone_count = 0;
    audience->forgotten = audience->stamp;
    frame_unref(&audience->all);
}

/* Writing. */

/* What is told of a server whose infos fit no line. */
static bool is_wanted_always(struct bytes name)
{
    static const char *const names[] = {"speed",   "size",    "erase",       "description",
                                        "version", "players", "max_players", "game",
                                        "map",     "protocol"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (bytes_equal(name, bytes_from_string(names[i])))
            return true;
    }
    return false;
}

static bool line_fits(const struct writer *text)
{
    return !text->failed && text->len <= LOBBY_SERVER_MAX;
}

/* False when it fits no line even so. */
static bool write_fitting_server(struct writer *text, struct gameserver *gameserver)
{
    struct lobby_infos *infos = &gameserver->server.infos;
    size_t kept = 0;

    lobby_write_server(text, &gameserver->server);
    if (line_fits(text))
        return true;
    for (size_t i = 0; i < infos->property_count; i++) {
        if (is_wanted_always(infos->properties[i].name))
            gameserver->properties[kept++] = infos->properties[i];
    }
    infos->property_count = kept;
    writer_reset(text);
    lobby_write_server(text, &gameserver->server);
    return line_fits(text);
}

static void take_listed_server(struct lobby_audience *audience, struct line *line,
                               struct gameserver *gameserver)
{
    uint8_t packet[GLTRON_PACKET_SIZE] = {0};
    struct writer text = {0};
    bool has_packet;

    if (!write_fitting_server(&text, gameserver)) {
        writer_free(&text);
        metrics_add(METRIC_LOBBY_UNFIT, 1);
        log_limited(LOG_WARN, &audience->unfit_limit, "server_not_sent",
                    LOG_BYTES("id", gameserver->server.id),
                    LOG_STRING("reason", "it fits no line"));
        if (line != NULL)
            remove_line(audience, line);
        return;
    }
    has_packet = lobby_original_write(gameserver, packet);
    if (line != NULL && line->has_packet == has_packet &&
        (!has_packet || memcmp(line->packet, packet, sizeof packet) == 0) &&
        bytes_equal(writer_bytes_written(&line->text), writer_bytes_written(&text))) {
        writer_free(&text);
        return;
    }
    if (line == NULL)
        line = add_server_line(audience, gameserver->server.id);
    writer_free(&line->text);
    line->text = text;
    line->has_packet = has_packet;
    memcpy(line->packet, packet, sizeof packet);
    mark_line_changed(audience, line);
}

static void take_lobby_entry(struct lobby_audience *audience, const struct map_entry *entry)
{
    struct line *line = find_server_line(audience, map_entry_id(entry));
    struct gameserver gameserver;

    if (gameserver_read(entry, &gameserver)) {
        take_listed_server(audience, line, &gameserver);
        gameserver_free(&gameserver);
    } else if (line != NULL) {
        remove_line(audience, line);
    }
}

/* What the view brings. */

/* The view is complete, and may be another than the one that was known. */
static void take_lobby_view(struct lobby_audience *audience)
{
    struct map_view *view = audience->watcher.view;
    struct line *line, *next;
    size_t count;
    struct map_entry *const *entries = map_view_sorted(view, &count);

    HASH_ITER (hh, audience->lines, line, next) {
        if (map_view_find(view, (struct bytes){(uint8_t *)line->id, line->id_len}) == NULL)
            remove_line(audience, line);
    }
    for (size_t i = 0; i < count; i++)
        take_lobby_entry(audience, entries[i]);
}

static const char too_large[] = "there are more servers than view.max_entries";

static void refuse_lobby_map(struct lobby_audience *audience)
{
    log_limited(LOG_WARN, &audience->refused_limit, "snapshot_refused",
                LOG_STRING("space", map_space_name(audience->space)),
                LOG_STRING("reason", too_large));
    lobby_players_end_all(audience, too_large);
    lobby_audience_release(audience);
}

static void on_lobby_view_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
    struct lobby_audience *audience = list_entry(watcher, struct lobby_audience, watcher);
    const uint64_t before = audience->stamp;

    if (map_view_is_over(watcher->view)) {
        refuse_lobby_map(audience);
        return;
    }
    for (size_t i = 0; i < changes->closed_count; i++) {
        struct line *line = find_server_line(audience, changes->closed[i]);

        if (line != NULL)
            remove_line(audience, line);
    }
    for (size_t i = 0; i < changes->changed_count; i++)
        take_lobby_entry(audience, changes->changed[i]);
    if (audience->stamp != before)
        lobby_players_tell(audience, before);
}

static void on_lobby_view_live(struct map_watcher *watcher)
{
    struct lobby_audience *audience = list_entry(watcher, struct lobby_audience, watcher);
    const uint64_t before = audience->stamp;

    take_lobby_view(audience);
    if (audience->stamp != before)
        lobby_players_tell(audience, before);
    lobby_audience_ask_to_serve(audience);
}

/* Audiences. */

struct lobby_audience *lobby_audience_of(struct lobby_service *service, struct map_space *space)
{
    struct lobby_audience *audience;

    LIST_FOREACH (node, &service->audiences) {
        audience = list_entry(node, struct lobby_audience, link);
        if (audience->space == space)
            return audience;
    }
    audience = mem_zalloc(1, sizeof *audience);
    audience->service = service;
    audience->space = space;
    audience->watcher.changed = on_lobby_view_changed;
    audience->watcher.live = on_lobby_view_live;
    list_init(&audience->watcher.link);
    list_init(&audience->changes);
    list_init(&audience->gone);
    for (size_t i = 0; i < PLAYER_STATES; i++)
        list_init(&audience->players[i]);
    audience->serve = (struct loop_task){.callback = serve_players, .arg = audience};
    audience->flow = loop_timer_create(service->common.loop, flow_players, audience);
    list_append(&service->audiences, &audience->link);
    return audience;
}

void lobby_audience_free(struct lobby_audience *audience)
{
    map_unwatch(&audience->watcher);
    free_lines(audience);
    loop_cancel(audience->service->common.loop, &audience->serve);
    loop_timer_destroy(&audience->flow);
    list_remove(&audience->link);
    free(audience);
}

const char *lobby_audience_watch(struct lobby_audience *audience)
{
    const char *why = NULL;

    if (audience->watcher.view != NULL)
        return NULL;
    if (map_watch(audience->space, &audience->watcher, &why) == NULL)
        return why;
    if (map_view_is_live(audience->watcher.view))
        take_lobby_view(audience);
    return NULL;
}

void lobby_audience_release(struct lobby_audience *audience)
{
    for (size_t i = 0; i < PLAYER_STATES; i++) {
        if (!list_is_empty(&audience->players[i]))
            return;
    }
    map_unwatch(&audience->watcher);
    free_lines(audience);
}

void lobby_audience_ask_to_serve(struct lobby_audience *audience)
{
    /* After what the views tell, so that nobody is told the same twice. */
    loop_defer(audience->service->common.loop, LOOP_PHASE_STORE, &audience->serve);
}

static void write_all_lines(const struct lobby_audience *audience, struct writer *to)
{
    const size_t count = HASH_COUNT(audience->lines);
    struct bytes *texts = mem_zalloc(count + 1, sizeof *texts);
    size_t used = 0, done = 0;

    LIST_FOREACH (node, &audience->changes) {
        const struct line *line = list_entry(node, struct line, link);

        if (!line->gone)
            texts[used++] = writer_bytes_written(&line->text);
    }
    do
        done += lobby_write_servers_of(to, texts + done, used - done, LOBBY_LINE_MAX);
    while (done < used);
    free(texts);
}

struct frame *lobby_audience_all(struct lobby_audience *audience)
{
    struct writer text = {0};

    if (audience->all != NULL && audience->all_stamp == audience->stamp)
        return audience->all;
    frame_unref(&audience->all);
    write_all_lines(audience, &text);
    audience->all = frame_create(writer_bytes_written(&text));
    audience->all_stamp = audience->stamp;
    writer_free(&text);
    return audience->all;
}

struct line *lobby_audience_after(const struct lobby_audience *audience, uint64_t stamp)
{
    const struct list *node = &audience->changes;

    while (node->prev != &audience->changes &&
           list_entry(node->prev, struct line, link)->stamp > stamp)
        node = node->prev;
    return node != &audience->changes ? list_entry(node, struct line, link) : NULL;
}

struct line *lobby_audience_next(const struct lobby_audience *audience, const struct line *line)
{
    struct list *node = line->link.next;

    return node != &audience->changes ? list_entry(node, struct line, link) : NULL;
}
