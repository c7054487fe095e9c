/*
 * Fuzzes what turntable clients send.
 *
 * Invariants: a refusal can be sent; a message that is written again is read as the same; a relayed
 * game message names its sender, has a time within the tolerance, and is relayed again unchanged.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/turntable.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct turntable_limits limits = TURNTABLE_LIMITS_DEFAULT;

static void require_json(const struct writer *to)
{
    struct json_error error = {0};
    struct json_document *document;

    REQUIRE(!to->failed);
    document = json_document_parse(writer_bytes_written(to), &limits.json, &error);
    REQUIRE(document);
    json_document_free(&document);
}

static void require_tellable(const struct turntable_error *error)
{
    struct writer to = {0};

    REQUIRE(error->detail.fault != JSON_FAULT_NONE);
    turntable_write_error(&to, error->code, error->detail.text, error->command);
    require_json(&to);
    writer_free(&to);
}

static void require_valid(const struct turntable_message *message)
{
    if (message->command == TURNTABLE_IDME || message->command == TURNTABLE_JOINGAME) {
        REQUIRE(turntable_is_any_user(message->user));
    }
    if (message->channel.data) {
        REQUIRE(turntable_is_room(message->channel, limits.room));
    }
    for (size_t i = 0; i < message->id_count; i++) {
        REQUIRE(message->command != TURNTABLE_JOINGAME || turntable_is_any_user(message->ids[i]));
        REQUIRE(message->ids[i].len > 0 && message->ids[i].len <= limits.id);
        for (size_t j = 0; j < i && j < 8; j++) {
            REQUIRE(!bytes_equal(message->ids[i], message->ids[j]));
        }
    }
}

static void require_same(const struct turntable_message *a, const struct turntable_message *b)
{
    REQUIRE(a->command == b->command && a->status == b->status);
    REQUIRE(bytes_equal(a->user, b->user) && bytes_equal(a->channel, b->channel));
    REQUIRE(bytes_equal(a->token, b->token));
    REQUIRE(a->id_count == b->id_count && a->action_count == b->action_count);
    for (size_t i = 0; i < a->id_count; i++) {
        REQUIRE(bytes_equal(a->ids[i], b->ids[i]));
    }
    for (size_t i = 0; i < a->action_count; i++) {
        REQUIRE(bytes_equal(json_value_raw(a->actions[i].action),
                            json_value_raw(b->actions[i].action)));
    }
}

/* Longer escapes than the source had may take the text over its limit; nothing else may. */
static void check_round_trip(const struct turntable_message *message)
{
    struct turntable_message again;
    struct turntable_error error;
    struct writer to = {0};

    turntable_write_message(&to, message);
    REQUIRE(turntable_read(writer_bytes_written(&to), &limits, &again, &error));
    require_same(message, &again);
    turntable_message_free(&again);
    writer_free(&to);
}

static bool is_member(void *arg, struct bytes id)
{
    const struct bytes *sender = arg;

    return bytes_equal(id, *sender);
}

static void require_corrected(const struct turntable_message *message,
                              const struct turntable_rules *rules)
{
    for (size_t i = 0; i < message->action_count; i++) {
        struct json_error error = {0};
        struct bytes from;
        double timestamp;

        REQUIRE(json_value_text(message->actions[i].from, &from, &error));
        REQUIRE(bytes_equal(from, rules->sender));
        REQUIRE(json_value_number(message->actions[i].timestamp, &timestamp, &error));
        REQUIRE(fabs(timestamp - (double)rules->now) <= (double)rules->tolerance);
    }
}

/* limits.json.values bounds what was read; two more for each action may be added. */
static void check_relayed(struct bytes text, const struct turntable_rules *rules, size_t actions)
{
    struct turntable_limits wide = limits;
    struct turntable_message message;
    struct turntable_error error;
    struct writer again = {0};

    wide.json.values *= 2;
    wide.json.keys += 2;
    REQUIRE(turntable_read(text, &wide, &message, &error));
    REQUIRE(message.command == TURNTABLE_GAME && message.action_count == actions);
    require_corrected(&message, rules);
    REQUIRE(turntable_relay_game(&again, &message, rules, &error));
    REQUIRE(bytes_equal(writer_bytes_written(&again), text));
    turntable_message_free(&message);
    writer_free(&again);
}

/* What is taken with ids of the strict form is taken, and the same, with those of any. */
static void check_strict(struct bytes text, const struct turntable_message *message)
{
    struct turntable_limits strict = limits;
    struct turntable_message again;
    struct turntable_error error;

    strict.strict = true;
    if (!turntable_read(text, &strict, &again, &error)) {
        return;
    }
    REQUIRE(message);
    require_same(message, &again);
    if (again.command == TURNTABLE_IDME || again.command == TURNTABLE_JOINGAME) {
        REQUIRE(turntable_is_user(again.user));
    }
    turntable_message_free(&again);
}

static void check_game(const struct turntable_message *message, bool members, bool form)
{
    struct bytes sender = BYTES_LITERAL("1:23456");
    const struct turntable_rules rules = {.sender = sender,
                                          .now = 10223232,
                                          .tolerance = 2000,
                                          .needs_form = form,
                                          .is_member = members ? is_member : NULL,
                                          .arg = &sender};
    struct turntable_error error;
    struct writer to = {0};

    if (turntable_relay_game(&to, message, &rules, &error)) {
        check_relayed(writer_bytes_written(&to), &rules, message->action_count);
    } else {
        REQUIRE(to.len == 0);
        require_tellable(&error);
    }
    writer_free(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_alloc(size + (size == 0));
    struct turntable_message message;
    struct turntable_error error;

    if (size > 0) {
        memcpy(copy, data, size);
    }
    if (turntable_read((struct bytes){copy, size}, &limits, &message, &error)) {
        require_valid(&message);
        check_strict((struct bytes){copy, size}, &message);
        check_round_trip(&message);
        if (message.command == TURNTABLE_GAME) {
            check_game(&message, false, false);
            check_game(&message, false, true);
            check_game(&message, true, false);
            check_game(&message, true, true);
        }
    } else {
        REQUIRE(!message.document && !message.ids && !message.actions);
        require_tellable(&error);
        check_strict((struct bytes){copy, size}, NULL);
    }
    turntable_message_free(&message);
    free(copy);
    return 0;
}
