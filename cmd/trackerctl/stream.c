#include "stream.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "entries.h"
#include "output.h"
#include "schema/event.h"
#include "schema/keys.h"

#define ITERATION_MS 1000

struct queued {
    struct list link;
    uint32_t partition;
    bool begins;
    size_t len;
    uint8_t text[];
};

struct stream {
    struct ctl *ctl;
    const struct reader_space *space;
    struct redis_subscriber *subscriber;
    struct list queue;
    struct queued *taken; /* the last result of stream_next */
    uint32_t subscribed;  /* channels, until all have been once */
    bool complete;
};

static void enqueue_message(struct stream *stream, struct bytes channel, bool begins,
                            struct bytes text)
{
    struct bytes name;
    uint32_t partition;
    if (!reader_parse_key(stream->space, channel, &partition, &name)) {
        return;
    }
    struct queued *queued = mem_alloc(sizeof *queued + text.len);
    queued->partition = partition;
    queued->begins = begins;
    queued->len = text.len;
    if (text.len > 0) {
        memcpy(queued->text, text.data, text.len);
    }
    list_init(&queued->link);
    list_append(&stream->queue, &queued->link);
}

static void on_stream_subscribed(void *arg, struct bytes channel)
{
    struct stream *stream = arg;
    enqueue_message(stream, channel, true, (struct bytes){0});
    if (stream->complete) {
        ctl_note(stream->ctl, "subscribed again: events in between are missing");
    }
    stream->complete = stream->complete || ++stream->subscribed == stream->space->partitions;
}

static void on_message(void *arg, struct bytes channel, struct bytes text)
{
    enqueue_message(arg, channel, false, text);
}

static void on_up(void *arg)
{
}

static void on_stream_down(void *arg)
{
    struct stream *stream = arg;
    if (stream->complete) {
        ctl_note(stream->ctl, "the connection to Redis was lost");
    }
}

static const struct redis_subscriber_callbacks callbacks = {
    .subscribed = on_stream_subscribed, .message = on_message, .up = on_up, .down = on_stream_down};

struct stream *stream_open(struct ctl *ctl, const struct reader_space *space)
{
    struct stream *stream = mem_zalloc(1, sizeof *stream);
    stream->ctl = ctl;
    stream->space = space;
    list_init(&stream->queue);
    stream->subscriber =
        redis_subscriber_create(ctl->loop, "events", &ctl->target, &ctl->redis, &callbacks, stream);
    for (uint32_t i = 0; i < space->partitions; i++) {
        char *prefix = keys_partition_prefix(space->prefix, space->name, space->partitions, i);
        char *channels = keys_partition_channels(prefix, ctl->target.database);
        char *channel = mem_format("%sevents", channels);
        redis_subscribe(stream->subscriber, bytes_from_string(channel));
        free(channels);
        free(channel);
        free(prefix);
    }
    if (!reader_wait_for(ctl->reader, &stream->complete)) {
        stream_close(&stream);
    }
    return stream;
}

void stream_close(struct stream **pointer)
{
    struct stream *stream = *pointer;
    *pointer = NULL;
    if (!stream) {
        return;
    }
    redis_subscriber_destroy(&stream->subscriber);
    LIST_FOREACH (node, &stream->queue) {
        free(list_entry(node, struct queued, link));
    }
    free(stream->taken);
    free(stream);
}

bool stream_next(struct stream *stream, struct stream_message *message)
{
    free(stream->taken);
    stream->taken = NULL;
    if (list_is_empty(&stream->queue)) {
        return false;
    }
    struct queued *queued = list_entry(stream->queue.next, struct queued, link);
    list_remove(&queued->link);
    stream->taken = queued;
    *message =
        (struct stream_message){queued->partition, queued->begins, {queued->text, queued->len}};
    return true;
}

void stream_wait(struct stream *stream)
{
    while (list_is_empty(&stream->queue) && !stream->ctl->stopped) {
        loop_iterate(stream->ctl->loop, ITERATION_MS);
    }
}

/* Lines. */

void stream_write_time(struct writer *to)
{
    uint64_t ms = clock_wall_us() / 1000;
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    writer_format(to, "%02d:%02d:%02d.%03u", tm.tm_hour, tm.tm_min, tm.tm_sec,
                  (unsigned)(ms % 1000));
}

static void write_json(struct writer *to, const struct stream_change *change)
{
    json_open(to, NULL, '{');
    json_string(to, "event", change->what);
    json_number(to, "time", (int64_t)(clock_wall_us() / 1000));
    json_string(to, "space", change->space->name);
    json_number(to, "partition", change->partition);
    if (change->epoch) {
        char *epoch = mem_format("%016llx", (unsigned long long)change->epoch);
        json_string(to, "epoch", epoch);
        free(epoch);
    }
    if (change->revision) {
        json_number(to, "revision", (int64_t)change->revision);
    }
    if (change->id.len > 0) {
        json_bytes(to, "id", change->id);
    }
    if (change->has_version) {
        json_number(to, "version", (int64_t)change->version);
    }
    entries_write_json(to, change->body);
    json_close(to, '}');
}

static void write_text(struct writer *to, const struct stream_change *change)
{
    struct bytes body = change->body, field, value;
    stream_write_time(to);
    writer_format(to, " %-6s ", change->what);
    output_shown(to, change->id);
    if (change->has_version) {
        writer_format(to, " %llu", (unsigned long long)change->version);
    }
    while (event_field(&body, &field, &value)) {
        writer_string(to, value.data ? " " : " -"); /* the field is deleted */
        output_shown(to, field);
        if (!value.data) {
            continue;
        }
        writer_u8(to, '=');
        output_shown(to, value);
    }
}

void stream_write_change(struct writer *to, bool json, const struct stream_change *change)
{
    if (json) {
        write_json(to, change);
    } else {
        write_text(to, change);
    }
}
