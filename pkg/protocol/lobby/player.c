/*
 * lobby_player: players: the whole list once, then its changes, as fast as they read.
 *
 *   DUE ─whole list─► CURRENT ─has missed changes─► BACKLOGGED ─has been sent all─► CURRENT
 */
#include <stdlib.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/lobby/lobby_private.h"

static struct lobby_subscribers *subscribers_of_player(const struct player *player)
{
    return player->session->port->subscribers;
}

static void end_half_closed(struct player *player)
{
    lobby_end(player->session, &(struct lobby_ending){LOBBY_CODE_COUNT, "closed by the peer",
                                                      CONN_CLOSE_PEER, false});
}

/* Every change of a player's state. A player whose state stays the same keeps its place in the
 * list, so that an iteration over the list meets it once. */
static void move_player(struct player *player, enum player_state state)
{
    if (player->state == state && !list_is_empty(&player->link))
        return;
    player->state = (uint8_t)state;
    list_remove(&player->link);
    list_append(&subscribers_of_player(player)->players[state], &player->link);
}

/* JSON. */

/* What a change means to a player that has seen those up to a stamp; LOBBY_TYPES: nothing. */
static enum lobby_type change_type_of(const struct line *line, uint64_t seen)
{
    const bool is_new = line->born > seen;

    if (line->gone)
        return is_new ? LOBBY_TYPES : LOBBY_DOWN;
    return is_new ? LOBBY_UP : LOBBY_CHANGED;
}

static void write_line(struct writer *to, const struct line *line, uint64_t seen,
                       int64_t counts[LOBBY_TYPES])
{
    const enum lobby_type type = change_type_of(line, seen);

    if (type == LOBBY_TYPES)
        return;
    lobby_write_change_of(to, type, writer_bytes_written(&line->text));
    counts[type]++;
}

static void count_lobby_pushes(const int64_t counts[LOBBY_TYPES])
{
    metrics_add(METRIC_LOBBY_PUSH_UP, counts[LOBBY_UP]);
    metrics_add(METRIC_LOBBY_PUSH_CHANGED, counts[LOBBY_CHANGED]);
    metrics_add(METRIC_LOBBY_PUSH_DOWN, counts[LOBBY_DOWN]);
}

static void send_all(struct player *player)
{
    struct lobby_subscribers *subscribers = subscribers_of_player(player);

    conn_send_frame(player->session->conn, lobby_subscribers_all(subscribers));
    player->seen = subscribers->stamp;
    metrics_add(METRIC_LOBBY_PUSH_SERVERS, 1);
}

/* At most lobby.chunk bytes (and a line) of missed changes; true when that was all. */
static bool send_missed_lines(struct player *player)
{
    const struct lobby_subscribers *subscribers = subscribers_of_player(player);
    const size_t limit = (size_t)lobby_settings_of(player->session)->chunk;
    const uint64_t seen = player->seen;
    int64_t counts[LOBBY_TYPES] = {0};
    struct writer text = {0};
    struct line *line = lobby_subscribers_first_after(subscribers, seen);

    for (; line != NULL && text.len < limit; line = lobby_subscribers_next(subscribers, line)) {
        write_line(&text, line, seen, counts);
        player->seen = line->stamp;
    }
    count_lobby_pushes(counts);
    lobby_send(player->session, &text);
    return line == NULL;
}

static void send_next_player_chunk(struct player *player)
{
    struct lobby_subscribers *subscribers = subscribers_of_player(player);
    bool done = true;

    if (!lobby_is_json(player->session))
        lobby_original_send_changes(player);
    else if (player->seen < subscribers->forgotten)
        send_all(player);
    else
        done = send_missed_lines(player);
    move_player(player, done ? PLAYER_CURRENT : PLAYER_BACKLOGGED);
    if (!done && !loop_timer_is_running(subscribers->flow))
        loop_timer_start(subscribers->flow, 0);
}

static void send_whole_list(struct player *player)
{
    if (lobby_is_json(player->session))
        send_all(player);
    else
        lobby_original_send_changes(player);
    move_player(player, PLAYER_CURRENT);
    if (player->last)
        end_half_closed(player);
}

/* The changes of one event-loop iteration, written once for all players that had seen the rest. */
struct lobby_iteration {
    uint64_t before;
    struct frame *frame; /* NULL: not written */
    int64_t counts[LOBBY_TYPES];
};

