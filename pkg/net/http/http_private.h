/*
 * http_private: reading requests (no I/O: bytes in, a request or a refusal out) and finding their
 * handlers, for http.c and the tests.
 *
 * The head of a request is parsed only when it is complete, so that it is judged as a whole:
 * exactly one of Content-Length and Transfer-Encoding, one Host, no folded lines, no bare line
 * ends. What is ambiguous is refused, so that a proxy in front and this server never disagree about
 * where a request ends.
 */
#ifndef NET_HTTP_HTTP_PRIVATE_H
#define NET_HTTP_HTTP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <http_parser.h>

#include "base/bytes.h"
#include "net/http/http.h"
#include "net/http/text.h"

enum http_result { HTTP_MORE, HTTP_DONE, HTTP_BAD };

struct http_header {
    struct bytes name;
    struct bytes value;
};

/* A decoded query parameter, kept until the request is over. */
struct http_text;

/* Where a body is being read. */
enum http_body_state {
    HTTP_BODY_DONE, /* or there is none */
    HTTP_BODY_LENGTH,
    HTTP_BODY_SIZE_FIRST, /* of a chunk: its first digit, more, an extension, the line's end */
    HTTP_BODY_SIZE,
    HTTP_BODY_EXTENSION,
    HTTP_BODY_SIZE_END,
    HTTP_BODY_CHUNK,
    HTTP_BODY_CHUNK_CR,
    HTTP_BODY_CHUNK_LF,
    HTTP_BODY_TRAILER_FIRST, /* of a line after the last chunk */
    HTTP_BODY_TRAILER,
    HTTP_BODY_TRAILER_LF,
    HTTP_BODY_END_LF
};

/* Zero-initialised it waits for a request. */
struct http_reader {
    /* After DONE, until http_reader_reset; borrowed from head and path. */
    struct bytes method;
    struct bytes query; /* as it came, without the '?' */
    struct bytes host;  /* of an absolute target, else of the Host header; data NULL: none */
    struct writer path; /* decoded */
    struct http_header *headers;
    size_t header_count;
    struct writer body;
    bool keeps_alive;
    bool is_http10;
    /* The beginning of the request line as it came, also of a request that is refused. */
    uint8_t start[32];
    size_t start_len;
    /* The head is read; the client expects "100 Continue" before it sends the body. */
    bool wants_continue;
    /* After BAD. */
    int status;
    const char *error; /* static text */

    /* The reader's own. */
    enum { HTTP_READ_HEAD, HTTP_READ_BODY, HTTP_READ_DONE } state;
    enum http_body_state body_state;
    uint64_t left;  /* bytes of the body or of the chunk */
    size_t scanned; /* bytes of the head that hold no end */
    size_t lines;   /* line ends among them */
    size_t raw;     /* bytes of the body as it came */
    struct writer head;
    struct bytes target;
    struct http_text *texts;
    const struct http_settings *settings; /* during a call */
    http_parser parser;
};

/*
 * The unread bytes; while the head is not complete the same bytes must be presented again with
 * more. Returns how many were consumed. After DONE call http_reader_reset, after BAD
 * http_reader_free; not again before.
 */
size_t http_reader_feed(struct http_reader *reader, const struct http_settings *settings,
                        struct bytes bytes, enum http_result *result);
/* Whether a request has begun. */
bool http_reader_has_begun(const struct http_reader *reader);
/* Frees all memory and waits for the next request. */
void http_reader_reset(struct http_reader *reader);
/* Bytes of memory. */
size_t http_reader_size(const struct http_reader *reader);
struct bytes http_reader_header(const struct http_reader *reader, const char *name);
/* The first header of that name from *at on, which becomes the place after it. */
struct bytes http_reader_header_next(const struct http_reader *reader, const char *name,
                                     size_t *at);
struct bytes http_reader_query(struct http_reader *reader, const char *name);
/* The method, and the path, also of a request that was refused before they were judged: as far as
 * they are known, the path then as it came. */
struct bytes http_reader_method(const struct http_reader *reader);
struct bytes http_reader_path(const struct http_reader *reader);
/* For the reader's own files: notes why, answers false. */
bool http_reader_refuse(struct http_reader *reader, int status, const char *error);

/* body.c: takes bytes of the body until it is done. False when it is refused. */
bool http_body_read(struct http_reader *reader, struct bytes bytes, size_t *consumed)
    __attribute__((warn_unused_result));

/* target.c: the target of the request. Each notes why it refuses. */
bool http_target_split(struct http_reader *reader) __attribute__((warn_unused_result));
/* host[:port] as RFC 3986 has it: a name, an address, or an IPv6 address in brackets; or empty. */
bool http_target_is_host(struct bytes host);

/* accept.c. Zero-initialised nothing is accepted but what is not encoded. */
struct http_accept {
    int coding, identity, any; /* weights in thousandths, plus 1; 0: not listed */
};
/* Notes what a line of Accept-Encoding says of a coding. */
void http_accept_read(struct http_accept *accept, struct bytes list, const char *coding);
/* Whether it may be used, and has no lower weight than no coding (RFC 9110, 12.5.3). */
bool http_accept_allows(const struct http_accept *accept);

/* router.c */
struct http_route {
    char *method; /* NULL: any */
    char *path;
    size_t len;
    bool is_prefix;
    bool is_restricted; /* to known hosts */
    http_handler handler;
    void *arg;
};
/* NULL when there is none; then *allow has the methods ("GET, HEAD, OPTIONS") if others would do.
 */
const struct http_route *http_router_find(const struct http_router *router, struct bytes method,
                                          struct bytes path, struct writer *allow);
/* The methods of a path, of "*" those of all, and of "/" at least OPTIONS. */
void http_router_allow(const struct http_router *router, struct bytes path, struct writer *allow);
/* Whether the name is one of the process's own. */
bool http_router_is_own_host(const struct http_router *router, struct bytes host);
/* The path whose form errors have that concern all of the router. */
struct bytes http_router_errors_path(const struct http_router *router);
/* The body and the content type of an error at that path. */
const char *http_router_write_error(const struct http_router *router, struct bytes path, int status,
                                    const char *why, struct writer *body);

#endif
