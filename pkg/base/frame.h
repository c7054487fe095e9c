/*
 * frame: immutable bytes that several receivers share, counted by reference.
 *
 * One message to a thousand connections is encoded once into a frame; each connection that cannot
 * send it at once holds a reference. Not thread-safe: one process, one loop.
 */
#ifndef BASE_FRAME_H
#define BASE_FRAME_H

#include "base/bytes.h"

struct frame {
    uint32_t references;
    uint32_t len;
    uint8_t data[];
};

/* A part of a frame. */
struct frame_slice {
    uint32_t offset, len;
};

/* A copy of the bytes, with one reference for the caller. */
struct frame *frame_create(struct bytes bytes);
/* With room for len bytes, which the caller fills before anybody else gets it. */
struct frame *frame_create_sized(size_t len);
struct frame *frame_ref(struct frame *frame);
/* Drops one reference and sets the caller's pointer to NULL; the last one frees. */
void frame_unref(struct frame **frame);

#endif
