/* Writing the lobby's messages: see lobby.h. */
#include <string.h>

#include "codec/lobby.h"

/* Bytes after the servers of a list: `]`, `,"more":true` and `}`. */
#define LIST_TAIL 14

static struct json_writer begin_lobby_line(struct writer *to, enum lobby_type type)
{
    struct json_writer json = json_writer_over(to);

    json_write_object_begin(&json);
    json_write_member(&json, "type", bytes_from_string(lobby_type_name(type)));
    return json;
}

static void end_lobby_line(struct json_writer *json)
{
    json_write_object_end(json);
    writer_u8(json->to, '\n');
}

static void write_lobby_number(struct json_writer *json, const char *key, uint64_t number)
{
    json_write_name(json, key);
    json_write_integer(json, (int64_t)number);
}

void lobby_write_welcome(struct writer *to, struct bytes id, bool verify)
{
    struct json_writer json = begin_lobby_line(to, LOBBY_WELCOME);

    json_write_member(&json, "id", id);
    json_write_member(&json, "verify", bytes_from_string(verify ? "udp" : "off"));
    end_lobby_line(&json);
}

void lobby_write_error(struct writer *to, enum lobby_code code, const char *reason)
{
    struct json_writer json = begin_lobby_line(to, LOBBY_ERROR);

    json_write_member(&json, "code", bytes_from_string(lobby_code_name(code)));
    json_write_member(&json, "message", bytes_from_string(reason));
    end_lobby_line(&json);
}

static void write_counted(struct writer *to, enum lobby_type type, const char *key, uint64_t number)
{
    struct json_writer json = begin_lobby_line(to, type);

    write_lobby_number(&json, key, number);
    end_lobby_line(&json);
}

void lobby_write_ping(struct writer *to, uint64_t n)
{
    write_counted(to, LOBBY_PING, "n", n);
}

void lobby_write_pong(struct writer *to, uint64_t n)
{
    write_counted(to, LOBBY_PONG, "n", n);
}

void lobby_write_verify(struct writer *to, uint64_t number)
{
    write_counted(to, LOBBY_VERIFY, "number", number);
}

static bool is_scalar_text(struct bytes value)
{
    return json_scalar_is_valid(value) && !bytes_equal(value, BYTES_LITERAL("null"));
}

static void write_lobby_properties(struct json_writer *json,
                                   const struct lobby_property *properties, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (lobby_is_reserved(properties[i].name)) {
            continue;
        }
        if (!is_scalar_text(properties[i].value)) {
            json->to->failed = true;
        }
        json_write_key(json, properties[i].name);
        json_write_raw(json, properties[i].value);
    }
}

static bool has_property(const struct lobby_infos *infos, const char *name)
{
    for (size_t i = 0; i < infos->property_count; i++) {
        if (bytes_equal(infos->properties[i].name, bytes_from_string(name))) {
            return true;
        }
    }
    return false;
}

/* A listed server has all of these. */
static void write_missing_infos(struct json_writer *json, const struct lobby_infos *infos)
{
    static const char *const known[] = {"speed",       "size",    "erase",
                                        "description", "version", "players"};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!has_property(infos, known[i])) {
            json_write_name(json, known[i]);
            json_write_null(json);
        }
    }
}

static void write_lobby_server(struct json_writer *json, const struct lobby_server *server)
{
    json_write_object_begin(json);
    json_write_member(json, "id", server->id);
    json_write_member(json, "ip", server->ip);
    write_lobby_number(json, "port", server->port);
    json_write_member(json, "state", bytes_from_string(lobby_state_name(server->state)));
    write_lobby_number(json, "since", server->since);
    write_lobby_properties(json, server->infos.properties, server->infos.property_count);
    write_missing_infos(json, &server->infos);
    json_write_object_end(json);
}

void lobby_write_change(struct writer *to, enum lobby_type type, const struct lobby_server *server)
{
    struct json_writer json = begin_lobby_line(to, type);

    json_write_name(&json, "server");
    write_lobby_server(&json, server);
    end_lobby_line(&json);
}

void lobby_write_server(struct writer *to, const struct lobby_server *server)
{
    struct json_writer json = json_writer_over(to);

    write_lobby_server(&json, server);
}

void lobby_write_change_of(struct writer *to, enum lobby_type type, struct bytes server)
{
    struct json_writer json = begin_lobby_line(to, type);

    json_write_name(&json, "server");
    json_write_raw(&json, server);
    end_lobby_line(&json);
}

/* The server on its own; empty when it cannot be written. */
static struct bytes compose(struct writer *text, const struct lobby_server *server)
{
    struct json_writer json = json_writer_over(text);

    writer_reset(text);
    write_lobby_server(&json, server);
    return text->failed ? (struct bytes){0} : writer_bytes_written(text);
}

static void end_servers(struct json_writer *json, bool more)
{
    json_write_array_end(json);
    if (more) {
        json_write_name(json, "more");
        json_write_boolean(json, true);
    }
    end_lobby_line(json);
}

size_t lobby_write_servers(struct writer *to, const struct lobby_server *servers, size_t count,
                           size_t limit, size_t *left_out)
{
    const size_t start = to->len;
    struct json_writer json = begin_lobby_line(to, LOBBY_SERVERS);
    struct writer text = {0};
    size_t done = 0, head;

    json_write_name(&json, "servers");
    json_write_array_begin(&json);
    head = to->len - start;
    for (; done < count; done++) {
        const struct bytes server = compose(&text, &servers[done]);

        if (server.len == 0 || head + server.len + LIST_TAIL > limit) {
            (*left_out)++;
            continue;
        }
        if (to->len - start + 1 + server.len + LIST_TAIL > limit) {
            break;
        }
        json_write_raw(&json, server);
    }
    end_servers(&json, done < count);
    writer_free(&text);
    return done;
}

size_t lobby_write_servers_of(struct writer *to, const struct bytes *servers, size_t count,
                              size_t limit)
{
    const size_t start = to->len;
    struct json_writer json = begin_lobby_line(to, LOBBY_SERVERS);
    size_t done = 0;

    json_write_name(&json, "servers");
    json_write_array_begin(&json);
    while (done < count &&
           (done == 0 || to->len - start + 1 + servers[done].len + LIST_TAIL <= limit)) {
        json_write_raw(&json, servers[done++]);
    }
    end_servers(&json, done < count);
    return done;
}

void lobby_write_login(struct writer *to)
{
    struct json_writer json = begin_lobby_line(to, LOBBY_LOGIN);

    end_lobby_line(&json);
}

void lobby_write_server_login(struct writer *to, struct bytes password, struct bytes name,
                              uint16_t port)
{
    struct json_writer json = begin_lobby_line(to, LOBBY_LOGIN);

    json_write_member(&json, "passwd", password);
    if (name.data) {
        json_write_member(&json, "name", name);
    }
    write_lobby_number(&json, "port", port);
    end_lobby_line(&json);
}

void lobby_write_infos(struct writer *to, const struct lobby_property *properties, size_t count)
{
    struct json_writer json = begin_lobby_line(to, LOBBY_INFOS);

    write_lobby_properties(&json, properties, count);
    end_lobby_line(&json);
}
