/*
 * Fuzzes the client's side of the Tracker codec: pushes. The first byte of the input is the size
 * of the chunks in which the rest is fed.
 *
 * Invariants: a stream that is fed in chunks and one that is fed whole end with the same result at
 * the same byte; what is read lies within the input; a push that is written again has the same
 * bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/tracker.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_inside(struct bytes input, struct bytes range)
{
    REQUIRE(range.len <= 255);
    if (range.len > 0) {
        REQUIRE(range.data >= input.data && range.data + range.len <= input.data + input.len);
    }
}

static void write_all(struct writer *to, struct bytes input, const struct tracker_push *push)
{
    const struct tracker_all all = tracker_all_begin(to, push->version);
    struct bytes entries = push->entries;
    struct bytes id;
    struct bytes state;
    uint8_t version;
    while (tracker_all_next(&entries, &version, &id, &state)) {
        require_inside(input, id);
        require_inside(input, state);
        REQUIRE(id.len > 0 && tracker_fits(id, state));
        REQUIRE(tracker_all_has_room(to, &all, id, state));
        tracker_all_entry(to, version, id, state);
    }
    REQUIRE(entries.len == 0);
    tracker_all_end(to, &all);
}

static void require_round_trip(struct bytes input, const struct tracker_push *push)
{
    struct writer to = {0};
    if (push->type == TRACKER_ALL) {
        write_all(&to, input, push);
    } else {
        REQUIRE(push->type == TRACKER_UPDATE && push->id.len > 0);
        require_inside(input, push->id);
        require_inside(input, push->state);
        tracker_write_update(&to, TRACKER_VERSIONED, push->id, push->version, push->state);
    }
    REQUIRE(!to.failed && bytes_equal(writer_bytes_written(&to), input));
    writer_free(&to);
}

/* Reads one push from a copy of exact size, so that each byte read too many is seen. */
static struct tracker_result read_one(struct bytes window)
{
    struct tracker_push push = {0};
    uint8_t *copy = malloc(window.len > 0 ? window.len : 1);
    REQUIRE(copy);
    if (window.len > 0) {
        memcpy(copy, window.data, window.len);
    }
    const struct tracker_result result = tracker_read_push((struct bytes){copy, window.len}, &push);
    REQUIRE(result.consumed <= window.len);
    REQUIRE((result.consumed > 0) == (result.outcome == TRACKER_MESSAGE));
    REQUIRE((result.outcome == TRACKER_FAILED) == (result.error != TRACKER_ERROR_NONE));
    REQUIRE((result.outcome == TRACKER_FAILED) == (result.reason != NULL));
    if (result.outcome == TRACKER_MESSAGE) {
        require_round_trip((struct bytes){copy, result.consumed}, &push);
    }
    free(copy);
    return result;
}

/* Reads until the end or an error; `consumed` is where that was. */
static enum tracker_error read_stream(struct bytes stream, size_t chunk, size_t *consumed)
{
    enum tracker_error error = TRACKER_ERROR_NONE;
    size_t end = 0;
    *consumed = 0;
    while (end < stream.len && error == TRACKER_ERROR_NONE) {
        struct tracker_result result;
        end = stream.len - end > chunk ? end + chunk : stream.len;
        do {
            result = read_one((struct bytes){stream.data + *consumed, end - *consumed});
            *consumed += result.consumed;
            error = result.error;
        } while (result.outcome == TRACKER_MESSAGE);
    }
    return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    const struct bytes stream = {data + 1, size - 1};
    size_t whole;
    size_t parts;
    REQUIRE(read_stream(stream, stream.len, &whole) ==
            read_stream(stream, data[0] % 16 + 1u, &parts));
    REQUIRE(whole == parts);
    return 0;
}
