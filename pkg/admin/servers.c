/*
 * servers: game servers as JSON, for the API and the live stream, and GET /api/v1/servers: the game
 * servers of the lobby's space, with an entity tag, so that repeated requests for an unchanged list
 * are answered in a few bytes. server_lists.c writes and keeps the lists.
 *
 * The tag is a hash of the answer: all front-ends return the same tag for the same list. A stale
 * answer has a member that says so, and thus another tag.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/servers_private.h"
#include "base/mem.h"
#include "codec/entry.h"
#include "codec/lobby_text.h"
#include "protocol/gameserver/gameserver.h"

/* False when the word is unknown. */
static bool read_wanted(struct bytes text, enum wanted *wanted)
{
    static const struct {
        const char *word;
        enum wanted wanted;
    } words[] = {{"true", WANTED_TOO},
                 {"1", WANTED_TOO},
                 {"false", WANTED_NOT},
                 {"0", WANTED_NOT},
                 {"only", WANTED_ONLY}};
    *wanted = WANTED_TOO;
    if (text.len == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (bytes_equal(text, bytes_from_string(words[i].word))) {
            *wanted = words[i].wanted;
            return true;
        }
    }
    return false;
}

static bool read_filter(struct http_request *request, struct server_filter *filter)
{
    *filter = (struct server_filter){.game = http_request_query(request, "game"),
                                     .protocol = http_request_query(request, "protocol")};
    return read_wanted(http_request_query(request, "empty"), &filter->empty) &&
           read_wanted(http_request_query(request, "full"), &filter->full);
}

static bool filter_accepts(enum wanted wanted, bool is)
{
    return wanted == WANTED_TOO || is == (wanted == WANTED_ONLY);
}

/* Numbers may be stored as strings: their text is compared. */
static bool passes_filter(const struct server_filter *filter, struct gameserver *gameserver)
{
    const struct lobby_infos *infos = &gameserver->server.infos;
    struct bytes game = gameserver_text(gameserver, "game"),
                 most = gameserver_text(gameserver, "max_players");
    bool is_empty = !infos->has_players || infos->players == 0;
    bool is_full = most.len > 0 && infos->has_players && bytes_decimal(most) > 0 &&
                   infos->players == bytes_decimal(most);
    if (game.len == 0) {
        game = gameserver_text(gameserver, "gamename");
    }
    return (filter->game.len == 0 || bytes_equal(game, filter->game)) &&
           (filter->protocol.len == 0 ||
            bytes_equal(gameserver_text(gameserver, "protocol"), filter->protocol)) &&
           filter_accepts(filter->empty, is_empty) && filter_accepts(filter->full, is_full);
}

/* The display name: without colour codes and control characters. */
static void write_server_name(struct json_writer *json, struct gameserver *gameserver)
{
    struct writer plain = {0};
    struct bytes name = gameserver_text(gameserver, "description");
    if (name.len == 0) {
        name = gameserver_text(gameserver, "hostname");
    }
    lobby_text_write_plain(&plain, name);
    json_write_member(json, "name", writer_bytes_written(&plain));
    writer_free(&plain);
}

static void write_infos(struct json_writer *json, const struct lobby_infos *infos)
{
    json_write_name(json, "infos");
    json_write_object_begin(json);
    for (size_t i = 0; i < infos->property_count; i++) {
        const struct lobby_property *property = &infos->properties[i];
        if (!json_is_text(property->name) || !json_scalar_is_valid(property->value)) {
            continue;
        }
        json_write_key(json, property->name);
        json_write_raw(json, property->value);
    }
    json_write_object_end(json);
}

void servers_write(struct json_writer *json, const struct map_entry *entry,
                   struct gameserver *gameserver, const struct map_nodes *nodes)
{
    const struct lobby_server *server = &gameserver->server;
    struct bytes node = map_entry_field(entry, "node"), name = {0};
    if (nodes) {
        name = map_nodes_name(nodes, node);
    }
    json_write_object_begin(json);
    json_write_member(json, "id", server->id);
    write_server_name(json, gameserver);
    json_write_member(json, "ip", server->ip);
    json_write_name(json, "port");
    json_write_integer(json, server->port);
    json_write_member(json, "source", map_entry_field(entry, "protocol"));
    json_write_member(json, "state", bytes_from_string(lobby_state_name(server->state)));
    json_write_name(json, "since");
    json_write_integer(json, (int64_t)server->since);
    if (node.len > 0) {
        entry_write_opaque(json, "node", node);
    }
    if (name.len > 0) {
        entry_write_opaque(json, "node_name", name);
    }
    write_infos(json, &server->infos);
    json_write_object_end(json);
}

void servers_write_passing(struct json_writer *json, const struct map_entry *entry,
                           const struct server_filter *filter, const struct map_nodes *nodes)
{
    struct gameserver gameserver;
    if (!gameserver_read(entry, &gameserver)) {
        return;
    }
    if (passes_filter(filter, &gameserver)) {
        servers_write(json, entry, &gameserver, nodes);
    }
    gameserver_free(&gameserver);
}

static struct bytes copy_bytes(struct bytes text)
{
    return text.len > 0 ? (struct bytes){mem_dup(text.data, text.len), text.len}
                        : (struct bytes){NULL, 0};
}

void servers_copy_filter(struct server_filter *copy, const struct server_filter *filter)
{
    *copy = *filter;
    copy->game = copy_bytes(filter->game);
    copy->protocol = copy_bytes(filter->protocol);
}

void servers_free_filter(struct server_filter *copy)
{
    free((void *)copy->game.data);
    free((void *)copy->protocol.data);
    *copy = (struct server_filter){0};
}

bool servers_same_filter(const struct server_filter *a, const struct server_filter *b)
{
    return bytes_equal(a->game, b->game) && bytes_equal(a->protocol, b->protocol) &&
           a->empty == b->empty && a->full == b->full;
}

void servers_answer(struct admin *admin, struct http_request *request, struct admin_space *space,
                    bool stale)
{
    struct server_filter filter;
    if (!read_filter(request, &filter)) {
        admin_respond_error(request, 400, "empty and full: true, false or only is expected");
        return;
    }
    server_lists_answer(admin->server_lists, request, space, &filter, stale);
}
