/*
 * shared_reader: reads and changes the shared settings (map/shared.h), for tools.
 */
#ifndef INSPECT_SHARED_READER_H
#define INSPECT_SHARED_READER_H

#include <stdint.h>

#include "inspect/reader.h"
#include "map/map.h"

struct map_shared {
    uint64_t revision;          /* 0: nothing is stored */
    struct map_settings values; /* the shared ones as they are stored, else as they were before */
};
/* Reads them. False when the reader has a problem; a stored text that is not a valid value of its
 * setting is one, too. */
bool map_shared_read(struct reader *reader, const char *prefix, struct map_shared *shared)
    __attribute__((warn_unused_result));

enum map_shared_result { MAP_SHARED_OK, MAP_SHARED_CHANGED, MAP_SHARED_FAILED };
/* Stores the values of `wanted` that differ from what was read, unless another writer has changed
 * one since (MAP_SHARED_CHANGED: read again). MAP_SHARED_FAILED: the reader has the problem. On
 * success *shared has the stored values. */
enum map_shared_result map_shared_write(struct reader *reader, const char *prefix,
                                        struct map_shared *shared,
                                        const struct map_settings *wanted)
    __attribute__((warn_unused_result));

#endif
