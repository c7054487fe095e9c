/*
 * lobby_game: game servers that have logged in: their messages, and pings.
 *
 * A ping is sent every lobby.ping. When the next is due and the last is not answered, the server is
 * suspect; with lobby.max_missed unanswered, or one for lobby.timeout, it is dropped. The
 * original's servers know no ping: they are dropped when they send nothing for
 * lobby.original_timeout.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/lobby/lobby_private.h"

#define PLAYERS_PER_UNIT 2 /* of the budget */

static void set_suspect(struct game *game, bool suspect)
{
    if (game->suspect == suspect) {
        return;
    }
    game->suspect = suspect;
    metrics_add(METRIC_LOBBY_SUSPECTED, suspect);
    lobby_listing_update(game);
}

static void drop_inactive_game(struct game *game, const char *why)
{
    lobby_end(game->session,
              &(struct lobby_ending){LOBBY_CODE_TIMEOUT, why, CONN_CLOSE_SILENT, false});
}

static uint64_t unanswered_probes(const struct game *game)
{
    return game->sent - game->answered;
}

/* The timer fires when the next ping is due, or when a ping has been unanswered for too long. */
static void start_timer(struct game *game)
{
    const struct lobby_settings *settings = lobby_settings_of(game->session);
    const uint64_t now = lobby_now(game->session);
    uint64_t at = game->ping_ms;

    if (unanswered_probes(game) > 0 && game->unanswered_ms + (uint64_t)settings->timeout < at) {
        at = game->unanswered_ms + (uint64_t)settings->timeout;
    }
    loop_timer_start(game->timer, at > now ? at - now : 0);
}

static void send_ping(struct game *game)
{
    struct writer message = {0};
    const uint64_t now = lobby_now(game->session);

    if (unanswered_probes(game) == 0) {
        game->unanswered_ms = now;
    }
    game->ping_ms = now + (uint64_t)lobby_settings_of(game->session)->ping;
    lobby_write_ping(&message, ++game->sent);
    lobby_send(game->session, &message);
}

static void on_game_timer(void *arg)
{
    struct game *game = arg;
    const struct lobby_settings *settings = lobby_settings_of(game->session);
    const uint64_t now = lobby_now(game->session), missed = unanswered_probes(game);

    if (!lobby_is_json(game->session)) {
        drop_inactive_game(game, "no message for too long");
        return;
    }
    if (missed > 0 && (missed >= (uint64_t)settings->max_missed ||
                       now - game->unanswered_ms >= (uint64_t)settings->timeout)) {
        drop_inactive_game(game, "pings are not answered");
        return;
    }
    if (now >= game->ping_ms) {
        set_suspect(game, missed > 0);
        send_ping(game);
    }
    start_timer(game);
}

static void handle_pong(struct game *game, uint64_t n)
{
    metrics_add(METRIC_LOBBY_PONG, 1);
    if (n == 0 || n > game->sent) {
        lobby_refuse(game->session, LOBBY_CODE_BAD_NUMBER, "no ping had this number");
        return;
    }
    if (n <= game->answered) {
        return; /* again */
    }
    game->answered = n;
    game->unanswered_ms = lobby_now(game->session);
    set_suspect(game, false);
    start_timer(game);
}

void lobby_game_mark_active(struct game *game)
{
    loop_timer_start(game->timer, (uint64_t)lobby_settings_of(game->session)->original_timeout);
}

void lobby_game_set_address(struct game *game, uint16_t port)
{
    game->address = *conn_peer(game->session->conn);
    game->address.port = port;
    (void)address_format(&game->address, game->id);
}

static void welcome_game(struct game *game, bool verify)
{
    struct writer message = {0};

    lobby_write_welcome(&message, bytes_from_string(game->id), verify);
    lobby_send(game->session, &message);
}

void lobby_game_begin(struct lobby_session *session, const char *name, uint16_t port)
{
    const struct lobby_settings *settings = lobby_settings_of(session);
    const bool json = lobby_is_json(session);
    const bool verify = json && settings->verify == LOBBY_VERIFY_UDP;
    struct game *game = mem_zalloc(1, sizeof *game);

    session->game = game;
    game->session = session;
    game->name = name ? mem_strdup(name) : NULL;
    game->timer = loop_timer_create(session->port->service->common.loop, on_game_timer, game);
    if (!json) {
        game->verified = true;
        lobby_game_mark_active(game);
        return;
    }
    lobby_game_set_address(game, port);
    game->ping_ms = lobby_now(session) + (uint64_t)settings->ping;
    start_timer(game);
    welcome_game(game, verify);
    if (verify) {
        lobby_verify_begin(game);
    } else {
        game->verified = true;
    }
}

void lobby_game_free(struct lobby_session *session, bool leave)
{
    struct game *game = session->game;

    session->game = NULL;
    lobby_verify_end(game);
    lobby_listing_end(game, leave);
    loop_timer_destroy(&game->timer);
    gameserver_fields_free(&game->wanted);
    gameserver_fields_free(&game->changes);
    free(game->name);
    free(game);
}

void lobby_game_verified(struct game *game)
{
    game->verified = true;
    lobby_listing_update(game);
}

void lobby_game_set_infos(struct game *game, const struct lobby_infos *infos, struct bytes original)
{
    const size_t players = game->session->port->service->slots[POOL_CLIENTS].taken;

    metrics_add(METRIC_LOBBY_INFOS, 1);
    conn_charge(game->session->conn, (uint32_t)(players / PLAYERS_PER_UNIT));
    gameserver_fields_from_infos(&game->wanted, infos, original);
    game->has_infos = true;
    lobby_listing_update(game);
}

static void handle_json_infos(struct game *game, const struct lobby_message *message)
{
    if (message->port != 0 && message->port != game->address.port) {
        lobby_refuse(game->session, LOBBY_CODE_BAD_MESSAGE, "port: not that of the login");
    } else {
        lobby_game_set_infos(game, &message->infos, (struct bytes){0});
    }
}

void lobby_game_handle(struct lobby_session *session, const struct lobby_message *message)
{
    switch (message->type) {
    case LOBBY_INFOS:
        handle_json_infos(session->game, message);
        break;
    case LOBBY_PONG:
        handle_pong(session->game, message->number);
        break;
    case LOBBY_VERIFY:
        lobby_verify_check(session->game, message->number);
        break;
    default: /* lobby_read returns no other of a peer */
        break;
    }
}
