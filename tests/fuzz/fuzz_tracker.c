/*
 * Fuzzes the server's side of the Tracker codec. The first byte of the input chooses the options,
 * the second the size of the chunks that the rest is fed in.
 *
 * What must hold: a stream fed in chunks and fed whole brings the same messages and the same
 * error, and without one ends at the same byte; what is read lies in the input and within the
 * limits; a message written again is read as the same message.
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

/* What one connection brought. */
struct heard {
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
    if (options.update_form > TRACKER_FORM_PLAIN)
        options.update_form = TRACKER_FORM_AUTO;
    return options;
}

static void require_inside(struct bytes input, struct bytes range, size_t limit)
{
    REQUIRE(range.len <= limit);
    if (range.len > 0)
        REQUIRE(range.data >= input.data && range.data + range.len <= input.data + input.len);
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
        if (dialect == TRACKER_2013 || dialect == TRACKER_2014)
            REQUIRE(bytes_equal(read, writer_bytes_written(&to)));
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
static struct tracker_result read_one(struct heard *heard, struct bytes window,
                                      const struct tracker_options *options)
{
    struct tracker_message message = {0};
    const enum tracker_dialect before = heard->dialect;
    uint8_t *copy = malloc(window.len > 0 ? window.len : 1);
    REQUIRE(copy != NULL);
    if (window.len > 0)
        memcpy(copy, window.data, window.len);
    const struct bytes input = {copy, window.len};
    const struct tracker_result result = tracker_read(input, options, &heard->dialect, &message);

    REQUIRE(result.consumed <= window.len);
    REQUIRE((result.outcome == TRACKER_FAILED) == (result.error != TRACKER_ERROR_NONE));
    REQUIRE((result.outcome == TRACKER_FAILED) == (result.reason != NULL));
    REQUIRE(before == TRACKER_UNKNOWN || heard->dialect == before);
    if (result.outcome == TRACKER_MESSAGE) {
        REQUIRE(result.consumed > 0 && heard->dialect != TRACKER_UNKNOWN);
        require_inside(input, message.id, options->limits.max_id);
        require_inside(input, message.state, options->limits.max_state);
        require_round_trip((struct bytes){copy, result.consumed}, *options, heard->dialect,
                           &message);
        remember(&heard->messages, &message);
    }
    free(copy);
    return result;
}

/* A Close that the end of the stream would make one leaves nothing behind that is a message. */
static void require_close_at_end(const struct heard *heard, struct bytes left)
{
    if (!tracker_is_close_at_end(left, heard->dialect))
        return;
    REQUIRE(heard->dialect == TRACKER_UNKNOWN && heard->messages.len == 0 && left.len == 2);
}

static struct heard hear(struct bytes stream, const struct tracker_options *options, size_t chunk)
{
    struct heard heard = {0};
    size_t end = 0;
    while (end < stream.len && heard.error == TRACKER_ERROR_NONE) {
        struct tracker_result result;
        end = stream.len - end > chunk ? end + chunk : stream.len;
        do {
            const struct bytes window = {stream.data + heard.consumed, end - heard.consumed};
            result = read_one(&heard, window, options);
            heard.consumed += result.consumed;
            heard.error = result.error;
            require_close_at_end(&heard, window);
        } while (result.outcome == TRACKER_MESSAGE);
    }
    return heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct tracker_options options = choose_options(data[0]);
    const struct bytes stream = {data + 2, size - 2};
    struct heard whole = hear(stream, &options, stream.len);
    struct heard parts = hear(stream, &options, data[1] % 16 + 1u);
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
