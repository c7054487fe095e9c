/*
 * Relaying a game message to the members: the sender's bytes, with the values that the server sets
 * spliced in. Everything is checked before anything is written.
 */
#include "codec/turntable.h"

#include <inttypes.h>
#include <math.h>

static bool fail_game_action(const struct json_value *value, enum turntable_code code,
                             const char *reason, struct turntable_error *error)
{
    error->code = code;
    return json_value_fail(value, JSON_FAULT_RULE, reason, &error->detail);
}

/* Digits, one colon, no space: "1:", "1:a!", "1:1234"; not "10:30 at home", not "12:30:45". */
static bool looks_like_user(struct bytes text)
{
    size_t at = 0;

    while (at < text.len && text.data[at] >= '0' && text.data[at] <= '9') {
        at++;
    }
    if (at == 0 || at == text.len || text.data[at] != ':') {
        return false;
    }
    for (at++; at < text.len; at++) {
        if (text.data[at] <= ' ' || text.data[at] == ':') {
            return false;
        }
    }
    return true;
}

static bool check_text(const struct json_value *value, struct bytes text,
                       const struct turntable_rules *rules, struct turntable_error *error)
{
    if (!looks_like_user(text)) {
        return true;
    }
    if (rules->needs_form && !turntable_is_user(text)) {
        return fail_game_action(value, TURNTABLE_CODE_BAD_ID,
                                "looks like a user id, but is malformed", error);
    }
    if (rules->is_member && !rules->is_member(rules->arg, text)) {
        return fail_game_action(value, TURNTABLE_CODE_NOT_MEMBER,
                                "a user who is not a member of the room", error);
    }
    return true;
}

/* The recursion is as deep as the document, which is limited. */
static bool check_ids(const struct json_value *value, const struct turntable_rules *rules,
                      struct turntable_error *error)
{
    struct bytes text;

    if (!check_text(value, json_value_key(value), rules, error)) {
        return false;
    }
    if (json_value_type(value) == JSON_TYPE_STRING) {
        return json_value_text(value, &text, &error->detail) &&
               check_text(value, text, rules, error);
    }
    for (const struct json_value *member = json_value_first(value); member;
         member = json_value_next(member)) {
        if (!check_ids(member, rules, error)) {
            return false;
        }
    }
    return true;
}

/* A user id in JSON: of an integer its digits. */
static bool read_from(const struct json_value *value, struct bytes *from, struct json_error *error)
{
    if (json_value_type(value) != JSON_TYPE_NUMBER) {
        return json_value_text(value, from, error);
    }
    *from = json_value_raw(value);
    return true;
}

static bool check_action(const struct turntable_action *action, const struct turntable_rules *rules,
                         struct turntable_error *error)
{
    struct bytes from;

    if (action->from) {
        if (!read_from(action->from, &from, &error->detail)) {
            return false;
        }
        if (!bytes_equal(from, rules->sender)) {
            return fail_game_action(action->from, TURNTABLE_CODE_NOT_YOU, "is not your id", error);
        }
    }
    if (!action->data || (!rules->needs_form && !rules->is_member)) {
        return true;
    }
    return check_ids(action->data, rules, error);
}

/* A copy of the text in progress. */
struct splice {
    struct writer *to;
    struct bytes text;
    size_t at;
};

static void copy_until(struct splice *splice, size_t end)
{
    writer_bytes(splice->to, (struct bytes){splice->text.data + splice->at, end - splice->at});
    splice->at = end;
}

/* Copies up to the value and skips its bytes; the caller writes the replacement. */
static void replace_value(struct splice *splice, const struct json_value *value)
{
    copy_until(splice, json_value_offset(value));
    splice->at += json_value_raw(value).len;
}

static void write_missing_timestamp(struct splice *splice, const struct turntable_action *action,
                                    const struct turntable_rules *rules)
{
    struct json_writer json = json_writer_over(splice->to);

    copy_until(splice, json_value_offset(action->action) + 1);
    if (!action->timestamp) {
        json_write_name(&json, "timestamp");
        json_write_integer(&json, (int64_t)rules->now);
    }
    if (!action->from) {
        json_write_member(&json, "from", rules->sender);
    }
    if (json_value_count(action->action) > 0) {
        writer_u8(splice->to, ',');
    }
}

static bool is_off(const struct turntable_action *action, const struct turntable_rules *rules)
{
    struct json_error none = {0};
    double timestamp = 0;

    (void)json_value_number(action->timestamp, &timestamp, &none);
    return fabs(timestamp - (double)rules->now) > (double)rules->tolerance;
}

static void write_timestamp(struct splice *splice, const struct turntable_action *action,
                            const struct turntable_rules *rules)
{
    if (!action->timestamp || !is_off(action, rules)) {
        return;
    }
    replace_value(splice, action->timestamp);
    writer_format(splice->to, "%" PRIu64, rules->now);
}

/* An id is always sent as a string. */
static void write_from(struct splice *splice, const struct turntable_action *action,
                       const struct turntable_rules *rules)
{
    struct json_writer json = json_writer_over(splice->to);

    if (!action->from || json_value_type(action->from) != JSON_TYPE_NUMBER) {
        return;
    }
    replace_value(splice, action->from);
    json_write_text(&json, rules->sender);
}

static bool is_from_first(const struct turntable_action *action)
{
    return action->from != NULL && action->timestamp &&
           json_value_offset(action->from) < json_value_offset(action->timestamp);
}

static void write_action(struct splice *splice, const struct turntable_action *action,
                         const struct turntable_rules *rules)
{
    if (!action->timestamp || !action->from) {
        write_missing_timestamp(splice, action, rules);
    }
    if (is_from_first(action)) {
        write_from(splice, action, rules);
        write_timestamp(splice, action, rules);
    } else {
        write_timestamp(splice, action, rules);
        write_from(splice, action, rules);
    }
}

bool turntable_relay_game(struct writer *to, const struct turntable_message *message,
                          const struct turntable_rules *rules, struct turntable_error *error)
{
    struct splice splice = {.to = to, .text = message->text};

    *error = (struct turntable_error){.command = "game"};
    for (size_t i = 0; i < message->action_count; i++) {
        if (!check_action(&message->actions[i], rules, error)) {
            return false;
        }
    }
    for (size_t i = 0; i < message->action_count; i++) {
        write_action(&splice, &message->actions[i], rules);
    }
    copy_until(&splice, splice.text.len);
    return true;
}
