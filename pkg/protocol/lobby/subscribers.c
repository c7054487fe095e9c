/*
 * lobby_subscribers: the players that follow a space's list of game servers, and that list.
 *
 * Each server is kept in its encoded form, so that a change is encoded once for all players, and
 * the whole list is assembled without encoding anything. Lines are in the order of their last
 * change, and each change has a stamp: for a player with a backlog one number is kept, from which
 * it continues with the newest state of all that has changed since. Lines that are gone are kept
 * for a while; a player that has missed one of those freed meanwhile gets the whole list again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/lobby/lobby_private.h"

#define GONE_MAX 1024 /* gone lines that are kept */

/* Lines. */

static struct line *find_server_line(const struct lobby_subscribers *subscribers, struct bytes id)
{
    struct line *line = NULL;

    HASH_FIND(hh, subscribers->lines, id.data, id.len, line);
    return line;
}

bool lobby_subscribers_has(const struct lobby_subscribers *subscribers, const char *id)
{
    return find_server_line(subscribers, bytes_from_string(id)) != NULL;
}

static void mark_line_changed(struct lobby_subscribers *subscribers, struct line *line)
{
    line->stamp = ++subscribers->stamp;
    list_remove(&line->link);
    list_append(&subscribers->changes, &line->link);
}

static struct line *add_server_line(struct lobby_subscribers *subscribers, struct bytes id)
{
    struct line *line = mem_zalloc(1, sizeof *line + id.len + 1);

    memcpy(line->id, id.data, id.len);
    line->id_len = id.len;
    list_init(&line->link);
    list_init(&line->in_gone);
    line->born = subscribers->stamp + 1;
    HASH_ADD_KEYPTR(hh, subscribers->lines, line->id, line->id_len, line);
    return line;
}

static void free_line(struct line *line)
{
    list_remove(&line->link);
    list_remove(&line->in_gone);
    writer_free(&line->text);
    free(line);
}

static void drop_oldest_gone_line(struct lobby_subscribers *subscribers)
{
    struct line *line = list_entry(subscribers->gone.next, struct line, in_gone);

    if (subscribers->forgotten < line->stamp) {
        subscribers->forgotten = line->stamp;
    }
    subscribers->gone_count--;
    free_line(line);
}

static void remove_line(struct lobby_subscribers *subscribers, struct line *line)
{
    assert(subscribers->lines); /* it is one of them */
    HASH_DEL(subscribers->lines, line);
    line->gone = true;
    mark_line_changed(subscribers, line);
    list_append(&subscribers->gone, &line->in_gone);
    if (++subscribers->gone_count > GONE_MAX) {
        drop_oldest_gone_line(subscribers);
    }
}

static void free_lines(struct lobby_subscribers *subscribers)
{
    HASH_CLEAR(hh, subscribers->lines);
    LIST_FOREACH (node, &subscribers->changes) {
        free_line(list_entry(node, struct line, link));
    }
    subscribers->gone_count = 0;
    subscribers->forgotten = subscribers->stamp;
    frame_unref(&subscribers->all);
}

/* Encoding. */

/* Properties that are kept when a server's infos do not fit a line. The infos that have a name are
 * also in pkg/codec/lobby_infos.c and lobby_write.c, and in pkg/protocol/gameserver. */
static bool is_wanted_always(struct bytes name)
{
    static const char *const names[] = {"speed",   "size",    "erase",       "description",
                                        "version", "players", "max_players", "game",
                                        "map",     "protocol"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (bytes_equal(name, bytes_from_string(names[i]))) {
            return true;
        }
    }
    return false;
}

static bool line_fits(const struct writer *text)
{
    return !text->failed && text->len <= LOBBY_SERVER_MAX;
}

