/* lobby_options: connection options of the lobby's two clients, game_server.h and server_list.h. */
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
    const char *source;      /* numeric local address to connect from; NULL: any */
    /* Limits; 0 selects the default. */
    uint32_t connect_timeout_ms; /* 5,000, including name resolution and TLS */
    uint32_t reply_timeout_ms;   /* 20,000 for the reply to the login, which the tracker delays
                                    after wrong passwords from the same address */
    uint32_t idle_timeout_ms;    /* game servers reconnect after 35,000 without traffic; the
                                    tracker pings every 10 s */
    uint32_t backoff_ms;         /* 250: the longest first pause; doubled after each failure … */
    uint32_t backoff_max_ms; /* 30,000: … up to this. After a permanent refusal, such as a wrong
                                password, the pause is at least half of it */
    size_t max_output;       /* 64 KiB that the tracker has not read yet */
};

#endif
