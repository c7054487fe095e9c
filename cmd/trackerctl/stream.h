/*
 * stream: the messages of a space's events channels, queued in the order in which they came.
 *
 * Nothing is handled while others wait for Redis: messages stay in the queue. Each time that a
 * channel has been subscribed, at first and after a loss, a message without text says so: what was
 * told before it on that channel may not be all.
 */
#ifndef TRACKERCTL_STREAM_H
#define TRACKERCTL_STREAM_H

#include "ctl.h"

struct stream;
struct stream_message {
    uint32_t partition;
    bool begins;       /* no text: from here on nothing is missed */
    struct bytes text; /* valid until the next call */
};

/* Subscribes and waits until all is subscribed; NULL after a problem of the reader. The space must
 * outlive it. */
struct stream *stream_open(struct ctl *ctl, const struct reader_space *space);
void stream_close(struct stream **stream);
/* The next one, if there is one. */
bool stream_next(struct stream *stream, struct stream_message *message);
/* Turns the loop until there is a message, or a signal. */
void stream_wait(struct stream *stream);

/* The time of day, for humans. */
void stream_write_time(struct writer *to);
/* A line for a change, for humans or as JSON, to be followed by json_print. */
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
