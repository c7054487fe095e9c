/* servers: what each column shows of a row, as text without control characters. */
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "codec/lobby_text.h"

#include "servers.h"

static const struct lobby_server *column_server(const void *row)
{
    return ((const struct servers_row *)row)->server;
}

/* A text of the server, in a table without colours and control characters. */
static void write_server_text(struct cell *cell, struct bytes text)
{
    struct writer plain = {0};
    lobby_text_write_plain(&plain, text);
    cell_text(cell, writer_bytes_written(&plain));
    writer_free(&plain);
}

/* Milliseconds in a table. */
static void write_server_ping(const void *row, struct cell *cell)
{
    const struct servers_row *server = row;
    if (server->ping == SERVERS_PING_KNOWN) {
        cell_number(cell, (server->microseconds + 500) / 1000);
    } else {
        cell_none(cell, server->ping == SERVERS_PING_WAITS ? "..." : "-");
    }
}

static void write_server_microseconds(const void *row, struct cell *cell)
{
    const struct servers_row *server = row;
    if (server->ping == SERVERS_PING_KNOWN) {
        cell_number(cell, server->microseconds);
    }
}

/* A property that is a number, a string without its quotes and escapes, or a boolean. */
static bool write_server_property(const void *row, const char *name, struct writer *to)
{
    static const struct json_limits limits = JSON_LIMITS_DEFAULT;
    const struct lobby_infos *infos = &column_server(row)->infos;
    for (size_t i = 0; i < infos->property_count; i++) {
        struct bytes value = infos->properties[i].value, text = value;
        if (!bytes_equal(infos->properties[i].name, bytes_from_string(name))) {
            continue;
        }
        struct json_error error = {0};
        struct json_document *document = json_document_parse(value, &limits, &error);
        if (document && json_value_type(json_document_root(document)) == JSON_TYPE_STRING) {
            (void)json_value_text(json_document_root(document), &text, &error);
        }
        lobby_text_write_plain(to, text);
        json_document_free(&document);
        return true;
    }
    return false;
}

/* The property that the column names, or else the one with this name. */
static void write_server_either(const void *row, struct cell *cell, const char *other)
{
    struct writer text = {0};
    if (!write_server_property(row, cell->column->argument, &text)) {
        (void)write_server_property(row, other, &text);
    }
    cell_text(cell, writer_bytes_written(&text));
    writer_free(&text);
}

static void write_server_players(const void *row, struct cell *cell)
{
    const struct lobby_infos *infos = &column_server(row)->infos;
    struct writer text = {0}, most = {0};
    if (infos->has_players) {
        writer_format(&text, "%u", infos->players);
    }
    if (write_server_property(row, "max_players", &most) ||
        write_server_property(row, "sv_maxclients", &most)) {
        writer_string(&text, "/");
        writer_bytes(&text, writer_bytes_written(&most));
    }
    cell_text(cell, writer_bytes_written(&text));
    writer_free(&text);
    writer_free(&most);
}

static void write_server_speed(const void *row, struct cell *cell)
{
    write_server_text(cell, column_server(row)->infos.speed);
}

static void write_server_size(const void *row, struct cell *cell)
{
    write_server_text(cell, column_server(row)->infos.size);
}

static void write_server_erase(const void *row, struct cell *cell)
{
    if (column_server(row)->infos.has_erase) {
        cell_bool(cell, column_server(row)->infos.erase);
    }
}

static void write_server_description(const void *row, struct cell *cell)
{
    if (column_server(row)->state == LOBBY_SUSPECT) {
        cell_string(cell, "(silent) ");
    }
    write_server_text(cell, column_server(row)->infos.description);
}

static void write_server_game(const void *row, struct cell *cell)
{
    write_server_either(row, cell, "gamename");
}

static void write_server_map(const void *row, struct cell *cell)
{
    write_server_either(row, cell, "mapname");
}

static void write_server_version(const void *row, struct cell *cell)
{
    write_server_text(cell, column_server(row)->infos.version);
}

static void write_server_id(const void *row, struct cell *cell)
{
    if (cell->json) {
        cell_text(cell, column_server(row)->id);
    } else {
        write_server_text(cell, column_server(row)->id);
    }
}

static void write_server_ip(const void *row, struct cell *cell)
{
    cell_text(cell, column_server(row)->ip);
}

static void write_server_port(const void *row, struct cell *cell)
{
    cell_number(cell, column_server(row)->port);
}

static void write_server_state(const void *row, struct cell *cell)
{
    cell_string(cell, lobby_state_name(column_server(row)->state));
}

static void write_server_since(const void *row, struct cell *cell)
{
    cell_number(cell, (uint64_t)column_server(row)->since);
}

static void write_server_infos(const void *row, struct cell *cell)
{
    const struct lobby_infos *infos = &column_server(row)->infos;
    json_open(cell->json, cell->column->key, '{');
    for (size_t i = 0; i < infos->property_count; i++) {
        json_raw_named(cell->json, infos->properties[i].name, infos->properties[i].value);
    }
    json_close(cell->json, '}');
}

static const struct column list[] = {
    {.heading = "PING", .write = write_server_ping, .layout = {4, 5, true, 0, COLUMN_UNLESS_EMPTY}},
    {.heading = "PLAYERS",
     .write = write_server_players,
     .layout = {7, 9, true, 0, COLUMN_UNLESS_EMPTY}},
    {.heading = "SPEED",
     .write = write_server_speed,
     .layout = {6, 8, false, 2, COLUMN_UNLESS_EMPTY}},
    {.heading = "SIZE",
     .write = write_server_size,
     .layout = {6, 8, false, 3, COLUMN_UNLESS_EMPTY}},
    {.heading = "ERASE",
     .write = write_server_erase,
     .layout = {5, 5, false, 4, COLUMN_UNLESS_EMPTY}},
    {.heading = "DESCRIPTION",
     .write = write_server_description,
     .layout = {12, 0, false, 0, COLUMN_ALWAYS}},
    {.heading = "GAME",
     .write = write_server_game,
     .argument = "game",
     .layout = {6, 14, false, 6, COLUMN_IF_ANY}},
    {.heading = "MAP",
     .write = write_server_map,
     .argument = "map",
     .layout = {6, 14, false, 5, COLUMN_IF_ANY}},
    {.heading = "VERSION",
     .write = write_server_version,
     .layout = {7, 12, false, 7, COLUMN_UNLESS_EMPTY}},
    {.heading = "ADDRESS",
     .key = "id",
     .write = write_server_id,
     .layout = {15, 47, false, 0, COLUMN_ALWAYS}},
    {.key = "ip", .write = write_server_ip},
    {.key = "port", .write = write_server_port},
    {.key = "state", .write = write_server_state},
    {.key = "since", .write = write_server_since},
    {.key = "ping_us", .write = write_server_microseconds},
    {.key = "infos", .write = write_server_infos},
};
const struct columns servers_columns = COLUMNS(list);

int servers_text_width(struct bytes text)
{
    mbstate_t state = {0};
    int width = 0;
    while (text.len > 0) {
        wchar_t character;
        size_t n = mbrtowc(&character, (const char *)text.data, text.len, &state);
        if (n == 0 || n > text.len) {
            break;
        }
        int columns = wcwidth(character);
        width += columns > 0 ? columns : 0;
        text.data += n;
        text.len -= n;
    }
    return width;
}
