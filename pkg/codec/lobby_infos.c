/*
 * Infos of servers: read strictly from the server itself, and leniently in a tracker's list, so
 * that clients can read a newer tracker's list.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/gltron.h"
#include "codec/lobby_private.h"

bool lobby_is_reserved(struct bytes name)
{
    static const char *const reserved[] = {"type", "id", "ip", "port", "state", "since"};

    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (bytes_equal(name, bytes_from_string(reserved[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_scalar_value(const struct json_value *value)
{
    const enum json_type type = json_value_type(value);

    return type == JSON_TYPE_STRING || type == JSON_TYPE_NUMBER || type == JSON_TYPE_BOOLEAN;
}

static struct lobby_property property_of(const struct json_value *value)
{
    return (struct lobby_property){json_value_key(value), json_value_raw(value)};
}

/* Reserves room for that many more properties. */
static struct lobby_property *add_room(struct lobby_reading *reading, size_t count)
{
    reading->message->properties = mem_zalloc(count + 1, sizeof(struct lobby_property));
    return reading->message->properties;
}

static bool check_property(struct lobby_reading *reading, const struct json_value *value)
{
    const size_t len = json_value_key(value).len;

    if (len == 0) {
        return lobby_fail(reading, value, LOBBY_CODE_BAD_MESSAGE, "an empty key");
    }
    if (len > reading->limits->name) {
        return lobby_fail(reading, value, LOBBY_CODE_LIMIT, "a key longer than allowed");
    }
    return is_scalar_value(value) || lobby_fail(reading, value, LOBBY_CODE_BAD_MESSAGE,
                                                "a string, a number or a boolean is expected");
}

static bool read_lobby_properties(struct lobby_reading *reading, struct lobby_infos *infos)
{
    struct lobby_property *properties = add_room(reading, json_value_count(reading->root));
    size_t count = 0, total = 0;

    for (const struct json_value *value = json_value_first(reading->root); value;
         value = json_value_next(value)) {
        if (lobby_is_reserved(json_value_key(value)) || json_value_type(value) == JSON_TYPE_NULL) {
            continue;
        }
        if (!check_property(reading, value)) {
            return false;
        }
        properties[count] = property_of(value);
        total += properties[count].name.len + properties[count].value.len;
        if (++count > reading->limits->properties) {
            return lobby_fail(reading, value, LOBBY_CODE_LIMIT, "more keys than allowed");
        }
    }
    if (total > reading->limits->total) {
        return lobby_fail(reading, reading->root, LOBBY_CODE_LIMIT, "more infos than allowed");
    }
    infos->properties = properties;
    infos->property_count = count;
    return true;
}

static bool read_speed_and_size(struct lobby_reading *reading, struct lobby_infos *infos)
{
    uint16_t number;

    if (!lobby_take_text(reading, "speed", SIZE_MAX, &infos->speed) ||
        !lobby_take_text(reading, "size", SIZE_MAX, &infos->size)) {
        return false;
    }
    if (infos->speed.data && !gltron_speed_parse(infos->speed, &number)) {
        return lobby_fail(reading, json_value_member(reading->root, "speed"),
                          LOBBY_CODE_BAD_MESSAGE, "boring, normal, fast or crazy is expected");
    }
    if (infos->size.data && !gltron_size_parse(infos->size, &number)) {
        return lobby_fail(reading, json_value_member(reading->root, "size"), LOBBY_CODE_BAD_MESSAGE,
                          "tiny, medium, big, vast or extreme is expected");
    }
    return true;
}

static bool read_erase_and_players(struct lobby_reading *reading, struct lobby_infos *infos)
{
    const struct json_value *value = lobby_optional(reading, "erase", JSON_TYPE_BOOLEAN);
    int64_t players = 0;

    infos->has_erase = value != NULL;
    if (value && !json_value_boolean(value, &infos->erase, &reading->error->detail)) {
        return false;
    }
    value = lobby_optional(reading, "players", JSON_TYPE_NUMBER);
    infos->has_players = value != NULL;
    if (!value) {
        return !lobby_failed(reading);
    }
    if (!lobby_take_integer(reading, value, 0, LOBBY_PLAYERS_MAX, &players)) {
        return false;
    }
    infos->players = (uint32_t)players;
    return true;
}

/* Another named info has a row in lobby_write.c (write_missing_infos), in pkg/protocol/gameserver
 * (read_known_properties) and, if it is always kept, in pkg/protocol/lobby/subscribers.c. */
