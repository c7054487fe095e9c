/*
 * sync: the packets of the metadata sync protocol, JSON text (docs/protocol-sync.md).
 *
 * Source: the document "Protocol V1", whose packets are metadata, changes, properties and the
 * relay; errors and delta mode are ours. No I/O, no clock, no knowledge of who is connected.
 *
 * A property's value is any JSON value. It is kept as the text that its client wrote, without the
 * spaces between the parts of an array or object, and is never printed again.
 */
#ifndef CODEC_SYNC_H
#define CODEC_SYNC_H

#include "codec/json.h"

#define SYNC_VALUE_DEPTH 16 /* of a property's value */

struct sync_limits {
    struct json_limits json; /* of the packet */
    unsigned depth;          /* containers in one another in a property's value */
    size_t properties;       /* of one entry */
    size_t name;             /* bytes of a property's name */
    size_t total;            /* bytes of one entry's names and values, these as they are kept */
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
        .depth = SYNC_VALUE_DEPTH, .properties = 25, .name = 64, .total = 4096, .receivers = 1000, \
        .id = 255, .type = 64                                                                      \
    }

/* What error packets say in `code`: the first few are the codec's, the others the protocol's. */
#define SYNC_CODES(X)                                                                              \
    X(BAD_JSON, "bad_json")           /* the text is no JSON that we take */                       \
    X(BAD_PACKET, "bad_packet")       /* a key is missing, or a value of another type */           \
    X(BAD_TO, "bad_to")               /* no receiver can be named like this */                     \
    X(BAD_TYPE, "bad_type")           /* a type that only the server sends, or does not know */    \
    X(BAD_PROPERTY, "bad_property")   /* a name or a value with a lone surrogate */                \
    X(LIMIT, "limit")                 /* more, longer or deeper than allowed */                    \
    X(UNDELIVERABLE, "undeliverable") /* the receiver is gone, or takes no packets */              \
    X(UNAVAILABLE, "unavailable")     /* the map did not answer in time */

enum sync_code {
#define SYNC_CODE_ENUM(name, text) SYNC_CODE_##name,
    SYNC_CODES(SYNC_CODE_ENUM)
#undef SYNC_CODE_ENUM
};
const char *sync_code_name(enum sync_code code);

/* Why the server takes no packet of another type. */
#define SYNC_UNKNOWN_REASON "the server knows properties and ping only"

struct sync_error {
    enum sync_code code;
    struct json_error detail; /* detail.text is for the peer: what, and where */
};

struct sync_property {
    struct bytes name;
    struct bytes value; /* JSON, minified; data NULL: deleted */
};

/* A property of a packet that is not taken, and why. */
struct sync_refusal {
    const struct json_value *value;
    enum sync_code code;
    const char *reason; /* static */
};

enum sync_kind {
    SYNC_PROPERTIES, /* for the server: merge these */
    SYNC_PING,       /* for the server: nothing to do */
    SYNC_UNKNOWN,    /* for the server, which does not know its type, beside others */
    SYNC_RELAY       /* for others alone */
};

/* Borrows the text, and owns the rest; sync_packet_free. */
struct sync_packet {
    enum sync_kind kind;
    struct sync_property *properties; /* PROPERTIES: changes, in the packet's order */
    size_t property_count;
    struct sync_refusal *refused; /* PROPERTIES: those that are left out */
    size_t refused_count;
    const struct json_value **sources; /* where each of properties stands in the packet */
    uint8_t *minified;                 /* texts of values */
    /* Whom it is relayed to; of a packet for the server, the others that it names. */
    bool everyone;    /* all, the sender included; then `to` is empty */
    struct bytes *to; /* ids, none twice; may be none */
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
 * Leaves in a packet those changes that an entry with these properties can take within the limits,
 * and refuses the others: deletions come first, then changes in the packet's order. What is
 * refused stays in the entry as it was. An entry that is over a limit already may shrink.
 */
void sync_packet_fit(struct sync_packet *packet, const struct sync_property *properties,
                     size_t count, const struct sync_limits *limits);
/* Appends what has been refused to an error's message: each with its place and reason, as many as a
 * message has room for. Returns how many it had none for. */
size_t sync_write_refusals(struct writer *to, const struct sync_packet *packet);

/* A packet as its receivers get it: from, type, the type's value, and the other keys as they came.
 * A `from` of the packet's own is dropped. */
void sync_write_relay(struct writer *to, const struct sync_packet *packet, struct bytes sender);

/* Properties as a JSON object; null stands for deleted ones. A value that is none, which another
 * front-end may have stored, fails the writer. */
void sync_write_properties(struct writer *to, const struct sync_property *properties, size_t count);

/* An entry of the map, as JSON tells it. Ids that are no text (json_is_text) are left out of what
 * is written, and counted. */
struct sync_entry {
    struct bytes token;
    struct bytes
        properties; /* a JSON object: sync_write_properties, entry.h; empty stands for {} */
};

/*
 * The metadata packet is two parts, one after the other: the head, which names its receiver, and
 * the rest, which is the same for all of one tick. resume: the secret to come back with, or empty.
 */
void sync_write_metadata_head(struct writer *to, struct bytes token, struct bytes resume);
size_t sync_write_metadata_rest(struct writer *to, const struct sync_entry *entries, size_t count,
                                const char *version);

/* What changed since the last tick; no token twice in one list. */
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
