/* http_accept: the lists of Accept-Encoding, with their weights. */
#include "net/http/http_private.h"

static struct bytes trim_spaces(struct bytes text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

/* The text before the separator, trimmed; both are removed from *text. */
static struct bytes take_trimmed_before(struct bytes *text, uint8_t separator)
{
    size_t len = 0;
    struct bytes part;
    while (len < text->len && text->data[len] != separator) {
        len++;
    }
    part = (struct bytes){text->data, len};
    len += len < text->len;
    text->data += len;
    text->len -= len;
    return trim_spaces(part);
}

/* "0", "1", "0.5", "1.000": thousandths; 0 when malformed. */
static int read_weight(struct bytes text)
{
    int weight = 0, unit = 1000;
    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.data[1] != '.')) {
        return 0;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (i == 1) {
            continue;
        }
        if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }
        weight += (text.data[i] - '0') * unit;
        unit /= 10;
    }
    return weight > 1000 ? 0 : weight;
}

static int find_weight(struct bytes parameters)
{
    while (parameters.len > 0) {
        struct bytes value = take_trimmed_before(&parameters, ';');
        struct bytes name = take_trimmed_before(&value, '=');
        if (http_is_same_word(name, "q")) {
            return read_weight(trim_spaces(value));
        }
    }
    return 1000;
}

void http_accept_read(struct http_accept *accept, struct bytes list, const char *coding)
{
    struct bytes item;
    while (http_take_item(&list, &item)) {
        struct bytes word = take_trimmed_before(&item, ';');
        int weight = find_weight(item) + 1;
        if (http_is_same_word(word, coding)) {
            accept->coding = weight;
        } else if (http_is_same_word(word, "identity")) {
            accept->identity = weight;
        } else if (http_is_same_word(word, "*")) {
            accept->any = weight;
        }
    }
}

bool http_accept_allows(const struct http_accept *accept)
{
    int weight = accept->coding > 0 ? accept->coding : accept->any;
    return weight > 1 && weight >= accept->identity;
}
