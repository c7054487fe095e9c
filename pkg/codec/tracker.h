/*
 * tracker: the Tracker protocol's packets, in both framings (docs/protocol-tracker.md).
 *
 * Source: the two documents of the Tracker protocol ("Message Format", "Example Packets"), and the
 * original programs of 2013 and 2014 where the documents are vague. No I/O; the dialect is the only
 * state.
 */
#ifndef CODEC_TRACKER_H
#define CODEC_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define TRACKER_MAGIC_DOCUMENT 0x2a
#define TRACKER_MAGIC_ORIGINAL 0x42
#define TRACKER_PUSH_HEADER    4 /* bytes before the content of a VERSIONED push */

enum tracker_dialect {
    TRACKER_UNKNOWN,   /* nothing has been read yet */
    TRACKER_VERSIONED, /* 2A 01: one-byte lengths, ids and versions (the versioned document) */
    TRACKER_PLAIN,     /* 2A: one-byte lengths, no ids (the plain document) */
    TRACKER_WIDE,      /* 2A: PLAIN with eight-byte lengths, as that document's text says */
    TRACKER_2013,      /* 42 01: eight-byte lengths; Open replies an id */
    TRACKER_2014       /* 42 01: eight-byte lengths; Open replies 01, Get has a map text */
};

enum tracker_type { TRACKER_OPEN = 0, TRACKER_CLOSE = 1, TRACKER_UPDATE = 2, TRACKER_ALL = 3 };

/* How a PLAIN Update is framed: `2A 02 L n state`, or `2A 02 n state`. AUTO: outer when the first
 * content byte is L - 1. In WIDE, when the first eight are L - 8. */
enum tracker_update_form { TRACKER_FORM_AUTO, TRACKER_FORM_OUTER, TRACKER_FORM_PLAIN };

struct tracker_limits {
    size_t max_state; /* bytes of a state */
    size_t max_id;    /* bytes of an id */
};

struct tracker_options {
    struct tracker_limits limits;
    enum tracker_dialect original; /* TRACKER_2013 or TRACKER_2014, for magic 42 */
    bool wide;                     /* magic 2A is WIDE; else VERSIONED or PLAIN */
    enum tracker_update_form update_form;
};

/* A message from a client. The ranges borrow from the input. */
struct tracker_message {
    enum tracker_type type; /* TRACKER_ALL from a client is Get */
    struct bytes id;        /* Close, Update; data NULL if the dialect has none */
    struct bytes state;     /* Open, Update; may be empty */
    bool has_version;       /* Update */
    uint64_t version;       /* VERSIONED: the byte; 2013: the number */
};

enum tracker_error {
    TRACKER_ERROR_NONE,
    TRACKER_ERROR_MAGIC,
    TRACKER_ERROR_VERSION,
    TRACKER_ERROR_TYPE,
    TRACKER_ERROR_LENGTH, /* negative, an empty id, or inconsistent inner lengths */
    TRACKER_ERROR_LIMIT   /* over max_state or max_id */
};

enum tracker_outcome { TRACKER_MORE, TRACKER_MESSAGE, TRACKER_FAILED };

struct tracker_result {
    enum tracker_outcome outcome;
    size_t consumed;          /* MESSAGE: bytes of it, skipped acknowledgements included. MORE:
                                 acknowledgements that may be dropped now (0 otherwise) */
    enum tracker_error error; /* FAILED */
    const char *reason;       /* FAILED: static text for the log */
};

/*
 * Reads one message. dialect: in and out; the first whole message determines it, and it never
 * changes after. message is written with TRACKER_MESSAGE only. Between VERSIONED messages any
 * number of 01 bytes (a client's replies to pushes) is consumed. `2A 01` as the first bytes waits
 * for a third byte: if that is 2A, the next message's magic, the two were a PLAIN Close; otherwise
 * it is VERSIONED's type.
 */
struct tracker_result tracker_read(struct bytes input, const struct tracker_options *options,
                                   enum tracker_dialect *dialect, struct tracker_message *message);

/* Whether this unread input at the end of a stream is a PLAIN Close as the first message. */
bool tracker_is_close_at_end(struct bytes input, enum tracker_dialect dialect);

/*
 * Append replies and pushes. What the dialect cannot express (a length over one byte, a Get in
 * VERSIONED) fails the writer.
 */
void tracker_write_ack(struct writer *to, bool accepted); /* 01 or 00 */
/* The reply to an accepted Open: the id with its length (VERSIONED), bare (2013), or 01. */
void tracker_write_id(struct writer *to, enum tracker_dialect dialect, struct bytes id);
/* Whether an entry fits a VERSIONED push: id and state at most 251 bytes, and an id. */
bool tracker_fits(struct bytes id, struct bytes state);
/* Size of the entry in a push. An Update one is TRACKER_PUSH_HEADER bytes and its entry; an Update
 * all TRACKER_PUSH_HEADER, the map's version and the entries. */
size_t tracker_entry_size(struct bytes id, struct bytes state);
/* VERSIONED Update one; the entry must fit. */
void tracker_write_update_one(struct writer *to, uint8_t version, struct bytes id,
                              struct bytes state);
/* VERSIONED Update all, one packet at a time: begin, entries while tracker_all_has_room, end. */
struct tracker_all {
    size_t start;
};
struct tracker_all tracker_all_begin(struct writer *to, uint8_t map_version);
bool tracker_all_has_room(const struct writer *to, const struct tracker_all *all, struct bytes id,
                          struct bytes state);
void tracker_all_entry(struct writer *to, uint8_t version, struct bytes id, struct bytes state);
void tracker_all_end(struct writer *to, const struct tracker_all *all);
/* The map text of PLAIN, WIDE and 2014: "{id1=state1, id2=state2}", from pairs sorted by the
 * caller. */
void tracker_write_map_text(struct writer *to, const struct bytes (*pairs)[2], size_t count);
/* That text as a Get reply: with a one-byte length (PLAIN; the single byte 00 when over 255), or
 * eight bytes (WIDE, 2014); 2013 has only 01. */
void tracker_write_map_reply(struct writer *to, enum tracker_dialect dialect, struct bytes text);

/* The client's side: requests (used by tools, tests and the client library). version is the
 * low byte in VERSIONED. */
void tracker_write_open(struct writer *to, enum tracker_dialect dialect, struct bytes state);
void tracker_write_close(struct writer *to, enum tracker_dialect dialect, struct bytes id);
void tracker_write_update(struct writer *to, enum tracker_dialect dialect, struct bytes id,
                          uint64_t version, struct bytes state);
void tracker_write_get(struct writer *to, enum tracker_dialect dialect);

/* The client's side, reading VERSIONED pushes: one message `2A 01 02|03 L …`. For UPDATE the
 * message is filled; for ALL, entries is the content after the map's version byte, to be walked
 * with tracker_all_next. */
struct tracker_push {
    enum tracker_type type; /* TRACKER_UPDATE or TRACKER_ALL */
    uint8_t version;        /* of the entry, or of the map */
    struct bytes id, state; /* UPDATE */
    struct bytes entries;   /* ALL */
};
struct tracker_result tracker_read_push(struct bytes input, struct tracker_push *push);
bool tracker_all_next(struct bytes *entries, uint8_t *version, struct bytes *id,
                      struct bytes *state);

#endif
