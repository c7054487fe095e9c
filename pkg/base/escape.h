/*
 * escape: arbitrary bytes as text for a log line, a JSON document or a terminal.
 *
 * Bytes that are not UTF-8 become the four characters \xNN, as JSON cannot represent them.
 */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stdbool.h>

#include "base/bytes.h"

/* A JSON string with its quotes (RFC 8259), valid whatever the bytes are. */
void escape_json(struct writer *to, struct bytes text);
/* A value of a logfmt line: quoted when it is empty or holds a space, a quote or a control
 * character; never more than one line. */
void escape_logfmt(struct writer *to, struct bytes text);
/* Untrusted text for a terminal: nothing in it moves the cursor, ends the line, changes the
 * writing direction or is invisible. Such characters, and bytes that are not
 * UTF-8, become \n, \r, \t or \xNN for each byte. With backslashes: a backslash becomes two, so
 * that the text can be read back. */
void escape_visible(struct writer *to, struct bytes text, bool backslashes);

#endif
