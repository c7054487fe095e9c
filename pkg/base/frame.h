/*
 * frame: immutable bytes that several receivers share, counted by reference.
 *
 * A message to a thousand connections is encoded once, into a frame; each connection that cannot
 * send it immediately holds a reference. Not thread-safe.
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
/* Uninitialised, with room for len bytes; the caller fills them before it shares the frame. */
struct frame *frame_create_sized(size_t len);
struct frame *frame_ref(struct frame *frame);
/* Drops one reference and sets the caller's pointer to NULL; the last one frees. */
void frame_unref(struct frame **frame);
/* Bytes of all frames that exist, with their headers. */
int64_t frame_live_bytes(void);
/* For an owner that makes a frame itself (its header and its bytes), or makes its own one longer.
 */
void frame_count_bytes(size_t more);

#endif
