/*
 * Reading the Tracker protocol's packets.
 *
 * Reading is strictly sequential: each check follows the last byte that it needs, so that a message
 * gets the same first error whether it is fed whole or byte by byte, and an impossible length is
 * refused before waiting for more.
 */
#include "codec/tracker.h"

#include "codec/tracker_private.h"

/* One attempt to read one message. A step returns false on an error, and also when bytes are
 * missing; then error is NONE. */
struct tracker_reading {
    struct cursor cursor;
    struct tracker_limits limits;
    struct tracker_message message;
    enum tracker_error error;
    const char *reason;
};

static bool fail_tracker_message(struct tracker_reading *reading, enum tracker_error error,
                                 const char *reason)
{
    reading->error = error;
    reading->reason = reason;
    return false;
}

static bool read_byte(struct tracker_reading *reading, uint8_t *value)
{
    *value = cursor_u8(&reading->cursor);
    return !reading->cursor.failed;
}

static bool read_message_bytes(struct tracker_reading *reading, size_t len, struct bytes *range)
{
    *range = cursor_take(&reading->cursor, len);
    return !reading->cursor.failed;
}

/* A byte, or eight of any value. */
static bool read_unsigned(struct tracker_reading *reading, size_t width, uint64_t *value)
{
    *value = width == WIDTH_LONG ? cursor_u64(&reading->cursor) : cursor_u8(&reading->cursor);
    return !reading->cursor.failed;
}

/* A length or a version: a byte, or eight with a sign. */
static bool read_message_number(struct tracker_reading *reading, size_t width, uint64_t *value)
{
    if (!read_unsigned(reading, width, value)) {
        return false;
    }
    if (*value > INT64_MAX) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH, "a negative number");
    }
    return true;
}

static bool check_state_length(struct tracker_reading *reading, uint64_t len)
{
    if (len > reading->limits.max_state) {
        return fail_tracker_message(reading, TRACKER_ERROR_LIMIT, "a state over the limit");
    }
    return true;
}

static bool check_id_length(struct tracker_reading *reading, uint64_t len)
{
    if (len == 0) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH, "an empty id");
    }
    if (len > reading->limits.max_id) {
        return fail_tracker_message(reading, TRACKER_ERROR_LIMIT, "an id over the limit");
    }
    return true;
}

static bool read_state(struct tracker_reading *reading, size_t width)
{
    uint64_t len;
    return read_message_number(reading, width, &len) && check_state_length(reading, len) &&
           read_message_bytes(reading, len, &reading->message.state);
}

static bool read_id(struct tracker_reading *reading, size_t width)
{
    uint64_t len;
    return read_message_number(reading, width, &len) && check_id_length(reading, len) &&
           read_message_bytes(reading, len, &reading->message.id);
}

/* VERSIONED Open: the document's example announces one byte too many, so that is accepted too, and
 * the inner length decides. */
static bool read_versioned_open(struct tracker_reading *reading)
{
    uint8_t outer;
    uint8_t inner;
    if (!read_byte(reading, &outer)) {
        return false;
    }
    if (outer == 0) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH, "an Open without content");
    }
    if (outer > 2 && !check_state_length(reading, outer - 2u)) {
        return false;
    }
    if (!read_byte(reading, &inner)) {
        return false;
    }
    if (outer != inner + 1 && outer != inner + 2) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH,
                                    "an Open with inconsistent lengths");
    }
    return check_state_length(reading, inner) &&
           read_message_bytes(reading, inner, &reading->message.state);
}

static bool read_versioned_close(struct tracker_reading *reading)
{
    uint8_t outer;
    uint8_t inner;
    if (!read_byte(reading, &outer)) {
        return false;
    }
    if (outer < 2) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH, "a Close without an id");
    }
    if (!check_id_length(reading, outer - 1u) || !read_byte(reading, &inner)) {
        return false;
    }
    if (outer != inner + 1) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH,
                                    "a Close with inconsistent lengths");
    }
    return read_message_bytes(reading, inner, &reading->message.id);
}

