/* status: of a user or a device. Pure. */
#ifndef SCHEMA_STATUS_H
#define SCHEMA_STATUS_H

#include <stdbool.h>

#include "base/bytes.h"

/* The status of a user follows from those of all devices; a device is ONLINE or BUSY. As text:
 * offline, online, busy. */
enum map_status { MAP_OFFLINE, MAP_ONLINE, MAP_BUSY };
const char *map_status_name(enum map_status status);
/* False when it is none of the names. */
bool map_status_read(struct bytes text, enum map_status *status)
    __attribute__((warn_unused_result));

#endif
