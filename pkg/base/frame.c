/* frame: the count and the bytes are one allocation. */
#include "base/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int64_t live_bytes;

int64_t frame_live_bytes(void)
{
    return live_bytes;
}

void frame_count_bytes(size_t more)
{
    live_bytes += (int64_t)more;
}

struct frame *frame_create_sized(size_t len)
{
    struct frame *frame;

    assert(len <= UINT32_MAX);
    frame = mem_alloc(sizeof *frame + len);
    frame->references = 1;
    frame->len = (uint32_t)len;
    frame_count_bytes(sizeof *frame + len);
    return frame;
}

struct frame *frame_create(struct bytes bytes)
{
    struct frame *frame = frame_create_sized(bytes.len);

    if (bytes.len > 0) {
        memcpy(frame->data, bytes.data, bytes.len);
    }
    return frame;
}

struct frame *frame_ref(struct frame *frame)
{
    assert(frame->references > 0 && frame->references < UINT32_MAX);
    frame->references++;
    return frame;
}

void frame_unref(struct frame **frame)
{
    struct frame *dropped = *frame;

    *frame = NULL;
    if (!dropped) {
        return;
    }
    assert(dropped->references > 0);
    if (--dropped->references == 0) {
        live_bytes -= (int64_t)(sizeof *dropped + dropped->len);
        free(dropped);
    }
}