/* VERSIONED and 2013: payload, version, id and state with their lengths, all of one width. */
static bool read_update(struct tracker_reading *reading, size_t width)
{
    const uint64_t fixed = 3 * width;
    uint64_t payload;
    uint64_t len;
    if (!read_message_number(reading, width, &payload)) {
        return false;
    }
    if (payload < fixed + 1) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH, "an Update too short for an id");
    }
    if (payload - fixed > reading->limits.max_id + reading->limits.max_state) {
        return fail_tracker_message(reading, TRACKER_ERROR_LIMIT, "an Update over the limits");
    }
    if (!read_message_number(reading, width, &reading->message.version) ||
        !read_message_number(reading, width, &len)) {
        return false;
    }
    if (len > payload - fixed) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH, "an id longer than its Update");
    }
    const uint64_t state_len = payload - fixed - len;
    if (!check_id_length(reading, len) || !check_state_length(reading, state_len) ||
        !read_message_bytes(reading, len, &reading->message.id) ||
        !read_message_number(reading, width, &len)) {
        return false;
    }
    if (len != state_len) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH,
                                    "lengths of an Update that do not add up");
    }
    reading->message.has_version = true;
    return read_message_bytes(reading, len, &reading->message.state);
}

static bool read_versioned(struct tracker_reading *reading)
{
    switch (reading->message.type) {
    case TRACKER_OPEN:
        return read_versioned_open(reading);
    case TRACKER_CLOSE:
        return read_versioned_close(reading);
    case TRACKER_UPDATE:
        return read_update(reading, WIDTH_BYTE);
    default:
        return fail_tracker_message(reading, TRACKER_ERROR_TYPE,
                                    "a type that only the server sends");
    }
}

/* PLAIN and WIDE Update, whose lengths have width bytes: a length and the state, or these after an
 * outer length. With TRACKER_FORM_AUTO it has an outer length if a matching second one follows;
 * otherwise the second one is the state's first bytes, and may have any value. */
static bool read_plain_update(struct tracker_reading *reading, enum tracker_update_form form,
                              size_t width)
{
    uint64_t first;
    uint64_t second;
    if (!read_message_number(reading, width, &first)) {
        return false;
    }
    if (form == TRACKER_FORM_OUTER && first < width) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH, "an Update without content");
    }
    if (form == TRACKER_FORM_PLAIN || first < width) {
        return check_state_length(reading, first) &&
               read_message_bytes(reading, first, &reading->message.state);
    }

    const struct cursor content = reading->cursor;
    if (!check_state_length(reading, first - width) || !read_unsigned(reading, width, &second)) {
        return false;
    }
    if (second == first - width) {
        return read_message_bytes(reading, second, &reading->message.state);
    }
    if (form == TRACKER_FORM_OUTER) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH,
                                    "lengths of an Update that do not add up");
    }
    reading->cursor = content;
    return check_state_length(reading, first) &&
           read_message_bytes(reading, first, &reading->message.state);
}

static bool read_plain(struct tracker_reading *reading, enum tracker_update_form form)
{
    switch (reading->message.type) {
    case TRACKER_OPEN:
        return read_state(reading, WIDTH_BYTE);
    case TRACKER_UPDATE:
        return read_plain_update(reading, form, WIDTH_BYTE);
    default:
        return true; /* Close and Get end with their type */
    }
}

static bool read_original(struct tracker_reading *reading, enum tracker_dialect dialect)
{
    switch (reading->message.type) {
    case TRACKER_OPEN:
        return read_state(reading, WIDTH_LONG);
    case TRACKER_CLOSE:
        return dialect == TRACKER_2014 || read_id(reading, WIDTH_LONG);
    case TRACKER_UPDATE:
        return dialect == TRACKER_2014 ? read_state(reading, WIDTH_LONG)
                                       : read_update(reading, WIDTH_LONG);
    default:
        return true; /* Get */
    }
}

