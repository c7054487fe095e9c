/*
 * Fuzzes the lobby's lines of JSON, as the tracker reads them and as its peers do. The input is a
 * stream of lines.
 *
 * Invariants: the stream has the same lines whether it is fed byte by byte or whole; a refusal can
 * be sent; infos and listed servers that were read can be written, fit, and are read as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/gltron.h"
#include "codec/lobby.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct lobby_limits limits = LOBBY_LIMITS_DEFAULT;

static void require_tellable(const struct lobby_error *error)
{
    struct lobby_message message;
    struct lobby_error again;
    struct writer to = {0};

    REQUIRE(error->detail.fault != JSON_FAULT_NONE);
    lobby_write_error(&to, error->code, error->detail.text);
    REQUIRE(!to.failed);
    REQUIRE(lobby_read(writer_bytes_written(&to), LOBBY_FROM_TRACKER, &limits, &message, &again));
    REQUIRE(lobby_code_parse(message.code) == error->code);
    lobby_message_free(&message);
    writer_free(&to);
}

static void require_same(const struct lobby_infos *a, const struct lobby_infos *b)
{
    REQUIRE(a->property_count == b->property_count);
    for (size_t i = 0; i < a->property_count; i++) {
        REQUIRE(bytes_equal(a->properties[i].name, b->properties[i].name));
        REQUIRE(bytes_equal(a->properties[i].value, b->properties[i].value));
    }
    REQUIRE(bytes_equal(a->speed, b->speed) && bytes_equal(a->size, b->size));
    REQUIRE(bytes_equal(a->description, b->description) && bytes_equal(a->version, b->version));
    REQUIRE(a->has_erase == b->has_erase && a->erase == b->erase);
    REQUIRE(a->has_players == b->has_players && a->players == b->players);
}

static void check_infos(const struct lobby_infos *infos)
{
    struct lobby_server server = {.id = BYTES_LITERAL("x"), .infos = *infos};
    struct lobby_message again;
    struct lobby_error error;
    struct writer to = {0};
    uint16_t number;
    size_t left_out = 0;

    REQUIRE(!infos->speed.data || gltron_speed_parse(infos->speed, &number));
    REQUIRE(!infos->size.data || gltron_size_parse(infos->size, &number));
    REQUIRE(infos->property_count <= limits.properties);
    /* A key of escapes may be longer when it is written again than it was. */
    if (lobby_write_servers(&to, &server, 1, LOBBY_LINE_MAX, &left_out) == 1 && left_out == 0) {
        REQUIRE(!to.failed && to.len <= LOBBY_LINE_MAX + 1);
        REQUIRE(lobby_read(writer_bytes_written(&to), LOBBY_FROM_TRACKER, &limits, &again, &error));
        REQUIRE(again.server_count == 1);
        require_same(infos, &again.servers[0].infos);
        lobby_message_free(&again);
    }
    writer_free(&to);
}

/* Of listed servers what was not understood is gone; what is left is read as the same. */
static void check_servers(const struct lobby_message *message)
{
    struct lobby_limits wide = limits;
    struct lobby_message again;
    struct lobby_error error;
    struct writer to = {0};
    size_t left_out = 0;

    wide.json.bytes = 1 << 20;
    wide.json.keys += 16;
    wide.json.values *= 16;
    REQUIRE(lobby_write_servers(&to, message->servers, message->server_count, wide.json.bytes,
                                &left_out) == message->server_count);
    REQUIRE(left_out == 0);
    REQUIRE(lobby_read(writer_bytes_written(&to), LOBBY_FROM_TRACKER, &wide, &again, &error));
    REQUIRE(again.server_count == message->server_count && !again.more);
    for (size_t i = 0; i < again.server_count; i++) {
        REQUIRE(bytes_equal(again.servers[i].id, message->servers[i].id));
        REQUIRE(again.servers[i].port == message->servers[i].port);
        REQUIRE(again.servers[i].state == message->servers[i].state);
        REQUIRE(again.servers[i].since == message->servers[i].since);
        require_same(&again.servers[i].infos, &message->servers[i].infos);
    }
    lobby_message_free(&again);
    writer_free(&to);
}

static void check_line(struct bytes line, enum lobby_sender sender)
{
    struct lobby_message message;
    struct lobby_error error;

    if (!lobby_read(line, sender, &limits, &message, &error)) {
        REQUIRE(!message.document && !message.servers && !message.properties);
        require_tellable(&error);
        return;
    }
    REQUIRE(message.number <= 1ull << 53);
    if (message.type == LOBBY_INFOS) {
        check_infos(&message.infos);
    }
    if (message.server_count > 0) {
        check_servers(&message);
    }
    lobby_message_free(&message);
}

/* The lines of the whole are those of the input's parts: the next one, found byte by byte. */
static void require_parts(struct bytes input, const struct lobby_line *whole)
{
    for (size_t len = 0; len < input.len && len <= whole->consumed; len++) {
        const struct lobby_line line =
            lobby_read_line((struct bytes){input.data, len}, limits.json.bytes);

        if (line.outcome == LOBBY_LINE_WHOLE) {
            REQUIRE(len == whole->consumed && line.text.data == whole->text.data &&
                    line.text.len == whole->text.len);
        } else {
            REQUIRE(line.outcome == LOBBY_LINE_MORE);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_alloc(size + (size == 0));
    struct bytes rest = {copy, size};
    struct lobby_line line;

    if (size > 0) {
        memcpy(copy, data, size);
    }
    while ((line = lobby_read_line(rest, limits.json.bytes)).outcome == LOBBY_LINE_WHOLE) {
        require_parts(rest, &line);
        check_line(line.text, LOBBY_FROM_PEER);
        check_line(line.text, LOBBY_FROM_TRACKER);
        rest = (struct bytes){rest.data + line.consumed, rest.len - line.consumed};
    }
    free(copy);
    return 0;
}
