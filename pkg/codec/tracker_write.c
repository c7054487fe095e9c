/* Writing the Tracker protocol's packets: replies, pushes, and a client's requests. */
#include "codec/tracker_private.h"

#include <assert.h>

/* A length and its bytes. A length that one byte cannot hold fails the writer. */
static void write_sized(struct writer *to, size_t width, struct bytes bytes)
{
    if (width == WIDTH_LONG) {
        writer_u64(to, bytes.len);
    } else if (bytes.len > BYTE_MAX) {
        to->failed = true;
    } else {
        writer_u8(to, (uint8_t)bytes.len);
    }
    writer_bytes(to, bytes);
}

static void write_length(struct writer *to, size_t len)
{
    if (len > BYTE_MAX) {
        to->failed = true;
    }
    writer_u8(to, (uint8_t)len);
}

void tracker_write_ack(struct writer *to, bool accepted)
{
    writer_u8(to, accepted ? ACK : REFUSAL);
}

void tracker_write_id(struct writer *to, enum tracker_dialect dialect, struct bytes id)
{
    if (dialect == TRACKER_VERSIONED) {
        write_sized(to, WIDTH_BYTE, id);
    } else if (dialect == TRACKER_2013) {
        writer_bytes(to, id);
    } else {
        tracker_write_ack(to, true);
    }
}

bool tracker_fits(struct bytes id, struct bytes state)
{
    /* One entry and the map's version in an Update all. */
    return id.len > 0 && id.len < BYTE_MAX && state.len < BYTE_MAX &&
           1 + tracker_entry_size(id, state) <= BYTE_MAX;
}

size_t tracker_entry_size(struct bytes id, struct bytes state)
{
    return 3 + id.len + state.len;
}

void tracker_write_update_one(struct writer *to, uint8_t version, struct bytes id,
                              struct bytes state)
{
    assert(tracker_fits(id, state));
    tracker_write_update(to, TRACKER_VERSIONED, id, version, state);
}

struct tracker_all tracker_all_begin(struct writer *to, uint8_t map_version)
{
    const struct tracker_all all = {.start = to->len};
    const uint8_t header[] = {TRACKER_MAGIC_DOCUMENT, PROTOCOL_VERSION, TRACKER_ALL, 0,
                              map_version};
    writer_bytes(to, (struct bytes){header, sizeof header});
    return all;
}

bool tracker_all_has_room(const struct writer *to, const struct tracker_all *all, struct bytes id,
                          struct bytes state)
{
    const size_t content = to->len - all->start - TRACKER_PUSH_HEADER;
    return content + tracker_entry_size(id, state) <= BYTE_MAX;
}

void tracker_all_entry(struct writer *to, uint8_t version, struct bytes id, struct bytes state)
{
    writer_u8(to, version);
    write_sized(to, WIDTH_BYTE, id);
    write_sized(to, WIDTH_BYTE, state);
}

void tracker_all_end(struct writer *to, const struct tracker_all *all)
{
    if (to->failed) {
        return;
    }
    const size_t content = to->len - all->start - TRACKER_PUSH_HEADER;
    assert(content <= BYTE_MAX);
    to->data[all->start + TRACKER_PUSH_HEADER - 1] = (uint8_t)content;
}

void tracker_write_map_text(struct writer *to, const struct bytes (*pairs)[2], size_t count)
{
    writer_u8(to, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            writer_string(to, ", ");
        }
        writer_bytes(to, pairs[i][0]);
        writer_u8(to, '=');
        writer_bytes(to, pairs[i][1]);
    }
    writer_u8(to, '}');
}

void tracker_write_map_reply(struct writer *to, enum tracker_dialect dialect, struct bytes text)
{
    if (dialect == TRACKER_2014 || dialect == TRACKER_WIDE) {
        write_sized(to, WIDTH_LONG, text);
    } else if (dialect == TRACKER_2013) {
        tracker_write_ack(to, true);
    } else if (text.len > BYTE_MAX) {
        writer_u8(to, 0);
    } else {
        write_sized(to, WIDTH_BYTE, text);
    }
}

static void write_message_header(struct writer *to, enum tracker_dialect dialect,
                                 enum tracker_type type)
{
    writer_u8(to, tracker_has_document_magic(dialect) ? TRACKER_MAGIC_DOCUMENT
                                                      : TRACKER_MAGIC_ORIGINAL);
    if (tracker_has_version(dialect)) {
        writer_u8(to, PROTOCOL_VERSION);
    }
    writer_u8(to, (uint8_t)type);
}

void tracker_write_open(struct writer *to, enum tracker_dialect dialect, struct bytes state)
{
    write_message_header(to, dialect, TRACKER_OPEN);
    if (dialect == TRACKER_VERSIONED) {
        write_length(to, state.len + 1);
    }
    write_sized(to,
                dialect == TRACKER_VERSIONED || dialect == TRACKER_PLAIN ? WIDTH_BYTE : WIDTH_LONG,
                state);
}

void tracker_write_close(struct writer *to, enum tracker_dialect dialect, struct bytes id)
{
    write_message_header(to, dialect, TRACKER_CLOSE);
    if (dialect == TRACKER_VERSIONED) {
        write_length(to, id.len + 1);
        write_sized(to, WIDTH_BYTE, id);
    } else if (dialect == TRACKER_2013) {
        write_sized(to, WIDTH_LONG, id);
    }
}

void tracker_write_update(struct writer *to, enum tracker_dialect dialect, struct bytes id,
                          uint64_t version, struct bytes state)
{
    write_message_header(to, dialect, TRACKER_UPDATE);
    switch (dialect) {
    case TRACKER_VERSIONED:
        write_length(to, tracker_entry_size(id, state));
        tracker_all_entry(to, (uint8_t)version, id, state);
        break;
    case TRACKER_PLAIN:
        write_length(to, state.len + 1);
        write_sized(to, WIDTH_BYTE, state);
        break;
    case TRACKER_WIDE:
        writer_u64(to, WIDTH_LONG + state.len);
        write_sized(to, WIDTH_LONG, state);
        break;
    case TRACKER_2013:
        writer_u64(to, 3 * WIDTH_LONG + id.len + state.len);
        writer_u64(to, version);
        write_sized(to, WIDTH_LONG, id);
        write_sized(to, WIDTH_LONG, state);
        break;
    default:
        write_sized(to, WIDTH_LONG, state);
    }
}

void tracker_write_get(struct writer *to, enum tracker_dialect dialect)
{
    if (dialect == TRACKER_VERSIONED) {
        to->failed = true;
    }
    write_message_header(to, dialect, TRACKER_ALL);
}