static bool read_wide(struct tracker_reading *reading, enum tracker_update_form form)
{
    switch (reading->message.type) {
    case TRACKER_OPEN:
        return read_state(reading, WIDTH_LONG);
    case TRACKER_UPDATE:
        return read_plain_update(reading, form, WIDTH_LONG);
    default:
        return true; /* Close and Get end with their type */
    }
}

/* The first byte of a connection. The following bytes decide whether 2A is VERSIONED or PLAIN. */
static bool settle_magic(struct tracker_reading *reading, const struct tracker_options *options,
                         enum tracker_dialect *dialect)
{
    uint8_t magic;
    if (!read_byte(reading, &magic)) {
        return false;
    }
    if (magic != TRACKER_MAGIC_DOCUMENT && magic != TRACKER_MAGIC_ORIGINAL) {
        return fail_tracker_message(reading, TRACKER_ERROR_MAGIC, "an unknown magic number");
    }
    if (magic == TRACKER_MAGIC_ORIGINAL) {
        *dialect = options->original;
    } else {
        *dialect = options->wide ? TRACKER_WIDE : TRACKER_UNKNOWN;
    }
    return true;
}

static bool check_magic(struct tracker_reading *reading, enum tracker_dialect dialect)
{
    const bool document = tracker_has_document_magic(dialect);
    uint8_t magic;
    if (!read_byte(reading, &magic)) {
        return false;
    }
    if (magic != (document ? TRACKER_MAGIC_DOCUMENT : TRACKER_MAGIC_ORIGINAL)) {
        return fail_tracker_message(reading, TRACKER_ERROR_MAGIC,
                                    "the magic number of another dialect");
    }
    return true;
}

/* The dialect of `2A byte`. `2A 01` is VERSIONED, or a PLAIN Close if the next message's magic
 * follows, which is not a type. */
static bool settle_document(struct tracker_reading *reading, uint8_t byte,
                            enum tracker_dialect *dialect)
{
    struct cursor next = reading->cursor;
    if (byte > TRACKER_ALL) {
        return fail_tracker_message(reading, TRACKER_ERROR_VERSION, "an unknown version or type");
    }
    *dialect = TRACKER_PLAIN;
    if (byte == PROTOCOL_VERSION && cursor_u8(&next) != TRACKER_MAGIC_DOCUMENT) {
        *dialect = TRACKER_VERSIONED;
    }
    return true;
}

/* Magic, version if there is one, and type; determines the dialect of a first message. */
static bool read_header(struct tracker_reading *reading, const struct tracker_options *options,
                        enum tracker_dialect *dialect)
{
    uint8_t byte;
    if (*dialect == TRACKER_UNKNOWN ? !settle_magic(reading, options, dialect)
                                    : !check_magic(reading, *dialect)) {
        return false;
    }
    if (!read_byte(reading, &byte)) {
        return false;
    }
    if (*dialect == TRACKER_UNKNOWN && !settle_document(reading, byte, dialect)) {
        return false;
    }
    if (tracker_has_version(*dialect)) {
        if (byte != PROTOCOL_VERSION) {
            return fail_tracker_message(reading, TRACKER_ERROR_VERSION, "an unknown version");
        }
        if (!read_byte(reading, &byte)) {
            return false;
        }
    }
    if (byte > TRACKER_ALL) {
        return fail_tracker_message(reading, TRACKER_ERROR_TYPE, "an unknown type");
    }
    reading->message.type = byte;
    return true;
}

static bool read_content(struct tracker_reading *reading, const struct tracker_options *options,
                         enum tracker_dialect dialect)
{
    if (dialect == TRACKER_VERSIONED) {
        return read_versioned(reading);
    }
    if (dialect == TRACKER_PLAIN) {
        return read_plain(reading, options->update_form);
    }
    if (dialect == TRACKER_WIDE) {
        return read_wide(reading, options->update_form);
    }
    return read_original(reading, dialect);
}

static struct tracker_result result_of(const struct tracker_reading *reading, bool done,
                                       struct bytes input, size_t acks)
{
    struct tracker_result result = {.consumed = acks};
    if (done) {
        result.outcome = TRACKER_MESSAGE;
        result.consumed = (size_t)(reading->cursor.at - input.data);
    } else if (reading->error != TRACKER_ERROR_NONE) {
        result.outcome = TRACKER_FAILED;
        result.consumed = 0;
        result.error = reading->error;
        result.reason = reading->reason;
    }
    return result;
}