bool lobby_read_infos(struct lobby_reading *reading, struct lobby_infos *infos)
{
    return read_lobby_properties(reading, infos) && read_speed_and_size(reading, infos) &&
           lobby_take_text(reading, "description", reading->limits->description,
                           &infos->description) &&
           lobby_take_text(reading, "version", reading->limits->version, &infos->version) &&
           read_erase_and_players(reading, infos);
}

/* For a listed server: empty when it is missing or has another type. */
static struct bytes listed_server_text(const struct json_value *server, const char *key)
{
    struct json_error error = {0};
    struct bytes text = {0};

    (void)json_value_text(json_value_member(server, key), &text, &error);
    return text;
}

static bool listed_integer(const struct json_value *server, const char *key, int64_t max,
                           int64_t *integer)
{
    struct json_error error = {0};

    *integer = 0;
    if (json_value_integer(json_value_member(server, key), integer, &error) && *integer >= 0 &&
        *integer <= max) {
        return true;
    }
    *integer = 0;
    return false;
}

static void listed_infos(const struct json_value *server, struct lobby_infos *infos,
                         struct lobby_property *properties)
{
    struct json_error error = {0};
    int64_t players;

    infos->properties = properties;
    for (const struct json_value *value = json_value_first(server); value;
         value = json_value_next(value)) {
        if (!lobby_is_reserved(json_value_key(value)) && is_scalar_value(value)) {
            properties[infos->property_count++] = property_of(value);
        }
    }
    infos->speed = listed_server_text(server, "speed");
    infos->size = listed_server_text(server, "size");
    infos->description = listed_server_text(server, "description");
    infos->version = listed_server_text(server, "version");
    infos->has_erase =
        json_value_boolean(json_value_member(server, "erase"), &infos->erase, &error);
    infos->has_players = listed_integer(server, "players", LOBBY_PLAYERS_MAX, &players);
    infos->players = (uint32_t)players;
}

static bool read_listed(struct lobby_reading *reading, const struct json_value *value,
                        struct lobby_server *server, struct lobby_property *properties)
{
    int64_t number;

    if (!json_value_text(json_value_require(value, "id", JSON_TYPE_STRING, &reading->error->detail),
                         &server->id, &reading->error->detail)) {
        return false;
    }
    server->ip = listed_server_text(value, "ip");
    (void)listed_integer(value, "port", UINT16_MAX, &number);
    server->port = (uint16_t)number;
    (void)listed_integer(value, "since", INT64_MAX, &number);
    server->since = (uint64_t)number;
    server->state = bytes_equal(listed_server_text(value, "state"), BYTES_LITERAL("suspect"))
                        ? LOBBY_SUSPECT
                        : LOBBY_LIVE;
    listed_infos(value, &server->infos, properties);
    return true;
}

static size_t count_members(const struct json_value *array)
{
    size_t count = 0;

    for (const struct json_value *value = json_value_first(array); value;
         value = json_value_next(value)) {
        count += json_value_count(value);
    }
    return count;
}

bool lobby_read_servers(struct lobby_reading *reading)
{
    struct lobby_message *message = reading->message;
    struct json_error *detail = &reading->error->detail;
    const struct json_value *array =
        json_value_require(reading->root, "servers", JSON_TYPE_ARRAY, detail);
    const struct json_value *more = json_value_member(reading->root, "more");
    struct lobby_property *properties;

    if (!array || (more && !json_value_boolean(more, &message->more, detail))) {
        return false;
    }
    message->servers = mem_zalloc(json_value_count(array) + 1, sizeof *message->servers);
    properties = add_room(reading, count_members(array));
    for (const struct json_value *value = json_value_first(array); value;
         value = json_value_next(value)) {
        struct lobby_server *server = &message->servers[message->server_count++];

        if (!json_value_expect(value, JSON_TYPE_OBJECT, detail) ||
            !read_listed(reading, value, server, properties)) {
            return false;
        }
        properties += json_value_count(value);
    }
    return true;
}

bool lobby_read_server(struct lobby_reading *reading)
{
    struct lobby_message *message = reading->message;
    const struct json_value *value =
        json_value_require(reading->root, "server", JSON_TYPE_OBJECT, &reading->error->detail);

    if (!value) {
        return false;
    }
    message->servers = mem_zalloc(1, sizeof *message->servers);
    message->server_count = 1;
    return read_listed(reading, value, message->servers,
                       add_room(reading, json_value_count(value)));
}
