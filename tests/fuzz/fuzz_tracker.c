/*
 * Fuzzes the server's side of the Tracker codec. The first byte of the input selects the options,
 * the second is the size of the chunks in which the rest is fed.
 *
 * Invariants: a stream that is fed in chunks and one that is fed whole have the same messages and
 * the same error, and without an error end at the same byte; what is read lies within the input and
 * the limits; a message that is written again is read as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "codec/tracker.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read from one connection. */
struct received {
    struct writer messages;
    enum tracker_dialect dialect;
    enum tracker_error error;
    size_t consumed;
};

static struct tracker_options choose_options(uint8_t choice)
{
    struct tracker_options options = {
        .limits = {.max_state = choice & 8 ? 9 : 65536, .max_id = choice & 8 ? 7 : 255},
        .original = choice & 1 ? TRACKER_2014 : TRACKER_2013,
        .wide = choice & 16,
        .update_form = (choice >> 1) & 3,
    };
    if (options.update_form > TRACKER_FORM_PLAIN) {
        options.update_form = TRACKER_FORM_AUTO;
    }
    return options;
}

static void require_inside(struct bytes input, struct bytes range, size_t limit)
{
    REQUIRE(range.len <= limit);
    if (range.len > 0) {
        REQUIRE(range.data >= input.data && range.data + range.len <= input.data + input.len);
    }
}

static void require_same(const struct tracker_message *a, const struct tracker_message *b)
{
    REQUIRE(a->type == b->type && a->has_version == b->has_version && a->version == b->version);
    REQUIRE(bytes_equal(a->id, b->id) && bytes_equal(a->state, b->state));
}

static void write_request(struct writer *to, enum tracker_dialect dialect,
                          const struct tracker_message *message)
{
    switch (message->type) {
    case TRACKER_OPEN:
        tracker_write_open(to, dialect, message->state);
        break;
    case TRACKER_CLOSE:
        tracker_write_close(to, dialect, message->id);
        break;
    case TRACKER_UPDATE:
        tracker_write_update(to, dialect, message->id, message->version, message->state);
        break;
    case TRACKER_ALL:
        tracker_write_get(to, dialect);
        break;
    }
}

/* The original framing has one form for each message, so there even the bytes must be the same. */
static void require_round_trip(struct bytes read, struct tracker_options options,
                               enum tracker_dialect dialect, const struct tracker_message *message)
{
    struct tracker_message again = {0};
    struct writer to = {0};
    write_request(&to, dialect, message);
    if (to.failed) {
        /* Only the form without an outer length holds a state this long. */
        REQUIRE(dialect == TRACKER_PLAIN && message->state.len == 255);
    } else {
        options.update_form = TRACKER_FORM_OUTER;
        const struct tracker_result result =
            tracker_read(writer_bytes_written(&to), &options, &dialect, &again);
        REQUIRE(result.outcome == TRACKER_MESSAGE && result.consumed == to.len);
        require_same(message, &again);
        if (dialect == TRACKER_2013 || dialect == TRACKER_2014) {
            REQUIRE(bytes_equal(read, writer_bytes_written(&to)));
        }
    }
    writer_free(&to);
}

static void remember(struct writer *to, const struct tracker_message *message)
{
    writer_u8(to, (uint8_t)message->type);
    writer_u8(to, message->has_version);
    writer_u64(to, message->version);
    writer_u64(to, message->id.len);
    writer_bytes(to, message->id);
    writer_u64(to, message->state.len);
    writer_bytes(to, message->state);
}

/* Reads one message from a copy of exact size, so that each byte read too many is seen. */
static struct tracker_result read_one(struct received *received, struct bytes window,
                                      const struct tracker_options *options)
{
    struct tracker_message message = {0};
    const enum tracker_dialect before = received->dialect;
    uint8_t *copy = malloc(window.len > 0 ? window.len : 1);
    REQUIRE(copy);
    if (window.len > 0) {
        memcpy(copy, window.data, window.len);
    }
    const struct bytes input = {copy, window.len};
    const struct tracker_result result = tracker_read(input, options, &received->dialect, &message);

    REQUIRE(result.consumed <= window.len);
    REQUIRE((result.outcome == TRACKER_FAILED) == (result.error != TRACKER_ERROR_NONE));
    REQUIRE((result.outcome == TRACKER_FAILED) == (result.reason != NULL));
    REQUIRE(before == TRACKER_UNKNOWN || received->dialect == before);
    if (result.outcome == TRACKER_MESSAGE) {
        REQUIRE(result.consumed > 0 && received->dialect != TRACKER_UNKNOWN);
        require_inside(input, message.id, options->limits.max_id);
        require_inside(input, message.state, options->limits.max_state);
        require_round_trip((struct bytes){copy, result.consumed}, *options, received->dialect,
                           &message);
        remember(&received->messages, &message);
    }
    free(copy);
    return result;
}

/* A Close that the end of the stream would make one leaves nothing behind that is a message. */
static void require_close_at_end(const struct received *received, struct bytes left)
{
    if (!tracker_is_close_at_end(left, received->dialect)) {
        return;
    }
    REQUIRE(received->dialect == TRACKER_UNKNOWN && received->messages.len == 0 && left.len == 2);
}

static struct received read_stream(struct bytes stream, const struct tracker_options *options,
                                   size_t chunk)
{
    struct received received = {0};
    size_t end = 0;
    while (end < stream.len && received.error == TRACKER_ERROR_NONE) {
        struct tracker_result result;
        end = stream.len - end > chunk ? end + chunk : stream.len;
        do {
            const struct bytes window = {stream.data + received.consumed, end - received.consumed};
            result = read_one(&received, window, options);
            received.consumed += result.consumed;
            received.error = result.error;
            require_close_at_end(&received, window);
        } while (result.outcome == TRACKER_MESSAGE);
    }
    return received;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const struct tracker_options options = choose_options(data[0]);
    const struct bytes stream = {data + 2, size - 2};
    struct received whole = read_stream(stream, &options, stream.len);
    struct received parts = read_stream(stream, &options, data[1] % 16 + 1u);
    REQUIRE(whole.dialect == parts.dialect);
    REQUIRE(whole.error == parts.error);
    /* Acknowledgements before a bad message may have been dropped while it was incomplete. */
    REQUIRE(whole.consumed == parts.consumed || whole.error != TRACKER_ERROR_NONE);
    REQUIRE(
        bytes_equal(writer_bytes_written(&whole.messages), writer_bytes_written(&parts.messages)));
    writer_free(&whole.messages);
    writer_free(&parts.messages);
    return 0;
}
