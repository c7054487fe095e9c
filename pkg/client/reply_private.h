/* reply: what a server answers to a request, in each dialect. No I/O. */
#ifndef CLIENT_REPLY_PRIVATE_H
#define CLIENT_REPLY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "client/tracker_client.h"

/* bytes borrow from the input. */
struct reply {
    bool accepted;
    struct bytes bytes; /* an id or a map's text; data NULL where there is none */
};

/* Whether the request is answered at all. */
bool reply_expected(enum tracker_dialect dialect, enum tracker_client_request request);
/* Reads the answer to this request. max_text: of a map's text, in bytes. */
struct tracker_result reply_read(struct bytes input, enum tracker_dialect dialect,
                                 enum tracker_client_request request, size_t max_text,
                                 struct reply *reply);

#endif
