/* tls_private: what context.c and stream.c share. */
#ifndef TLS_TLS_PRIVATE_H
#define TLS_TLS_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

struct tls_context {
    SSL_CTX *ssl;
    uint32_t references;
    bool is_server;
    bool verifies; /* clients: the server's certificate */
};

#endif
