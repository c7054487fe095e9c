/* servers: what each column shows of a row, as text without control characters. */
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "codec/lobby_text.h"

#include "servers.h"

static void write_ping(const struct servers_row *row, struct writer *to)
{
    if (row->ping == SERVERS_PING_KNOWN)
        writer_format(to, "%u", (row->microseconds + 500) / 1000);
    else
        writer_string(to, row->ping == SERVERS_PING_WAITS ? "..." : "-");
}

/* A property that is a number, a string without its quotes and escapes, or a boolean. */
static bool write_property(const struct servers_row *row, const char *name, struct writer *to)
{
    static const struct json_limits limits = JSON_LIMITS_DEFAULT;
    const struct lobby_infos *infos = &row->server->infos;
    for (size_t i = 0; i < infos->property_count; i++) {
        struct bytes value = infos->properties[i].value, text = value;
        if (!bytes_equal(infos->properties[i].name, bytes_from_string(name)))
            continue;
        struct json_error error = {0};
        struct json_document *document = json_document_parse(value, &limits, &error);
        if (document && json_value_type(json_document_root(document)) == JSON_TYPE_STRING)
            (void)json_value_text(json_document_root(document), &text, &error);
        lobby_text_write_plain(to, text);
        json_document_free(&document);
        return true;
    }
    return false;
}

static void write_players(const struct servers_row *row, struct writer *to)
{
    struct writer most = {0};
    if (row->server->infos.has_players)
        writer_format(to, "%u", row->server->infos.players);
    if (write_property(row, "max_players", &most) || write_property(row, "sv_maxclients", &most)) {
        writer_string(to, "/");
        writer_bytes(to, writer_bytes_written(&most));
    }
    writer_free(&most);
}

static void write_speed(const struct servers_row *row, struct writer *to)
{
    lobby_text_write_plain(to, row->server->infos.speed);
}

static void write_size(const struct servers_row *row, struct writer *to)
{
    lobby_text_write_plain(to, row->server->infos.size);
}

static void write_erase(const struct servers_row *row, struct writer *to)
{
    if (row->server->infos.has_erase)
        writer_string(to, row->server->infos.erase ? "yes" : "no");
}

static void write_description(const struct servers_row *row, struct writer *to)
{
    if (row->server->state == LOBBY_SUSPECT)
        writer_string(to, "(silent) ");
    lobby_text_write_plain(to, row->server->infos.description);
}

static void write_game(const struct servers_row *row, struct writer *to)
{
    if (!write_property(row, "game", to))
        (void)write_property(row, "gamename", to);
}

static void write_map(const struct servers_row *row, struct writer *to)
{
    if (!write_property(row, "map", to))
        (void)write_property(row, "mapname", to);
}

static void write_version(const struct servers_row *row, struct writer *to)
{
    lobby_text_write_plain(to, row->server->infos.version);
}

static void write_address(const struct servers_row *row, struct writer *to)
{
    lobby_text_write_plain(to, row->server->id);
}

const struct servers_column servers_columns[] = {
    {"PING", 4, 5, true, 0, SERVERS_SHOWN_UNLESS_EMPTY, write_ping},
    {"PLAYERS", 7, 9, true, 0, SERVERS_SHOWN_UNLESS_EMPTY, write_players},
    {"SPEED", 6, 8, false, 2, SERVERS_SHOWN_UNLESS_EMPTY, write_speed},
    {"SIZE", 6, 8, false, 3, SERVERS_SHOWN_UNLESS_EMPTY, write_size},
    {"ERASE", 5, 5, false, 4, SERVERS_SHOWN_UNLESS_EMPTY, write_erase},
    {"DESCRIPTION", 12, 0, false, 0, SERVERS_SHOWN_ALWAYS, write_description},
    {"GAME", 6, 14, false, 6, SERVERS_SHOWN_IF_ANY, write_game},
    {"MAP", 6, 14, false, 5, SERVERS_SHOWN_IF_ANY, write_map},
    {"VERSION", 7, 12, false, 7, SERVERS_SHOWN_UNLESS_EMPTY, write_version},
    {"ADDRESS", 15, 47, false, 0, SERVERS_SHOWN_ALWAYS, write_address},
};
const size_t servers_column_count = sizeof servers_columns / sizeof *servers_columns;

int servers_text_width(struct bytes text)
{
    mbstate_t state = {0};
    int width = 0;
    while (text.len > 0) {
        wchar_t character;
        size_t n = mbrtowc(&character, (const char *)text.data, text.len, &state);
        if (n == 0 || n > text.len)
            break;
        int columns = wcwidth(character);
        width += columns > 0 ? columns : 0;
        text.data += n;
        text.len -= n;
    }
    return width;
}
