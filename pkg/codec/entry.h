/*
 * entry: how an entry that one protocol made is told by another (docs/architecture.md, "One map").
 *
 *   made by         to Tracker: its state       to metadata sync: its properties
 *   Tracker         itself                      entry_write_state
 *   metadata sync   sync_write_properties       itself
 *   turntable       entry_write_user            entry_write_user
 *
 * To turntable each is an id that is online. All are JSON objects, so that a session encodes an
 * entry once, whoever reads it.
 */
#ifndef CODEC_ENTRY_H
#define CODEC_ENTRY_H

#include "base/bytes.h"
#include "codec/json.h"

/* A member of an object: "name":text, or, when the bytes are no text (json_is_text),
 * "name64":base64, with padding. */
void entry_write_opaque(struct json_writer *json, const char *name, struct bytes bytes);
/* {"state":text}; of a state that is no text (json_is_text) {"state64":base64}, with padding. */
void entry_write_state(struct writer *to, struct bytes state);
/* {"user":id,"status":status}. */
void entry_write_user(struct writer *to, struct bytes user, struct bytes status);

#endif
