/*
 * servers: game servers as JSON, for the API and the live stream, and GET /api/v1/servers: the game
 * servers of the lobby's space, with an entity tag, so that repeated requests for an unchanged list
 * are answered in a few bytes.
 *
 * The tag is a hash of the answer: all front-ends return the same tag for the same list. A stale
 * answer has a member that says so, and thus another tag.
 */
#include <stdio.h>
#include <string.h>

#include "admin/admin_private.h"
#include "codec/entry.h"
#include "codec/lobby_text.h"
#include "protocol/gameserver/gameserver.h"

#define TAG_DIGITS 40

/* The query's condition for servers that are empty, or full. */
enum wanted { WANTED_TOO, WANTED_NOT, WANTED_ONLY };

struct filter {
    struct bytes game; /* data NULL: any */
    struct bytes protocol;
    enum wanted empty, full;
};

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

static bool read_filter(struct http_request *request, struct filter *filter)
{
    *filter = (struct filter){.game = http_request_query(request, "game"),
                              .protocol = http_request_query(request, "protocol")};
    return read_wanted(http_request_query(request, "empty"), &filter->empty) &&
           read_wanted(http_request_query(request, "full"), &filter->full);
}

static bool filter_accepts(enum wanted wanted, bool is)
{
    return wanted == WANTED_TOO || is == (wanted == WANTED_ONLY);
}

/* Numbers may be stored as strings: their text is compared. */
static bool passes_filter(const struct filter *filter, struct gameserver *gameserver)
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

static void write_server_list(struct writer *text, const struct admin *admin,
                              const struct admin_space *space, const struct filter *filter,
                              bool stale)
{
    size_t count;
    struct map_entry *const *entries = map_view_sorted(space->watcher.view, &count);
    struct json_writer json = json_writer_over(text);
    json_write_object_begin(&json);
    json_write_member(&json, "space", bytes_from_string(map_space_name(space->map)));
    admin_write_stale(&json, stale);
    json_write_name(&json, "servers");
    json_write_array_begin(&json);
    for (size_t i = 0; i < count; i++) {
        struct gameserver gameserver;
        if (!gameserver_read(entries[i], &gameserver)) {
            continue;
        }
        if (passes_filter(filter, &gameserver)) {
            servers_write(&json, entries[i], &gameserver, admin->nodes);
        }
        gameserver_free(&gameserver);
    }
    json_write_array_end(&json);
    json_write_object_end(&json);
    writer_u8(text, '\n');
}

void servers_answer(struct admin *admin, struct http_request *request, struct admin_space *space,
                    bool stale)
{
    struct filter filter;
    struct writer text = {0};
    char tag[ADMIN_TAG_SIZE(TAG_DIGITS)], headers[128];
    if (!read_filter(request, &filter)) {
        admin_respond_error(request, 400, "empty and full: true, false or only is expected");
        return;
    }
    write_server_list(&text, admin, space, &filter, stale);
    admin_write_tag(writer_bytes_written(&text), TAG_DIGITS, tag);
    snprintf(headers, sizeof headers, "ETag: %s\r\nCache-Control: no-cache\r\n%s", tag,
             admin_stale_header(stale));
    if (admin_has_tag(http_request_header(request, "If-None-Match"), tag)) {
        http_respond(request, 304, NULL, headers, (struct bytes){0});
    } else {
        http_respond(request, 200, JSON_TYPE, headers, writer_bytes_written(&text));
    }
    writer_free(&text);
}