static void write_iteration_lines(struct lobby_iteration *iteration,
                                  const struct lobby_subscribers *subscribers)
{
    struct writer text = {0};

    for (struct line *line = lobby_subscribers_first_after(subscribers, iteration->before);
         line != NULL; line = lobby_subscribers_next(subscribers, line))
        write_line(&text, line, iteration->before, iteration->counts);
    iteration->frame = frame_create(writer_bytes_written(&text));
    writer_free(&text);
}

static void send_iteration_lines(struct player *player, struct lobby_iteration *iteration)
{
    struct lobby_subscribers *subscribers = subscribers_of_player(player);

    if (conn_has_backlog(player->session->conn)) {
        if (player->seen == iteration->before)
            metrics_add(METRIC_CONFLATIONS, 1);
    } else if (!lobby_is_json(player->session) || player->seen != iteration->before) {
        send_next_player_chunk(player);
    } else {
        if (iteration->frame == NULL)
            write_iteration_lines(iteration, subscribers);
        if (iteration->frame->len > 0)
            conn_send_frame(player->session->conn, iteration->frame);
        count_lobby_pushes(iteration->counts);
        player->seen = subscribers->stamp;
    }
}

/* The subscribers. */

void lobby_players_send_lists(struct lobby_subscribers *subscribers)
{
    LIST_FOREACH (node, &subscribers->players[PLAYER_DUE]) {
        struct player *player = list_entry(node, struct player, link);

        if (player->read == NULL)
            send_whole_list(player);
    }
}

void lobby_players_send_changes(struct lobby_subscribers *subscribers, uint64_t before)
{
    struct lobby_iteration iteration = {.before = before};

    LIST_FOREACH (node, &subscribers->players[PLAYER_CURRENT])
        send_iteration_lines(list_entry(node, struct player, link), &iteration);
    frame_unref(&iteration.frame);
}

void lobby_players_send_backlog(struct lobby_subscribers *subscribers)
{
    LIST_FOREACH (node, &subscribers->players[PLAYER_BACKLOGGED]) {
        struct player *player = list_entry(node, struct player, link);

        if (!conn_has_backlog(player->session->conn))
            send_next_player_chunk(player);
    }
}

void lobby_players_end_all(struct lobby_subscribers *subscribers, const char *why)
{
    for (size_t i = 0; i < PLAYER_STATES; i++) {
        LIST_FOREACH (node, &subscribers->players[i])
            lobby_end_with(list_entry(node, struct player, link)->session, LOBBY_CODE_UNAVAILABLE,
                           why);
    }
}

/* A player. */

static void on_player_reached(void *arg, bool known, bool stale)
{
    struct player *player = arg;

    player->read = NULL;
    if (known)
        lobby_subscribers_serve_soon(subscribers_of_player(player));
    else
        lobby_end_with(player->session, LOBBY_CODE_UNAVAILABLE, "the map does not answer");
}

void lobby_player_begin(struct lobby_session *session)
{
    struct lobby_subscribers *subscribers = session->port->subscribers;
    const size_t places = lobby_is_json(session) ? 0 : GLTRON_SERVERS;
    struct player *player = mem_zalloc(1, sizeof *player + places * sizeof *player->places);
    const char *why;

    session->player = player;
    player->session = session;
    list_init(&player->link);
    why = lobby_subscribers_watch(subscribers);
    if (why != NULL) {
        lobby_end_with(session, LOBBY_CODE_UNAVAILABLE, why);
        return;
    }
    move_player(player, PLAYER_DUE);
    player->read = map_read(subscribers->watcher.view, MAP_READ_HERE, on_player_reached, player);
}

void lobby_player_free(struct lobby_session *session)
{
    struct player *player = session->player;

    session->player = NULL;
    map_read_cancel(&player->read);
    list_remove(&player->link);
    if (!lobby_is_json(session))
        lobby_original_free_places(player);
    free(player);
    lobby_subscribers_release(session->port->subscribers);
}

void lobby_player_drained(struct player *player)
{
    const struct lobby_subscribers *subscribers = subscribers_of_player(player);

    if (player->state != PLAYER_DUE && player->seen != subscribers->stamp)
        send_next_player_chunk(player);
}

void lobby_player_ended(struct player *player)
{
    if (player->state != PLAYER_DUE)
        end_half_closed(player);
    else
        player->last = true;
}
