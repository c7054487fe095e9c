/*
 * lobby_listing: a game server's entry in the map.
 *
 *   NONE ─verified, infos─► OPENING ─ok────────────────► LISTED
 *                              │ owned                     ▲
 *                              ▼                           │
 *                           RESUMING ─ok───────────────────┤
 *                              │ missing                   │
 *                              ▼                           │
 *                           REOPENING ─ok──────────────────┘
 *
 * Its id is its address and port, so an id that is taken is most likely its own: of an old
 * connection that lingers, on any front-end, or of a registration with the master. It takes that
 * entry over by a secret that no client can send: login and verification decide.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "protocol/lobby/lobby_private.h"
#include "registration/registration.h"

static struct bytes game_id(const struct game *game)
{
    return bytes_from_string(game->id);
}

/* The map's side. */

static uint64_t on_idle_ms(void *arg)
{
    const struct game *game = arg;

    return conn_idle_ms(game->session->conn);
}

static void on_listing_end(void *arg, enum map_end why)
{
    static const struct lobby_ending endings[] = {
        [MAP_END_SILENT] = {LOBBY_CODE_TIMEOUT, "no message for too long", CONN_CLOSE_SILENT,
                            false},
        [MAP_END_KICKED] = {LOBBY_CODE_COUNT, "kicked", CONN_CLOSE_KICKED, false},
        [MAP_END_DROPPED] = {LOBBY_CODE_TAKEN, "a later connection has this address and port",
                             CONN_CLOSE_LOCAL, true},
        [MAP_END_TAKEN] = {LOBBY_CODE_TAKEN, "a later connection has this address and port",
                           CONN_CLOSE_TAKEN, true}};
    struct game *game = arg;

    lobby_end(game->session, &endings[why]);
}

static bool on_is_gone(void *arg)
{
    const struct game *game = arg;

    return conn_peer_is_gone(game->session->conn);
}

static const struct map_sink sink = {
    .idle_ms = on_idle_ms, .end = on_listing_end, .is_gone = on_is_gone};

/* The same for every login with the same password's name, address and port. No client's secret has
 * this form: those of other protocols are hashes. The caller frees. */
static char *resume_secret(const struct game *game)
{
    return mem_format("lobby %s %s", game->name ? game->name : "", game->id);
}

static void set_listing(struct game *game, enum listing_state listing)
{
    metrics_add(METRIC_LOBBY_LISTED,
                (listing == LISTING_LISTED) - (game->listing == LISTING_LISTED));
    game->listing = listing;
}

static void open_listing(struct game *game, enum listing_state state);

/* Sets the fields that differ from those of the entry. */
static void put_differences(struct game *game)
{
    struct map_field suspect = {.name = BYTES_LITERAL("suspect")};
    const struct bytes present = map_session_fields(game->map, game_id(game));

    if (game->suspect) {
        suspect.value = BYTES_LITERAL("1");
    }
    gameserver_fields_from_difference(&game->changes, present, &game->wanted);
    if (game->changes.count > 0) {
        (void)map_session_set(game->map, game_id(game), game->changes.fields, game->changes.count);
    }
    (void)map_session_set(game->map, game_id(game), &suspect, 1);
}

static void fail_listing(struct game *game, enum map_result result)
{
    set_listing(game, LISTING_NONE);
    if (result == MAP_OWNED || result == MAP_TAKEN || result == MAP_MISSING) {
        lobby_end_with(game->session, LOBBY_CODE_TAKEN,
                       "another connection has this address and port");
    } else if (result == MAP_LIMIT) {
        lobby_end_with(game->session, LOBBY_CODE_FULL, "the list is full");
    } else if (result == MAP_FULL) {
        lobby_end_with(game->session, LOBBY_CODE_FULL, "the memory of Redis is nearly full");
    } else {
        lobby_end_with(game->session, LOBBY_CODE_UNAVAILABLE, "the map does not answer");
    }
}

static void resume_listing(struct game *game, map_done done)
{
    char *secret = resume_secret(game);

    set_listing(game, LISTING_RESUMING);
    map_session_resume(game->map, game_id(game), bytes_from_string(secret), done, game);
    free(secret);
}

static void on_listing_result(void *arg, enum map_result result, uint64_t version)
{
    struct game *game = arg;

    if (result == MAP_OK) {
        set_listing(game, LISTING_LISTED);
        put_differences(game); /* newer infos may have come meanwhile */
    } else if (game->listing == LISTING_OPENING && result == MAP_OWNED) {
        resume_listing(game, on_listing_result);
    } else if (game->listing == LISTING_RESUMING &&
               (result == MAP_MISSING || result == MAP_OWNED)) {
        registration_remove(game->session->port->space, game_id(game), NULL, NULL);
        open_listing(game, LISTING_REOPENING);
    } else {
        fail_listing(game, result);
    }
}

static void open_listing(struct game *game, enum listing_state state)
{
    char *secret = resume_secret(game);
    const struct map_open open = {.id = game_id(game),
                                  .resume = bytes_from_string(secret),
                                  .fields = game->wanted.fields,
                                  .field_count = game->wanted.count};

    set_listing(game, state);
    map_session_open_fields(game->map, &open, on_listing_result, game);
    free(secret);
}

void lobby_listing_update(struct game *game)
{
    if (game->listing == LISTING_LISTED) {
        put_differences(game);
        return;
    }
    if (game->listing != LISTING_NONE || !game->verified || !game->has_infos || game->id[0] == 0) {
        return;
    }
    if (!game->map) {
        game->map = map_session_create(game->session->port->space, "lobby",
                                       conn_peer_text(game->session->conn), &sink, game);
        map_session_count_in(game->map, conn_limited_account(game->session->conn));
    }
    open_listing(game, LISTING_OPENING);
}

void lobby_listing_end(struct game *game, bool leave)
{
    set_listing(game, LISTING_NONE);
    map_session_end(&game->map, leave);
}
