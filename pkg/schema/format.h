/*
 * format: the numbers of the formats of what is stored in Redis and sent on its channels.
 * docs/upgrade.md has the rules for changing them.
 *
 * `head` has the format of a partition, and the least reader that understands it. Each message
 * begins with the number of its format; one on the channels of front-ends (relay) only from format
 * 2 on. A message in an unknown format is counted, logged and dropped.
 */
#ifndef SCHEMA_FORMAT_H
#define SCHEMA_FORMAT_H

#include <stdbool.h>

#include "base/bytes.h"

/* What this release stores and sends. */
#define FORMAT_WRITTEN "1"
/* The least reader that understands what this release stores. */
#define FORMAT_LEAST_READER "1"
/* The first release with such a reader: for messages to operators. */
#define FORMAT_LEAST_RELEASE "0.1.0"
/* What we understand: stored formats whose least reader is at most this. */
#define FORMAT_READER "1"
/* The oldest stored format that we understand. */
#define FORMAT_OLDEST "1"

enum format_channel { FORMAT_EVENTS, FORMAT_PRESENCE, FORMAT_ROOM, FORMAT_RELAY };

/* Whether the message is in an unknown format; if so it is counted and logged. prefix: of its
 * channel, for the log. */
bool format_is_unknown(enum format_channel channel, const char *prefix, struct bytes message)
    __attribute__((warn_unused_result));

/* Why a partition cannot be used, from hello's refusal {"format", format, reader, release}; the
 * caller frees. */
char *format_explain(struct bytes format, struct bytes reader, struct bytes release);

#endif
