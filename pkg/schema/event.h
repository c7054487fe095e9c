/*
 * event: the messages in which scripts publish changes and return entries. Pure, no I/O.
 *
 *   message = format " " epoch " " revision " " count "\n" event*count
 *   event   = op " " idlen " " versionlen " " len "\n" id version body
 *   body    = { fieldlen " " valuelen "\n" field value }*       (len bytes)
 *             of an update also: fieldlen " -\n" field             (the field is deleted)
 *
 * Numbers are decimal. revision is the first event's, and each later event has the next one; a
 * chunk of a snapshot has the revision at which it was read, and its events have the op "entry".
 * epoch: 16 hex digits. A message with count 0 announces a new epoch, or a new format. This is a
 * public contract: docs/redis-keys.md.
 */
#ifndef SCHEMA_EVENT_H
#define SCHEMA_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum event_op {
    EVENT_OPEN,   /* a new entry, with all its fields */
    EVENT_ADOPT,  /* a new owner, with all fields */
    EVENT_UPDATE, /* the fields that changed, and the version */
    EVENT_ORPHAN, /* its connection has ended; it waits for its client */
    EVENT_CLOSE,  /* closed; body: the reason */
    EVENT_ENTRY,  /* of a snapshot: all fields */
    EVENT_OTHER   /* an op of a newer front-end: it has a revision, and no other effect */
};

struct event_message {
    uint64_t epoch; /* the 16 hex digits as a number */
    uint64_t revision;
    uint64_t count;
    struct bytes rest; /* the events not yet read */
};
struct event {
    enum event_op op;
    struct bytes id;
    uint64_t version;
    struct bytes body;
};

/* 16 hex digits as a number. */
bool event_epoch_read(struct bytes text, uint64_t *epoch) __attribute__((warn_unused_result));
/* False when the message is malformed. */
bool event_message_read(struct bytes text, struct event_message *message)
    __attribute__((warn_unused_result));
/* The next event; false at the end and when it is malformed (then *bad is set). */
bool event_next(struct event_message *message, struct event *event, bool *bad);
/* The next field of a body; false at the end or when malformed. value->data NULL: a deletion. */
bool event_field(struct bytes *body, struct bytes *field, struct bytes *value);
/* A field of a body by name; data NULL when missing, or deleted. */
struct bytes event_field_find(struct bytes body, const char *name);
const char *event_op_name(enum event_op op);

#endif
