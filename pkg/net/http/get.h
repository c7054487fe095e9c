/*
 * http_get: one HTTP/1.1 GET, as front-ends ask one another.
 *
 * Plain HTTP, on a connection of its own, to a numeric address. The answer's size and the time for
 * all of it are bounded, and nothing blocks the loop.
 */
#ifndef NET_HTTP_GET_H
#define NET_HTTP_GET_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "loop/loop.h"
#include "stream/resolve.h"

struct http_get;

struct http_get_request {
    const struct stream_address *address;
    const char *host; /* for the header: "HOST:PORT" */
    const char *path; /* with its query, escaped */
    size_t max_body;
    uint64_t timeout_ms;
};

/* status: 0 when there was no whole answer. body: valid during the call. */
typedef void (*http_get_done)(void *arg, int status, struct bytes body);

/* Copies what it needs. done is called once, from the loop, and not before this returns; the get
 * must be ended there or later. */
struct http_get *http_get_start(struct loop *loop, const struct http_get_request *request,
                                http_get_done done, void *arg);
/* Frees it; done is not called any more. */
void http_get_end(struct http_get **get);

#endif
