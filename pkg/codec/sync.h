/*
 * sync: the packets of the metadata-sync protocol, JSON text (docs/protocol-sync.md).
 *
 * Source: the document "Protocol V1", which defines metadata, changes, properties and the relay;
 * errors and delta mode are ours. No I/O, no clock, no state.
 *
 * A property's value is any JSON value. It is stored as its source text without insignificant white
 * space, and is never re-encoded.
 */
#ifndef CODEC_SYNC_H
#define CODEC_SYNC_H

#include "codec/json.h"

#define SYNC_VALUE_DEPTH 16 /* of a property's value */

struct sync_limits {
    struct json_limits json; /* of the packet */
    unsigned depth;          /* nested containers in a property's value */
    size_t properties;       /* of one entry */
    size_t name;             /* bytes of a property's name */
    size_t total;            /* bytes of one entry's names and values, as stored */
    size_t receivers;        /* in one `to` */
    size_t id;               /* bytes of an id of the map */
    size_t type;             /* bytes of a packet's type */
};
#define SYNC_LIMITS_DEFAULT                                                                        \
    {                                                                                              \
        .json = {.bytes = 1048576,                                                                 \
                 .depth = JSON_DEPTH_MAX,                                                          \
                 .keys = 16384,                                                                    \
                 .values = 16384,                                                                  \
                 .number = JSON_NUMBER_MAX,                                                        \
                 .lone_surrogates = true},                                                         \
        .depth = SYNC_VALUE_DEPTH, .properties = 25, .name = 64, .total = 4096, .receivers = 256,  \
        .id = 255, .type = 64                                                                      \
    }

/* The values of an error's `code`: the first few are the codec's, the others the protocol's. */
#define SYNC_CODES(X)                                                                              \
    X(BAD_JSON, "bad_json")           /* the text is not JSON that we accept */                    \
    X(BAD_PACKET, "bad_packet")       /* a key is missing, or a value of another type */           \
    X(BAD_TO, "bad_to")               /* not a valid receiver */                                   \
    X(BAD_TYPE, "bad_type")           /* a type that only the server sends, or does not know */    \
    X(BAD_PROPERTY, "bad_property")   /* a name or a value with a lone surrogate */                \
    X(LIMIT, "limit")                 /* more, longer or deeper than allowed */                    \
    X(UNDELIVERABLE, "undeliverable") /* the receiver is gone, or accepts no packets */            \
    X(UNAVAILABLE, "unavailable")     /* the map did not answer in time */

enum sync_code {
#define SYNC_CODE_ENUM(name, text) SYNC_CODE_##name,
    SYNC_CODES(SYNC_CODE_ENUM)
#undef SYNC_CODE_ENUM
};
const char *sync_code_name(enum sync_code code);

/* The reason for refusing a packet of another type to the server. */
#define SYNC_UNKNOWN_REASON "the server knows properties and ping only"

struct sync_error {
    enum sync_code code;
    struct json_error detail; /* detail.text is for the peer: what, and where */
};

struct sync_property {
    struct bytes name;
    struct bytes value; /* JSON, minified; data NULL: deleted */
};

/* A property of a packet that is refused, and why. */
struct sync_refusal {
    const struct json_value *value;
    enum sync_code code;
    const char *reason; /* static */
};

enum sync_kind {
    SYNC_PROPERTIES, /* for the server: merge these */
    SYNC_PING,       /* for the server: nothing to do */
    SYNC_UNKNOWN, /* for the server, and maybe for others, with a type that the server does not know
                   */
    SYNC_RELAY    /* for other clients only */
};

/* Borrows the text, and owns the rest; free it with sync_packet_free. */
struct sync_packet {
    enum sync_kind kind;
    struct sync_property *properties; /* PROPERTIES: changes, in the packet's order */
    size_t property_count;
    struct sync_refusal *refused; /* PROPERTIES: those that are refused */
    size_t refused_count;
    const struct json_value **sources; /* the value of each property in the packet */
    uint8_t *minified;                 /* texts of values */
    /* The receivers, without the server. */
    bool everyone;    /* all, the sender included; then `to` is empty */
    struct bytes *to; /* ids without duplicates; may be empty */
    size_t to_count;
    struct bytes type; /* decoded */
    const struct json_value *packet;
    struct json_document *document;
};

/* Reads a client's packet; on success it must be freed, on failure it is empty. */
bool sync_read(struct bytes text, const struct sync_limits *limits, struct sync_packet *packet,
               struct sync_error *error) __attribute__((warn_unused_result));
void sync_packet_free(struct sync_packet *packet);

/*
 * Keeps those changes of a packet that fit into an entry with these properties within the limits,
 * and refuses the others: deletions are applied first, then changes in the packet's order. A
 * refused property stays in the entry unchanged. An entry that already exceeds a limit may shrink.
 */
void sync_packet_fit(struct sync_packet *packet, const struct sync_property *properties,
                     size_t count, const struct sync_limits *limits);
/* Appends the refused properties to an error's message: each with its place and reason, as many as
 * the message has room for. Returns the number of those omitted. */
size_t sync_write_refusals(struct writer *to, const struct sync_packet *packet);

/* A packet as its receivers get it: from, type, the type's value, and the other keys unchanged. A
 * `from` in the packet is dropped. */
void sync_write_relay(struct writer *to, const struct sync_packet *packet, struct bytes sender);

/* Properties as a JSON object, with null for deleted ones. A value that is not JSON, which another
 * program may have stored, fails the writer. */
void sync_write_properties(struct writer *to, const struct sync_property *properties, size_t count);

/* An entry of the map. Ids that are not text (json_is_text) are omitted when writing, and counted.
 */
struct sync_entry {
    struct bytes token;
    struct bytes
        properties; /* a JSON object: sync_write_properties, entry.h; empty stands for {} */
};

/*
 * The metadata packet is written in two parts: the head, which names its receiver, and the rest,
 * which is the same for all receivers of one tick. resume: the secret for resuming, or empty.
 */
void sync_write_metadata_head(struct writer *to, struct bytes token, struct bytes resume);
size_t sync_write_metadata_rest(struct writer *to, const struct sync_entry *entries, size_t count,
                                const char *version);

/* The changes since the last tick; no duplicates within a list. */
struct sync_changes {
    const struct bytes *opened;
    size_t opened_count;
    const struct bytes *closed;
    size_t closed_count;
    const struct bytes *properties; /* whose properties changed */
    size_t properties_count;
    bool delta; /* with `values` */
    const struct sync_entry *values;
    size_t values_count;
};
size_t sync_write_changes(struct writer *to, const struct sync_changes *changes);
void sync_write_error(struct writer *to, enum sync_code code, const char *message);

/* What a client sends: its changes. */
void sync_write_update(struct writer *to, const struct sync_property *changes, size_t count);

#endif
