/* members: reads the JSON objects that front-ends answer with: objects within an object, of text
 * and words. No I/O; what it is given may be anything. */
#ifndef TRACKERCTL_MEMBERS_H
#define TRACKERCTL_MEMBERS_H

#include <stdbool.h>

#include "base/bytes.h"

/* A place in a text of JSON. */
struct members {
    struct cursor at;
    bool bad; /* it is not of this form: no more members come */
};

/* Over an object; of an object's member by its value. */
struct members members_over(struct bytes object);
/* The next member: name is decoded into the writer, which is reset first; value is the JSON text
 * of it. False at the end, or when bad. */
bool members_next(struct members *members, struct writer *name, struct bytes *value);
/* A string's text, or a number or word as it stands, decoded into the writer. */
bool members_decode(struct bytes value, struct writer *text);

#endif