/* False when it still does not fit. */
static bool write_fitting_server(struct writer *text, struct gameserver *gameserver)
{
    struct lobby_infos *infos = &gameserver->server.infos;
    size_t kept = 0;

    lobby_write_server(text, &gameserver->server);
    if (line_fits(text)) {
        return true;
    }
    for (size_t i = 0; i < infos->property_count; i++) {
        if (is_wanted_always(infos->properties[i].name)) {
            gameserver->properties[kept++] = infos->properties[i];
        }
    }
    infos->property_count = kept;
    writer_reset(text);
    lobby_write_server(text, &gameserver->server);
    return line_fits(text);
}

static void set_server_line(struct lobby_subscribers *subscribers, struct line *line,
                            struct gameserver *gameserver)
{
    uint8_t packet[GLTRON_PACKET_SIZE] = {0};
    struct writer text = {0};
    bool has_packet;

    if (!write_fitting_server(&text, gameserver)) {
        writer_free(&text);
        metrics_add(METRIC_LOBBY_UNFIT, 1);
        log_limited(LOG_WARN, &subscribers->unfit_limit, "server_not_sent",
                    LOG_BYTES("id", gameserver->server.id),
                    LOG_STRING("reason", "too long for a line"));
        if (line) {
            remove_line(subscribers, line);
        }
        return;
    }
    has_packet = lobby_original_write(gameserver, packet);
    if (line && line->has_packet == has_packet &&
        (!has_packet || memcmp(line->packet, packet, sizeof packet) == 0) &&
        bytes_equal(writer_bytes_written(&line->text), writer_bytes_written(&text))) {
        writer_free(&text);
        return;
    }
    if (!line) {
        line = add_server_line(subscribers, gameserver->server.id);
    }
    writer_free(&line->text);
    line->text = text;
    line->has_packet = has_packet;
    memcpy(line->packet, packet, sizeof packet);
    mark_line_changed(subscribers, line);
}

static void update_server_line(struct lobby_subscribers *subscribers, const struct map_entry *entry)
{
    struct line *line = find_server_line(subscribers, map_entry_id(entry));
    struct gameserver gameserver;

    if (gameserver_read(entry, &gameserver)) {
        set_server_line(subscribers, line, &gameserver);
        gameserver_free(&gameserver);
    } else if (line) {
        remove_line(subscribers, line);
    }
}

/* Changes of the view. */

/* The view is complete; it may differ from the lines in any way. */
static void update_server_lines(struct lobby_subscribers *subscribers)
{
    struct map_view *view = subscribers->watcher.view;
    struct line *line, *next;
    size_t count;
    struct map_entry *const *entries = map_view_sorted(view, &count);

    HASH_ITER (hh, subscribers->lines, line, next) {
        if (!map_view_find(view, (struct bytes){(uint8_t *)line->id, line->id_len})) {
            remove_line(subscribers, line);
        }
    }
    for (size_t i = 0; i < count; i++) {
        update_server_line(subscribers, entries[i]);
    }
}

static const char too_large[] = "there are more servers than view.max_entries";

static void refuse_lobby_map(struct lobby_subscribers *subscribers)
{
    log_limited(LOG_WARN, &subscribers->refused_limit, "snapshot_refused",
                LOG_STRING("space", map_space_name(subscribers->space)),
                LOG_STRING("reason", too_large));
    lobby_players_end_all(subscribers, too_large);
    lobby_subscribers_release(subscribers);
}

static void on_lobby_view_changed(struct map_watcher *watcher, const struct map_changes *changes)
{
    struct lobby_subscribers *subscribers = list_entry(watcher, struct lobby_subscribers, watcher);
    const uint64_t before = subscribers->stamp;

    if (map_view_is_over(watcher->view)) {
        refuse_lobby_map(subscribers);
        return;
    }
    for (size_t i = 0; i < changes->closed_count; i++) {
        struct line *line = find_server_line(subscribers, changes->closed[i]);

        if (line) {
            remove_line(subscribers, line);
        }
    }
    for (size_t i = 0; i < changes->changed_count; i++) {
        update_server_line(subscribers, changes->changed[i]);
    }
    if (subscribers->stamp != before) {
        lobby_players_send_changes(subscribers, before);
    }
}

