/* entries: prints an entry of the map: the fields and values of its hash. */
#ifndef TRACKERCTL_ENTRIES_H
#define TRACKERCTL_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Members of a JSON object for the fields of an entry, in the form of an event's body
 * (schema/event.h). Numbers are numbers; what the protocols call properties is an object;
 * `session`, which allows writing the entry, is left out. */
void entries_write_json(struct writer *to, struct bytes body);

#endif
