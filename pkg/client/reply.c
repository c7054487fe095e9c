/* reply: the forms of a server's replies, by dialect and request. */
#include "client/reply_private.h"

#include "base/ids.h"

enum form {
    FORM_NONE,
    FORM_ACK,      /* 01 or 00 */
    FORM_SIZED_ID, /* a length byte and the id; length 0: refused */
    FORM_BARE_ID,  /* an id of fixed length; first byte 0: refused */
    FORM_SIZED_TEXT,
    FORM_LONG_TEXT /* eight length bytes and the text */
};

static const enum form forms[][4] = {
    [TRACKER_VERSIONED] = {FORM_SIZED_ID, FORM_ACK, FORM_ACK, FORM_NONE},
    [TRACKER_PLAIN] = {FORM_ACK, FORM_NONE, FORM_ACK, FORM_SIZED_TEXT},
    [TRACKER_WIDE] = {FORM_ACK, FORM_NONE, FORM_ACK, FORM_LONG_TEXT},
    [TRACKER_2013] = {FORM_BARE_ID, FORM_ACK, FORM_ACK, FORM_ACK},
    [TRACKER_2014] = {FORM_ACK, FORM_NONE, FORM_ACK, FORM_LONG_TEXT},
};

bool reply_expected(enum tracker_dialect dialect, enum tracker_client_request request)
{
    return forms[dialect][request] != FORM_NONE;
}

static struct tracker_result failed_reply(enum tracker_error error, const char *reason)
{
    return (struct tracker_result){.outcome = TRACKER_FAILED, .error = error, .reason = reason};
}

static struct tracker_result need_more_input(void)
{
    return (struct tracker_result){.outcome = TRACKER_MORE};
}

static struct tracker_result message_reply(size_t consumed)
{
    return (struct tracker_result){.outcome = TRACKER_MESSAGE, .consumed = consumed};
}

static struct tracker_result read_ack(struct bytes input, struct reply *reply)
{
    if (input.data[0] > 1) {
        return failed_reply(TRACKER_ERROR_TYPE, "a reply that is neither 01 nor 00");
    }
    reply->accepted = input.data[0] == 1;
    return message_reply(1);
}

static struct tracker_result read_long_text(struct bytes input, size_t max_text,
                                            struct reply *reply)
{
    struct cursor cursor = cursor_over(input);
    const uint64_t len = cursor_u64(&cursor);
    if (cursor.failed) {
        return need_more_input();
    }
    if (len > INT64_MAX) {
        return failed_reply(TRACKER_ERROR_LENGTH, "a negative length");
    }
    if (len > max_text) {
        return failed_reply(TRACKER_ERROR_LIMIT, "the map exceeds max_map");
    }
    reply->accepted = len > 0;
    if (len > 0) {
        reply->bytes = cursor_take(&cursor, len);
    }
    return cursor.failed ? need_more_input() : message_reply(sizeof len + len);
}

/* An id or a text after its length byte. */
static struct tracker_result read_sized(struct bytes input, struct reply *reply)
{
    const size_t len = input.data[0];
    if (input.len < 1 + len) {
        return need_more_input();
    }
    reply->accepted = len > 0;
    if (len > 0) {
        reply->bytes = (struct bytes){input.data + 1, len};
    }
    return message_reply(1 + len);
}

static struct tracker_result read_bare_id(struct bytes input, struct reply *reply)
{
    if (input.data[0] == 0) {
        return message_reply(1);
    }
    if (input.len < ID_CLIENT_LENGTH) {
        return need_more_input();
    }
    reply->accepted = true;
    reply->bytes = (struct bytes){input.data, ID_CLIENT_LENGTH};
    return message_reply(ID_CLIENT_LENGTH);
}

struct tracker_result reply_read(struct bytes input, enum tracker_dialect dialect,
                                 enum tracker_client_request request, size_t max_text,
                                 struct reply *reply)
{
    *reply = (struct reply){0};
    if (input.len == 0) {
        return need_more_input();
    }
    switch (forms[dialect][request]) {
    case FORM_ACK:
        return read_ack(input, reply);
    case FORM_SIZED_ID:
    case FORM_SIZED_TEXT:
        return read_sized(input, reply);
    case FORM_BARE_ID:
        return read_bare_id(input, reply);
    case FORM_LONG_TEXT:
        return read_long_text(input, max_text, reply);
    case FORM_NONE:
        break;
    }
    return failed_reply(TRACKER_ERROR_TYPE, "a reply without a request");
}
