#include "schema/relayed.h"

#include <inttypes.h>

#ifdef TRACKER_NEXT_FORMAT
/* In the next format, which tests make up, the verb has its number, and the space goes first. */
static bool is_next(uint64_t format)
{
    return format != 1;
}
#else
static bool is_next(uint64_t format)
{
    return false;
}
#endif

static void write_packet_space(struct writer *to, const struct relayed_head *head)
{
    writer_bytes(to, head->space);
    writer_string(to, " ");
}

void relayed_head_write(struct writer *to, uint64_t format, const struct relayed_head *head)
{
    writer_string(to, is_next(format) ? "2 relay " : "relay ");
    if (is_next(format)) {
        write_packet_space(to, head);
    }
    writer_bytes(to, head->node);
    writer_format(to, " %" PRIu64 " ", head->number);
    if (!is_next(format)) {
        write_packet_space(to, head);
    }
    writer_format(to, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", head->from_len, head->to_len,
                  head->len);
}

struct relayed_head relayed_head_read(struct cursor *cursor, uint64_t format)
{
    struct relayed_head head = {0};
    if (is_next(format)) {
        head.space = cursor_until(cursor, ' ');
    }
    head.node = cursor_until(cursor, ' ');
    head.number = cursor_decimal(cursor, ' ');
    if (!is_next(format)) {
        head.space = cursor_until(cursor, ' ');
    }
    head.from_len = cursor_decimal(cursor, ' ');
    head.to_len = cursor_decimal(cursor, ' ');
    head.len = cursor_decimal(cursor, '\n');
    return head;
}
