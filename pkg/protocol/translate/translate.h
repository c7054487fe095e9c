/*
 * translate: an entry that one protocol opened as another protocol shows it (codec/entry.h has the
 * table). A protocol shows its own entries as they are.
 */
#ifndef PROTOCOL_TRANSLATE_TRANSLATE_H
#define PROTOCOL_TRANSLATE_TRANSLATE_H

#include "base/bytes.h"
#include "view/view.h"

/* To Tracker: the entry's state. A Tracker entry's own is not copied; that of another is written to
 * scratch, whose contents are replaced. Valid until scratch or the entry changes. */
struct bytes translate_state(const struct map_entry *entry, struct writer *scratch);
/* To metadata sync: the entry's properties, appended as a JSON object, the names in byte order.
 * What is not a valid property in Redis is left out. */
void translate_properties(const struct map_entry *entry, struct writer *to);

#endif
