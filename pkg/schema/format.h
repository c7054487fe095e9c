/*
 * format: the numbers of the formats of what is stored in Redis and sent on its channels.
 * docs/upgrade.md has the rules for changing them.
 *
 * A front-end understands the formats from format_oldest to format_newest. The script hello
 * registers them; each partition's `head` has the format in which it is written, and the least
 * reader that understands it. Each message begins with the number of its format; one on the
 * channels of front-ends (relay) only from format 2 on. A message in an unknown format is counted,
 * logged and dropped.
 *
 * With TRACKER_NEXT_FORMAT this package is that of a later release, for the tests of upgrades: it
 * understands a format 2, too.
 */
#ifndef SCHEMA_FORMAT_H
#define SCHEMA_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct format {
    const char *number;
    const char *reader;  /* the least one that understands it */
    const char *release; /* the first one with such a reader: for messages to operators */
};
/* What this release understands. Scripts have the newest one's number, too: scripts/formats.lua. */
extern const struct format format_oldest, format_newest;

enum format_channel { FORMAT_EVENTS, FORMAT_PRESENCE, FORMAT_ROOM, FORMAT_RELAY };

/* Whether it is the number of a format that this release understands. */
bool format_is_known(struct bytes number) __attribute__((warn_unused_result));
/* Whether the message is in an unknown format; if so it is counted and logged. prefix: of its
 * channel, for the log. */
bool format_is_unknown(enum format_channel channel, const char *prefix, struct bytes message)
    __attribute__((warn_unused_result));
/* Removes the number from the beginning of a message on a channel of front-ends. Without one it has
 * the format 1. */
uint64_t format_take_number(struct bytes *message);

/* Why a partition cannot be used, from hello's refusal {"format", format, reader, release}; the
 * caller frees. */
char *format_explain(struct bytes format, struct bytes reader, struct bytes release);

#endif
