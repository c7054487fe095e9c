/* Lines, and the encoding that a connection's first byte selects: see lobby.h. */
#include <string.h>

#include "codec/lobby.h"

enum lobby_encoding lobby_detect(uint8_t first)
{
    if (first == '{') {
        return LOBBY_ENCODING_JSON;
    }
    return first == 0x00 ? LOBBY_ENCODING_ORIGINAL : LOBBY_ENCODING_NONE;
}

static bool is_blank(struct bytes line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t') {
            return false;
        }
    }
    return true;
}

struct lobby_line lobby_read_line(struct bytes input, size_t limit)
{
    struct lobby_line line = {.outcome = LOBBY_LINE_MORE};

    while (line.consumed < input.len) {
        const uint8_t *start = input.data + line.consumed;
        const size_t left = input.len - line.consumed;
        const uint8_t *end = memchr(start, '\n', left > limit ? limit + 1 : left);
        struct bytes text;

        if (!end) {
            if (left > limit) {
                line.outcome = LOBBY_LINE_TOO_LONG;
            }
            return line;
        }
        text = (struct bytes){start, (size_t)(end - start)};
        line.consumed += text.len + 1;
        if (text.len > 0 && text.data[text.len - 1] == '\r') {
            text.len--;
        }
        if (!is_blank(text)) {
            line.outcome = LOBBY_LINE_WHOLE;
            line.text = text;
            return line;
        }
    }
    return line;
}
