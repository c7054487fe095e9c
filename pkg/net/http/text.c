/* http_text: small parts of HTTP; see text.h. */
#include "net/http/text.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include <http_parser.h>

static int escape_digit_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

bool http_take_decoded(struct bytes *text, bool plus_is_space, uint8_t *byte)
{
    size_t used = 1;
    if (text->len == 0) {
        return false;
    }
    *byte = text->data[0];
    if (*byte == '%') {
        int high = text->len > 2 ? escape_digit_value(text->data[1]) : -1;
        int low = high >= 0 ? escape_digit_value(text->data[2]) : -1;
        if (low < 0) {
            return false;
        }
        *byte = (uint8_t)(high * 16 + low);
        used = 3;
    } else if (*byte == '+' && plus_is_space) {
        *byte = ' ';
    }
    text->data += used;
    text->len -= used;
    return true;
}

bool http_decode(struct bytes text, bool plus_is_space, struct writer *to)
{
    uint8_t byte;
    while (http_take_decoded(&text, plus_is_space, &byte)) {
        writer_u8(to, byte);
    }
    return text.len == 0;
}

bool http_is_encoded(struct bytes text)
{
    uint8_t byte;
    while (http_take_decoded(&text, false, &byte)) {
    }
    return text.len == 0;
}

bool http_is_same_word(struct bytes text, const char *word)
{
    return text.len == strlen(word) &&
           (text.len == 0 || strncasecmp((const char *)text.data, word, text.len) == 0);
}

static bool is_blank_byte(uint8_t c)
{
    return c == ' ' || c == '\t';
}

bool http_take_item(struct bytes *list, struct bytes *item)
{
    *item = (struct bytes){NULL, 0};
    while (item->len == 0 && list->len > 0) {
        const uint8_t *end = memchr(list->data, ',', list->len);
        *item = (struct bytes){list->data, end ? (size_t)(end - list->data) : list->len};
        list->data += item->len + (end != NULL);
        list->len -= item->len + (end != NULL);
        while (item->len > 0 && is_blank_byte(item->data[0])) {
            item->data++;
            item->len--;
        }
        while (item->len > 0 && is_blank_byte(item->data[item->len - 1])) {
            item->len--;
        }
    }
    return item->len > 0;
}

const char *http_status_text(int status)
{
    switch (status) {
#define STATUS(code, name, text)                                                                   \
    case code:                                                                                     \
        return #text;
        HTTP_STATUS_MAP(STATUS)
#undef STATUS
    default:
        return "Unknown";
    }
}

const char *http_date(int64_t seconds)
{
    static int64_t of = -1;
    static char text[32];
    time_t time = (time_t)seconds;
    struct tm parts;
    if (seconds != of && gmtime_r(&time, &parts)) {
        /* The names are English whatever the locale, as the program sets none. */
        (void)strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        of = seconds;
    }
    return text;
}
