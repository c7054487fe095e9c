/* gameserver: reading a game server's entry, as clients of both protocols see it. */
#include "protocol/gameserver/gameserver.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/infostring.h"
#include "codec/lobby_text.h"

#define ORIGINAL   "original"
#define PREFIX     "p:"
#define PREFIX_LEN 2

static void *keep_gameserver_copy(struct gameserver *gameserver, const void *data, size_t len)
{
    void *copy = mem_dup(data, len);

    if (gameserver->kept_count == GAMESERVER_KEPT) {
        free(copy);
        return NULL;
    }
    gameserver->kept[gameserver->kept_count++] = copy;
    return copy;
}

/* A string with escapes, decoded. */
static struct bytes unescape(struct gameserver *gameserver, struct bytes raw)
{
    struct json_limits limits = JSON_LIMITS_DEFAULT;
    struct json_error error = {0};
    struct json_document *document = json_document_parse(raw, &limits, &error);
    struct bytes text = {0};

    if (!document) {
        return text;
    }
    if (json_value_text(json_document_root(document), &text, &error)) {
        text.data = keep_gameserver_copy(gameserver, text.data, text.len);
    }
    json_document_free(&document);
    return !text.data ? (struct bytes){0} : text;
}

static bool is_string(struct bytes raw)
{
    return raw.len >= 2 && raw.data[0] == '"';
}

static struct bytes string_of(struct gameserver *gameserver, struct bytes raw)
{
    if (!is_string(raw)) {
        return (struct bytes){0};
    }
    if (memchr(raw.data, '\\', raw.len)) {
        return unescape(gameserver, raw);
    }
    return (struct bytes){raw.data + 1, raw.len - 2};
}

static const struct lobby_property *find_gameserver_property(const struct lobby_infos *infos,
                                                             const char *name)
{
    for (size_t i = 0; i < infos->property_count; i++) {
        if (bytes_equal(infos->properties[i].name, bytes_from_string(name))) {
            return &infos->properties[i];
        }
    }
    return NULL;
}

struct bytes gameserver_text(struct gameserver *gameserver, const char *name)
{
    const struct lobby_property *property =
        find_gameserver_property(&gameserver->server.infos, name);

    if (!property) {
        return (struct bytes){0};
    }
    return is_string(property->value) ? string_of(gameserver, property->value) : property->value;
}

/* A number, or a string that holds one. */
static bool number_of(struct gameserver *gameserver, const char *name, int32_t *number)
{
    const struct lobby_property *property =
        find_gameserver_property(&gameserver->server.infos, name);
    int64_t integer;

    if (!property) {
        return false;
    }
    if (is_string(property->value)) {
        return q3master_parse_integer(string_of(gameserver, property->value), number);
    }
    if (!json_scalar_integer(property->value, &integer) || integer < INT32_MIN ||
        integer > INT32_MAX) {
        return false;
    }
    *number = (int32_t)integer;
    return true;
}

static uint32_t count_of(struct gameserver *gameserver, const char *name)
{
    int32_t number;

    return number_of(gameserver, name, &number) && number > 0 ? (uint32_t)number : 0;
}

/* The lobby's properties of a server that registered by UDP. */

static void add_property(struct gameserver *gameserver, struct bytes name, struct bytes value)
{
    struct lobby_infos *infos = &gameserver->server.infos;

    gameserver->properties[infos->property_count++] = (struct lobby_property){name, value};
}

/* Adds it, or replaces the one of this name. */
static void put_property(struct gameserver *gameserver, const char *name,
                         const struct writer *value)
{
    const struct lobby_property *present =
        find_gameserver_property(&gameserver->server.infos, name);
    const struct bytes text = {keep_gameserver_copy(gameserver, value->data, value->len),
                               value->len};

    if (!text.data || value->failed) {
        return;
    }
    if (present) {
        gameserver->properties[present - gameserver->properties].value = text;
    } else {
        add_property(gameserver, bytes_from_string(name), text);
    }
}

static void put_gameserver_text(struct gameserver *gameserver, const char *name, const char *from)
{
    struct writer plain = {0}, value = {0};
    struct json_writer json = json_writer_over(&value);
    const struct bytes text = gameserver_text(gameserver, from);

    if (text.data) {
        lobby_text_write_plain(&plain, text);
        json_write_text(&json, writer_bytes_written(&plain));
        put_property(gameserver, name, &value);
    }
    writer_free(&plain);
    writer_free(&value);
}

static void put_count(struct gameserver *gameserver, const char *name, const char *from)
{
    struct writer value = {0};

    if (find_gameserver_property(&gameserver->server.infos, from)) {
        writer_format(&value, "%u", (unsigned)count_of(gameserver, from));
        put_property(gameserver, name, &value);
    }
    writer_free(&value);
}

#define PUT_MAX 5

static void put_lobby_properties(struct gameserver *gameserver)
{
    put_gameserver_text(gameserver, "description", "hostname");
    put_gameserver_text(gameserver, "map", "mapname");
    put_gameserver_text(gameserver, "game", "gamename");
    put_count(gameserver, "players", "clients");
    put_count(gameserver, "max_players", "sv_maxclients");
}

