/* reply: decodes a server's reply to a request, in each dialect. No I/O. */
#ifndef CLIENT_REPLY_PRIVATE_H
#define CLIENT_REPLY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "client/tracker_client.h"

/* `bytes` borrows from the input. */
struct reply {
    bool accepted;
    struct bytes bytes; /* an id or a map's text; data is NULL when there is none */
};

/* Whether the request has a reply in this dialect. */
bool reply_expected(enum tracker_dialect dialect, enum tracker_client_request request);
/* Reads the reply to this request. max_text: the limit of a map's text, in bytes. */
struct tracker_result reply_read(struct bytes input, enum tracker_dialect dialect,
                                 enum tracker_client_request request, size_t max_text,
                                 struct reply *reply);

#endif
