/*
 * stream: the messages of a space's events channels, queued in the order of their arrival.
 *
 * Messages stay in the queue until stream_next. Each time that a channel has been subscribed, at
 * first and after a loss, a message with `begins` is queued: earlier messages of that channel may
 * be missing.
 */
#ifndef TRACKERCTL_STREAM_H
#define TRACKERCTL_STREAM_H

#include "ctl.h"

struct stream;
struct stream_message {
    uint32_t partition;
    bool begins;       /* the channel has been subscribed; text is empty */
    struct bytes text; /* valid until the next call */
};

/* Subscribes to all channels and waits for it; NULL when the reader has a problem. The space has to
 * outlive the stream. */
struct stream *stream_open(struct ctl *ctl, const struct reader_space *space);
void stream_close(struct stream **stream);
/* The next one, if there is one. */
bool stream_next(struct stream *stream, struct stream_message *message);
/* Runs the loop until there is a message, or a signal. */
void stream_wait(struct stream *stream);

/* The time of day, for people. */
void stream_write_time(struct writer *to);
/* Appends a line for a change, for people or as JSON; json_print prints it. */
struct event;
struct stream_change {
    const char *what;
    struct bytes id;
    bool has_version;
    uint64_t version;
    struct bytes body; /* fields (schema/event.h) */
    const struct reader_space *space;
    uint32_t partition;
    uint64_t epoch, revision; /* 0: not known */
};
void stream_write_change(struct writer *to, bool json, const struct stream_change *change);

#endif