/* The properties that the lobby knows: pkg/codec/lobby_infos.c reads them from its messages. */
static void read_known_properties(struct gameserver *gameserver)
{
    struct lobby_infos *infos = &gameserver->server.infos;
    const struct lobby_property *erase = find_gameserver_property(infos, "erase"),
                                *players = find_gameserver_property(infos, "players");
    int32_t number;

    infos->speed = find_gameserver_property(infos, "speed")
                       ? string_of(gameserver, find_gameserver_property(infos, "speed")->value)
                       : (struct bytes){0};
    infos->size = find_gameserver_property(infos, "size")
                      ? string_of(gameserver, find_gameserver_property(infos, "size")->value)
                      : (struct bytes){0};
    infos->description = gameserver_text(gameserver, "description");
    infos->version = gameserver_text(gameserver, "version");
    infos->erase = erase != NULL && bytes_equal(erase->value, BYTES_LITERAL("true"));
    infos->has_erase = infos->erase || (erase && bytes_equal(erase->value, BYTES_LITERAL("false")));
    if (players && !is_string(players->value) && number_of(gameserver, "players", &number) &&
        number >= 0 && number <= LOBBY_PLAYERS_MAX) {
        infos->has_players = true;
        infos->players = (uint32_t)number;
    }
}

static void read_master(struct gameserver *gameserver, bool registered)
{
    struct q3master_server *master = &gameserver->master;
    const char *const max = registered ? "sv_maxclients" : "max_players";

    master->address = gameserver->address;
    master->game = gameserver_text(gameserver, registered ? "gamename" : "game");
    if (!master->game.data) {
        master->game = gameserver_text(gameserver, "gamename");
    }
    master->gametype = gameserver_text(gameserver, "gametype");
    if (!master->gametype.data) {
        master->gametype = BYTES_LITERAL("0");
    }
    master->clients = count_of(gameserver, registered ? "clients" : "players");
    master->max_clients = count_of(gameserver, max);
    if (master->max_clients == 0) {
        master->max_clients = UINT32_MAX;
    }
    gameserver->in_master = q3master_is_game(master->game) &&
                            master->gametype.len <= Q3MASTER_GAMETYPE_MAX &&
                            number_of(gameserver, "protocol", &master->protocol);
}

/* Fields. */

static bool read_address(struct gameserver *gameserver, struct bytes id)
{
    char text[ADDRESS_TEXT_SIZE];

    if (id.len >= sizeof text || memchr(id.data, 0, id.len)) {
        return false;
    }
    memcpy(text, id.data, id.len);
    text[id.len] = 0;
    if (!address_parse(text, &gameserver->address) || gameserver->address.port == 0) {
        return false;
    }
    gameserver->server.id = id;
    gameserver->server.port = gameserver->address.port;
    (void)address_format_ip(&gameserver->address, text);
    gameserver->server.ip =
        (struct bytes){keep_gameserver_copy(gameserver, text, strlen(text)), strlen(text)};
    return true;
}

static bool is_listed_property_field(const struct map_field *field)
{
    return field->name.len > PREFIX_LEN && memcmp(field->name.data, PREFIX, PREFIX_LEN) == 0;
}

static void read_gameserver_property(struct gameserver *gameserver, const struct map_field *field)
{
    const struct bytes name = {field->name.data + PREFIX_LEN, field->name.len - PREFIX_LEN};

    if (!lobby_is_reserved(name) && json_is_text(name) && json_scalar_is_valid(field->value) &&
        !bytes_equal(field->value, BYTES_LITERAL("null"))) {
        add_property(gameserver, name, field->value);
    }
}

static struct bytes field_of(const struct map_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(fields[i].name, bytes_from_string(name))) {
            return fields[i].value;
        }
    }
    return (struct bytes){0};
}

bool gameserver_read_fields(struct bytes id, const struct map_field *fields, size_t count,
                            struct gameserver *gameserver)
{
    const struct bytes protocol = field_of(fields, count, "protocol");
    const bool registered = bytes_equal(protocol, BYTES_LITERAL("q3master"));

    memset(gameserver, 0, sizeof *gameserver);
    if (!registered && !bytes_equal(protocol, BYTES_LITERAL("lobby"))) {
        return false;
    }
    if (!read_address(gameserver, id)) {
        return false;
    }
    gameserver->properties = mem_zalloc(count + PUT_MAX, sizeof *gameserver->properties);
    gameserver->server.infos.properties = gameserver->properties;
    for (size_t i = 0; i < count; i++) {
        if (is_listed_property_field(&fields[i])) {
            read_gameserver_property(gameserver, &fields[i]);
        }
    }
    if (bytes_equal(field_of(fields, count, "suspect"), BYTES_LITERAL("1"))) {
        gameserver->server.state = LOBBY_SUSPECT;
    }
    gameserver->original = field_of(fields, count, ORIGINAL);
    gameserver->server.since = bytes_decimal(field_of(fields, count, "since"));
    if (registered) {
        put_lobby_properties(gameserver);
    }
    read_known_properties(gameserver);
    read_master(gameserver, registered);
    return true;
}

bool gameserver_read(const struct map_entry *entry, struct gameserver *gameserver)
{
    struct map_field *fields = NULL, field;
    size_t count = 0, capacity = 0, at = 0;
    bool is_server;

    while (map_entry_next_field(entry, &at, &field.name, &field.value)) {
        if (count == capacity) {
            capacity = capacity > 0 ? 2 * capacity : 32;
            fields = mem_realloc(fields, capacity * sizeof *fields);
        }
        fields[count++] = field;
    }
    is_server = gameserver_read_fields(map_entry_id(entry), fields, count, gameserver);
    free(fields);
    return is_server;
}

void gameserver_free(struct gameserver *gameserver)
{
    for (size_t i = 0; i < gameserver->kept_count; i++) {
        free(gameserver->kept[i]);
    }
    free(gameserver->properties);
    memset(gameserver, 0, sizeof *gameserver);
}
