/*
 * format: commands as RESP2 arrays of bulk strings, written in place.
 *
 *   *2\r\n $3\r\nGET\r\n $1\r\nk\r\n      (without the spaces)
 */
#include "redis/link_private.h"

#include <string.h>

static size_t digits(size_t number)
{
    size_t n = 1;

    while (number >= 10) {
        number /= 10;
        n++;
    }
    return n;
}

/* mark, number, CR LF */
static uint8_t *format_head(uint8_t *to, char mark, size_t number)
{
    *to++ = (uint8_t)mark;
    to += bytes_write_decimal(to, number);
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

size_t redis_format_size(size_t count, const struct bytes *args)
{
    size_t size = 1 + digits(count) + 2;

    for (size_t i = 0; i < count; i++) {
        size += 1 + digits(args[i].len) + 2 + args[i].len + 2;
    }
    return size;
}

uint8_t *redis_format(uint8_t *to, size_t count, const struct bytes *args)
{
    to = format_head(to, '*', count);
    for (size_t i = 0; i < count; i++) {
        to = format_head(to, '$', args[i].len);
        if (args[i].len > 0) {
            memcpy(to, args[i].data, args[i].len);
            to += args[i].len;
        }
        *to++ = '\r';
        *to++ = '\n';
    }
    return to;
}