static void on_lobby_view_live(struct map_watcher *watcher)
{
    struct lobby_subscribers *subscribers = list_entry(watcher, struct lobby_subscribers, watcher);
    const uint64_t before = subscribers->stamp;

    update_server_lines(subscribers);
    if (subscribers->stamp != before) {
        lobby_players_send_changes(subscribers, before);
    }
    follower_list_resume(&subscribers->players);
}

/* Subscribers. */

struct lobby_subscribers *lobby_subscribers_of(struct lobby_service *service,
                                               struct map_space *space)
{
    struct lobby_subscribers *subscribers;

    LIST_FOREACH (node, &service->subscriber_lists) {
        subscribers = list_entry(node, struct lobby_subscribers, link);
        if (subscribers->space == space) {
            return subscribers;
        }
    }
    subscribers = mem_zalloc(1, sizeof *subscribers);
    subscribers->service = service;
    subscribers->space = space;
    subscribers->watcher.changed = on_lobby_view_changed;
    subscribers->watcher.live = on_lobby_view_live;
    list_init(&subscribers->watcher.link);
    list_init(&subscribers->changes);
    list_init(&subscribers->gone);
    follower_list_init(&subscribers->players, service->common.loop, &lobby_player_callbacks,
                       subscribers);
    list_append(&service->subscriber_lists, &subscribers->link);
    return subscribers;
}

void lobby_subscribers_free(struct lobby_subscribers *subscribers)
{
    map_unwatch(&subscribers->watcher);
    free_lines(subscribers);
    follower_list_free(&subscribers->players);
    list_remove(&subscribers->link);
    free(subscribers);
}

const char *lobby_subscribers_watch(struct lobby_subscribers *subscribers)
{
    const char *why = NULL;

    if (subscribers->watcher.view) {
        return NULL;
    }
    if (!map_watch(subscribers->space, &subscribers->watcher, &why)) {
        return why;
    }
    if (map_view_is_live(subscribers->watcher.view)) {
        update_server_lines(subscribers);
    }
    return NULL;
}

void lobby_subscribers_release(struct lobby_subscribers *subscribers)
{
    if (!follower_list_is_empty(&subscribers->players)) {
        return;
    }
    map_unwatch(&subscribers->watcher);
    free_lines(subscribers);
}

static void write_all_lines(const struct lobby_subscribers *subscribers, struct writer *to)
{
    const size_t count = HASH_COUNT(subscribers->lines);
    struct bytes *texts = mem_zalloc(count + 1, sizeof *texts);
    size_t used = 0, done = 0;

    LIST_FOREACH (node, &subscribers->changes) {
        const struct line *line = list_entry(node, struct line, link);

        if (!line->gone) {
            texts[used++] = writer_bytes_written(&line->text);
        }
    }
    do {
        done += lobby_write_servers_of(to, texts + done, used - done, LOBBY_LINE_MAX);
    } while (done < used);
    free(texts);
}

struct frame *lobby_subscribers_all(struct lobby_subscribers *subscribers)
{
    struct writer text = {0};

    if (subscribers->all && subscribers->all_stamp == subscribers->stamp) {
        return subscribers->all;
    }
    frame_unref(&subscribers->all);
    write_all_lines(subscribers, &text);
    subscribers->all = frame_create(writer_bytes_written(&text));
    subscribers->all_stamp = subscribers->stamp;
    writer_free(&text);
    return subscribers->all;
}

struct line *lobby_subscribers_first_after(const struct lobby_subscribers *subscribers,
                                           uint64_t stamp)
{
    const struct list *node = &subscribers->changes;

    while (node->prev != &subscribers->changes &&
           list_entry(node->prev, struct line, link)->stamp > stamp) {
        node = node->prev;
    }
    return node != &subscribers->changes ? list_entry(node, struct line, link) : NULL;
}

struct line *lobby_subscribers_next(const struct lobby_subscribers *subscribers,
                                    const struct line *line)
{
    struct list *node = line->link.next;

    return node != &subscribers->changes ? list_entry(node, struct line, link) : NULL;
}
