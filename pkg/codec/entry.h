/*
 * entry: how an entry of one protocol is represented in another (docs/architecture.md, "One map").
 *
 *   entry of        in Tracker: its state       in metadata sync: its properties
 *   Tracker         itself                      entry_write_state
 *   metadata sync   sync_write_properties       itself
 *   turntable       entry_write_user            entry_write_user
 *
 * In turntable each is an id that is online. All are JSON objects, so that an entry is encoded once
 * for all readers.
 */
#ifndef CODEC_ENTRY_H
#define CODEC_ENTRY_H

#include "base/bytes.h"
#include "codec/json.h"

/* A member of an object: "name":text, or, when the bytes are not text (json_is_text),
 * "name64":base64, with padding. */
void entry_write_opaque(struct json_writer *json, const char *name, struct bytes bytes);
/* {"state":text}, or, when the state is not text (json_is_text), {"state64":base64}, with padding.
 */
void entry_write_state(struct writer *to, struct bytes state);
/* {"user":id,"status":status}. */
void entry_write_user(struct writer *to, struct bytes user, struct bytes status);

#endif
