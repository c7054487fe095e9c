/* lobby_options: what the lobby's two kinds of client (game_server.h, server_list.h) are told of
 * their connection. */
#ifndef CLIENT_LOBBY_OPTIONS_H
#define CLIENT_LOBBY_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

struct tls_context; /* tls/tls.h */

/* The strings are copied. */
struct lobby_options {
    const char *target;      /* "host:port", "[v6]:port" or "unix:/path" */
    struct tls_context *tls; /* NULL: no TLS. The client takes a reference of its own */
    const char *server_name; /* the name to verify; NULL: the target's host */
    const char *source;      /* numeric address to connect from; NULL: the system's choice */
    /* Limits; 0 stands for the default. */
    uint32_t connect_timeout_ms; /* 5,000, looking up the name and TLS included */
    uint32_t reply_timeout_ms;   /* 20,000 for the answer to the login, which waits after bad
                                    passwords   of the same address */
    uint32_t silence_ms;         /* game servers: 35,000 without a word (the tracker pings every
                                    10 s); then the connection is made anew */
    uint32_t backoff_ms;         /* 250: the first pause is at most this, then twice as much … */
    uint32_t backoff_max_ms;     /* 30,000: … up to this; at least half of it after a refusal that
                                    is the same the next time, such as a bad password */
    size_t max_output;           /* 64 KiB that the tracker has not taken yet */
};

#endif