struct tracker_result tracker_read(struct bytes input, const struct tracker_options *options,
                                   enum tracker_dialect *dialect, struct tracker_message *message)
{
    size_t acks = 0;
    if (*dialect == TRACKER_VERSIONED) {
        while (acks < input.len && input.data[acks] == ACK) {
            acks++;
        }
    }
    if (acks == input.len) {
        return (struct tracker_result){.outcome = TRACKER_MORE, .consumed = acks};
    }

    struct tracker_reading reading = {
        .cursor = cursor_over((struct bytes){input.data + acks, input.len - acks}),
        .limits = options->limits,
    };
    enum tracker_dialect settled = *dialect;
    const bool done =
        read_header(&reading, options, &settled) && read_content(&reading, options, settled);
    if (done) {
        *dialect = settled;
        *message = reading.message;
    }
    return result_of(&reading, done, input, acks);
}

bool tracker_is_close_at_end(struct bytes input, enum tracker_dialect dialect)
{
    static const uint8_t close[] = {TRACKER_MAGIC_DOCUMENT, TRACKER_CLOSE};
    return dialect == TRACKER_UNKNOWN && bytes_equal(input, (struct bytes){close, sizeof close});
}

/* The entries of an Update all must fill its content exactly. */
static bool read_push_all(struct tracker_reading *reading, struct tracker_push *push)
{
    struct bytes content;
    struct bytes id;
    struct bytes state;
    uint8_t len;
    uint8_t version;
    if (!read_byte(reading, &len)) {
        return false;
    }
    if (len == 0) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH,
                                    "an Update all without the map's version");
    }
    if (!read_message_bytes(reading, len, &content)) {
        return false;
    }
    push->version = content.data[0];
    push->entries = (struct bytes){content.data + 1, content.len - 1};
    struct bytes left = push->entries;
    while (tracker_all_next(&left, &version, &id, &state)) {
    }
    if (left.len > 0) {
        return fail_tracker_message(reading, TRACKER_ERROR_LENGTH,
                                    "entries with inconsistent lengths");
    }
    return true;
}

static bool read_tracker_push(struct tracker_reading *reading, struct tracker_push *push)
{
    enum tracker_dialect dialect = TRACKER_VERSIONED;
    if (!read_header(reading, NULL, &dialect)) {
        return false;
    }
    push->type = reading->message.type;
    if (push->type == TRACKER_ALL) {
        return read_push_all(reading, push);
    }
    if (push->type != TRACKER_UPDATE) {
        return fail_tracker_message(reading, TRACKER_ERROR_TYPE, "a type that only clients send");
    }
    if (!read_update(reading, WIDTH_BYTE)) {
        return false;
    }
    push->version = (uint8_t)reading->message.version;
    push->id = reading->message.id;
    push->state = reading->message.state;
    return true;
}

struct tracker_result tracker_read_push(struct bytes input, struct tracker_push *push)
{
    struct tracker_reading reading = {
        .cursor = cursor_over(input),
        .limits = {.max_state = BYTE_MAX, .max_id = BYTE_MAX},
    };
    struct tracker_push read = {0};
    const bool done = read_tracker_push(&reading, &read);
    if (done) {
        *push = read;
    }
    return result_of(&reading, done, input, 0);
}

bool tracker_all_next(struct bytes *entries, uint8_t *version, struct bytes *id,
                      struct bytes *state)
{
    struct cursor cursor = cursor_over(*entries);
    *version = cursor_u8(&cursor);
    *id = cursor_take(&cursor, cursor_u8(&cursor));
    *state = cursor_take(&cursor, cursor_u8(&cursor));
    if (cursor.failed || id->len == 0) {
        return false;
    }
    *entries = (struct bytes){cursor.at, cursor_left(&cursor)};
    return true;
}
