#include "schema/relayed.h"

#include <inttypes.h>

#ifdef TRACKER_NEXT_FORMAT

/* In format 2 the space goes first. */
void relayed_head_write(struct writer *to, uint64_t format, const struct relayed_head *head)
{
    writer_string(to, format == 1 ? "relay " : "2 relay ");
    if (format != 1) {
        writer_bytes(to, head->space);
        writer_string(to, " ");
    }
    writer_bytes(to, head->node);
    writer_format(to, " %" PRIu64 " ", head->number);
    if (format == 1) {
        writer_bytes(to, head->space);
        writer_string(to, " ");
    }
    writer_format(to, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", head->from_len, head->to_len,
                  head->len);
}

struct relayed_head relayed_head_read(struct cursor *cursor, uint64_t format)
{
    struct relayed_head head = {0};
    if (format != 1) {
        head.space = cursor_until(cursor, ' ');
    }
    head.node = cursor_until(cursor, ' ');
    head.number = cursor_decimal(cursor, ' ');
    if (format == 1) {
        head.space = cursor_until(cursor, ' ');
    }
    head.from_len = cursor_decimal(cursor, ' ');
    head.to_len = cursor_decimal(cursor, ' ');
    head.len = cursor_decimal(cursor, '\n');
    return head;
}

#else

void relayed_head_write(struct writer *to, uint64_t format, const struct relayed_head *head)
{
    writer_string(to, "relay ");
    writer_bytes(to, head->node);
    writer_format(to, " %" PRIu64 " ", head->number);
    writer_bytes(to, head->space);
    writer_format(to, " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", head->from_len, head->to_len,
                  head->len);
}

struct relayed_head relayed_head_read(struct cursor *cursor, uint64_t format)
{
    struct relayed_head head = {0};
    head.node = cursor_until(cursor, ' ');
    head.number = cursor_decimal(cursor, ' ');
    head.space = cursor_until(cursor, ' ');
    head.from_len = cursor_decimal(cursor, ' ');
    head.to_len = cursor_decimal(cursor, ' ');
    head.len = cursor_decimal(cursor, '\n');
    return head;
}

#endif
