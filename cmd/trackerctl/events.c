/* events: every change of a space as it is published, one line each, until a signal. */
#include <stdlib.h>

#include "base/mem.h"
#include "output.h"
#include "schema/event.h"
#include "stream.h"

struct event_part {
    bool began; /* subscribed before */
    uint64_t epoch, revision;
};

struct events {
    struct ctl *ctl;
    struct reader_space space;
    struct event_part *parts;
    struct writer line;
};

static void print_event_change(struct events *events, struct stream_change *change)
{
    change->space = &events->space;
    stream_write_change(&events->line, events->ctl->json, change);
    json_print(&events->line);
}

/* Events are missing, or may be. */
static void print_gap(struct events *events, uint32_t partition)
{
    print_event_change(events, &(struct stream_change){.what = "gap", .partition = partition});
}

static void print_event(struct events *events, uint32_t partition, uint64_t revision,
                        const struct event *event)
{
    bool has_version = event->op != EVENT_CLOSE && event->op != EVENT_ORPHAN;
    print_event_change(events, &(struct stream_change){.what = event_op_name(event->op),
                                                       .id = event->id,
                                                       .has_version = has_version,
                                                       .version = event->version,
                                                       .body = event->body,
                                                       .partition = partition,
                                                       .epoch = events->parts[partition].epoch,
                                                       .revision = revision});
}

static void print_event_message(struct events *events, uint32_t partition, struct bytes text)
{
    struct event_part *part = &events->parts[partition];
    struct event_message message;
    struct event event;
    bool bad;
    if (!event_message_read(text, &message)) {
        ctl_complain("a message on the events channel is malformed");
        return;
    }
    if (part->epoch && message.epoch != part->epoch) {
        print_event_change(events, &(struct stream_change){.what = "epoch",
                                                           .partition = partition,
                                                           .epoch = message.epoch,
                                                           .revision = message.revision});
    } else if (part->revision && message.count > 0 && message.revision != part->revision + 1) {
        print_gap(events, partition);
    }
    part->epoch = message.epoch;
    uint64_t revision = message.revision;
    while (event_next(&message, &event, &bad)) {
        print_event(events, partition, revision++, &event);
    }
    if (message.count > 0) {
        part->revision = message.revision + message.count - 1;
    }
    if (bad) {
        ctl_complain("a message on the events channel is malformed");
    }
}

static void print_event_messages(struct events *events, struct stream *stream)
{
    struct stream_message message;
    while (stream_next(stream, &message)) {
        struct event_part *part = &events->parts[message.partition];
        if (!message.begins) {
            print_event_message(events, message.partition, message.text);
            continue;
        }
        if (part->began) {
            print_gap(events, message.partition);
        }
        *part = (struct event_part){.began = true};
    }
}

enum ctl_exit command_events(struct ctl *ctl, int count, char **arguments)
{
    struct events events = {.ctl = ctl};
    enum ctl_exit result = ctl_connect_space(ctl, &events.space);
    if (result != CTL_OK) {
        return result;
    }
    ctl_listen_for_signals(ctl);
    struct stream *stream = stream_open(ctl, &events.space);
    if (!stream) {
        return ctl_check(ctl);
    }
    ctl_note(ctl, "listening");
    events.parts = mem_zalloc(events.space.partitions, sizeof *events.parts);
    while (!ctl->stopped) {
        print_event_messages(&events, stream);
        if (ctl_flush(ctl)) {
            stream_wait(stream);
        }
    }
    stream_close(&stream);
    writer_free(&events.line);
    free(events.parts);
    return CTL_OK;
}
