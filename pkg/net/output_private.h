/* output_private: the pieces of a connection's output, for conn_output.c and conn_write.c. */
#ifndef NET_OUTPUT_PRIVATE_H
#define NET_OUTPUT_PRIVATE_H

#include <stddef.h>

#include "net/net_private.h"

static inline struct piece *output_first_piece(struct conn *conn)
{
    return conn->output ? &conn->output->pieces[conn->output->first] : &conn->single;
}

/* Gives the connection an array, unless it has one; it takes over the single piece. */
void output_make(struct conn *conn);
/* Drops the pieces' references. The array is kept for the next output, or freed. */
void output_release(struct net *net, struct output *output);
/* The first n bytes have been sent. */
void output_consume(struct conn *conn, size_t n);
/* A frame with a copy of the bytes, which may grow while one connection alone refers to it. */
struct frame *output_create_tail(struct bytes bytes);

#endif
