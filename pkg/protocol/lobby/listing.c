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
 * Its id is its address and port, so an id that somebody has is most likely its own: of a
 * connection that lingers, here or on another front-end, or of a registration with the master. What
 * lets it take its place is a secret that no client can bring: the login decides, and the
 * verification.
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

static uint64_t on_silence(void *arg)
{
    const struct game *game = arg;

    return conn_silence_ms(game->session->conn);
}

static void on_listing_end(void *arg, enum map_end why)
{
    static const struct lobby_ending endings[] = {
        [MAP_END_SILENT] = {LOBBY_CODE_TIMEOUT, "silent", CONN_CLOSE_SILENT, false},
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
    .silence = on_silence, .end = on_listing_end, .is_gone = on_is_gone};

/* Who has the same password, by name, at the same address and port. No client's secret has this
 * form: those of other protocols are hashes. The caller frees. */
static char *resume_secret(const struct game *game)
{
    return mem_format("lobby %s %s", game->name != NULL ? game->name : "", game->id);
}

static void set_listing(struct game *game, enum listing_state listing)
{
    metrics_add(METRIC_LOBBY_LISTED,
                (listing == LISTING_LISTED) - (game->listing == LISTING_LISTED));
    game->listing = listing;
}

static void ask_open(struct game *game, enum listing_state state);

/* What differs from what is there is told to the map. */
static void put_differences(struct game *game)
{
    struct map_field suspect = {.name = BYTES_LITERAL("suspect")};
    const struct bytes present = map_session_fields(game->map, game_id(game));

    if (game->suspect)
        suspect.value = BYTES_LITERAL("1");
    gameserver_fields_from_difference(&game->changes, present, &game->wanted);
    if (game->changes.count > 0)
        (void)map_session_set(game->map, game_id(game), game->changes.fields, game->changes.count);
    (void)map_session_set(game->map, game_id(game), &suspect, 1);
}

static void fail_listing(struct game *game, enum map_result result)
{
    set_listing(game, LISTING_NONE);
    if (result == MAP_OWNED || result == MAP_TAKEN || result == MAP_MISSING)
        lobby_end_with(game->session, LOBBY_CODE_TAKEN,
                       "address and port are another connection's");
    else if (result == MAP_LIMIT)
        lobby_end_with(game->session, LOBBY_CODE_FULL, "the list is full");
    else
        lobby_end_with(game->session, LOBBY_CODE_UNAVAILABLE, "the map does not answer");
}

static void ask_resume(struct game *game, map_done done)
{
    char *secret = resume_secret(game);

    set_listing(game, LISTING_RESUMING);
    map_session_resume(game->map, game_id(game), bytes_from_string(secret), done, game);
    free(secret);
}

static void on_listing_judged(void *arg, enum map_result result, uint64_t version)
{
    struct game *game = arg;

    if (result == MAP_OK) {
        set_listing(game, LISTING_LISTED);
        put_differences(game); /* it may have said more meanwhile */
    } else if (game->listing == LISTING_OPENING && result == MAP_OWNED) {
        ask_resume(game, on_listing_judged);
    } else if (game->listing == LISTING_RESUMING &&
               (result == MAP_MISSING || result == MAP_OWNED)) {
        map_unregister(game->session->port->space, game_id(game), NULL, NULL);
        ask_open(game, LISTING_REOPENING);
    } else {
        fail_listing(game, result);
    }
}

static void ask_open(struct game *game, enum listing_state state)
{
    char *secret = resume_secret(game);
    const struct map_open open = {.id = game_id(game),
                                  .resume = bytes_from_string(secret),
                                  .fields = game->wanted.fields,
                                  .field_count = game->wanted.count};

    set_listing(game, state);
    map_session_open_fields(game->map, &open, on_listing_judged, game);
    free(secret);
}

void lobby_listing_update(struct game *game)
{
    if (game->listing == LISTING_LISTED) {
        put_differences(game);
        return;
    }
    if (game->listing != LISTING_NONE || !game->verified || !game->has_infos || game->id[0] == 0)
        return;
    if (game->map == NULL)
        game->map = map_session_create(game->session->port->space, "lobby",
                                       conn_peer_text(game->session->conn), &sink, game);
    ask_open(game, LISTING_OPENING);
}

void lobby_listing_end(struct game *game, bool leave)
{
    set_listing(game, LISTING_NONE);
    map_session_end(&game->map, leave);
}
