/*
 * lobby_player: players are followers of the list (view/follower.h). The place of one that catches
 * up is the stamp of the last change that it was sent.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/lobby/lobby_private.h"

static struct lobby_subscribers *subscribers_of_player(const struct player *player)
{
    return player->session->port->subscribers;
}

static struct player *player_of(const struct follower *follower)
{
    return list_entry(follower, struct player, follower);
}

static void end_half_closed(struct player *player)
{
    lobby_end(player->session, &(struct lobby_ending){LOBBY_CODE_COUNT, "closed by the peer",
                                                      CONN_CLOSE_PEER, false});
}

/* JSON. */

/* What a change means to a player that has seen those up to a stamp; LOBBY_TYPES: nothing. */
static enum lobby_type change_type_of(const struct line *line, uint64_t seen)
{
    const bool is_new = line->born > seen;

    if (line->gone) {
        return is_new ? LOBBY_TYPES : LOBBY_DOWN;
    }
    return is_new ? LOBBY_UP : LOBBY_CHANGED;
}

static void write_line(struct writer *to, const struct line *line, uint64_t seen,
                       int64_t counts[LOBBY_TYPES])
{
    const enum lobby_type type = change_type_of(line, seen);

    if (type == LOBBY_TYPES) {
        return;
    }
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
    struct frame *all = lobby_subscribers_all(subscribers);

    conn_charge(player->session->conn, (uint32_t)(all->len / 1024));
    conn_send_frame(player->session->conn, all);
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

    for (; line && text.len < limit; line = lobby_subscribers_next(subscribers, line)) {
        write_line(&text, line, seen, counts);
        player->seen = line->stamp;
    }
    count_lobby_pushes(counts);
    lobby_send(player->session, &text);
    return !line;
}

static bool is_list_readable(void *arg)
{
    const struct lobby_subscribers *subscribers = arg;

    return subscribers->watcher.view != NULL && map_view_is_live(subscribers->watcher.view);
}

static bool has_player_backlog(const struct follower *follower)
{
    return conn_has_backlog(player_of(follower)->session->conn);
}

static enum follower_state send_whole_list(struct follower *follower)
{
    struct player *player = player_of(follower);

    if (lobby_is_json(player->session)) {
        send_all(player);
    } else {
        lobby_original_send_changes(player);
    }
    if (!player->last) {
        return FOLLOWER_CURRENT;
    }
    end_half_closed(player);
    return FOLLOWER_OFF;
}

static enum follower_state send_player_chunk(struct follower *follower)
{
    struct player *player = player_of(follower);

    if (!lobby_is_json(player->session)) {
        lobby_original_send_changes(player);
        return FOLLOWER_CURRENT;
    }
    if (player->seen < subscribers_of_player(player)->forgotten) {
        return FOLLOWER_BACKLOGGED;
    }
    return send_missed_lines(player) ? FOLLOWER_CURRENT : FOLLOWER_CATCHING_UP;
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

    for (struct line *line = lobby_subscribers_first_after(subscribers, iteration->before); line;
         line = lobby_subscribers_next(subscribers, line)) {
        write_line(&text, line, iteration->before, iteration->counts);
    }
    iteration->frame = frame_create(writer_bytes_written(&text));
    writer_free(&text);
}

static void send_iteration_lines(struct follower *follower, void *changes)
{
    struct player *player = player_of(follower);
    struct lobby_subscribers *subscribers = subscribers_of_player(player);
    struct lobby_iteration *iteration = changes;

    if (!lobby_is_json(player->session)) {
        lobby_original_send_changes(player);
        return;
    }
    if (!iteration->frame) {
        write_iteration_lines(iteration, subscribers);
    }
    if (iteration->frame->len > 0) {
        conn_send_frame(player->session->conn, iteration->frame);
    }
    count_lobby_pushes(iteration->counts);
    player->seen = subscribers->stamp;
}

const struct follower_callbacks lobby_player_callbacks = {
    .is_readable = is_list_readable,
    .has_backlog = has_player_backlog,
    .send_whole = send_whole_list,
    .send_chunk = send_player_chunk,
    .send_changes = send_iteration_lines,
};

/* The subscribers. */

void lobby_players_send_changes(struct lobby_subscribers *subscribers, uint64_t before)
{
    struct lobby_iteration iteration = {.before = before};

    follower_list_publish(&subscribers->players, &iteration);
    frame_unref(&iteration.frame);
}

void lobby_players_end_all(struct lobby_subscribers *subscribers, const char *why)
{
    for (size_t state = 0; state < FOLLOWER_STATES; state++) {
        LIST_FOREACH (node, &subscribers->players.followers[state]) {
            const struct follower *follower = list_entry(node, struct follower, link);

            lobby_end_with(player_of(follower)->session, LOBBY_CODE_UNAVAILABLE, why);
        }
    }
}

/* A player. */

static void on_player_reached(void *arg, bool known, bool stale)
{
    struct player *player = arg;

    if (known) {
        follower_reached(&subscribers_of_player(player)->players, &player->follower);
    } else {
        player->follower.read = NULL;
        lobby_end_with(player->session, LOBBY_CODE_UNAVAILABLE, "the map does not answer");
    }
}

void lobby_player_begin(struct lobby_session *session)
{
    struct lobby_subscribers *subscribers = session->port->subscribers;
    const size_t places = lobby_is_json(session) ? 0 : GLTRON_SERVERS;
    struct player *player = mem_zalloc(1, sizeof *player + places * sizeof *player->places);
    const char *why;

    session->player = player;
    player->session = session;
    follower_init(&player->follower);
    why = lobby_subscribers_watch(subscribers);
    if (why) {
        lobby_end_with(session, LOBBY_CODE_UNAVAILABLE, why);
        return;
    }
    follower_wait(&subscribers->players, &player->follower);
    player->follower.read =
        map_read(subscribers->watcher.view, MAP_READ_HERE, on_player_reached, player);
}

void lobby_player_free(struct lobby_session *session)
{
    struct player *player = session->player;

    session->player = NULL;
    follower_stop(&session->port->subscribers->players, &player->follower);
    if (!lobby_is_json(session)) {
        lobby_original_free_places(player);
    }
    free(player);
    lobby_subscribers_release(session->port->subscribers);
}

void lobby_player_drained(struct player *player)
{
    follower_drained(&subscribers_of_player(player)->players, &player->follower);
}

void lobby_player_ended(struct player *player)
{
    if (player->follower.state != FOLLOWER_BACKLOGGED) {
        end_half_closed(player);
    } else {
        player->last = true;
    }
}
