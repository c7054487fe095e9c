/* Shared by reading and writing the Tracker protocol's packets. */
#ifndef CODEC_TRACKER_PRIVATE_H
#define CODEC_TRACKER_PRIVATE_H

#include "codec/tracker.h"

#define PROTOCOL_VERSION 0x01
#define ACK              0x01
#define REFUSAL          0x00
#define BYTE_MAX         255 /* the largest one-byte length */
#define WIDTH_BYTE       1   /* bytes of a length, and of a version */
#define WIDTH_LONG       8

static inline bool tracker_has_document_magic(enum tracker_dialect dialect)
{
    return dialect == TRACKER_VERSIONED || dialect == TRACKER_PLAIN || dialect == TRACKER_WIDE;
}

static inline bool tracker_has_version(enum tracker_dialect dialect)
{
    return dialect != TRACKER_PLAIN && dialect != TRACKER_WIDE;
}

#endif
