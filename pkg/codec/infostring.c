/* infostring: see infostring.h. One pass over the pairs, including those that are too long. */
#include "codec/infostring.h"

#include <string.h>
#include <strings.h>

static struct bytes cut_at(struct bytes text, uint8_t byte)
{
    const uint8_t *end = text.len > 0 ? memchr(text.data, byte, text.len) : NULL;

    if (end) {
        text.len = (size_t)(end - text.data);
    }
    return text;
}

struct bytes infostring_cut(struct bytes text)
{
    return cut_at(text, '\0');
}

struct bytes infostring_first_line(struct bytes text)
{
    return cut_at(cut_at(text, '\0'), '\n');
}

/* The next pair, of any length; false at the end. */
static bool next_pair(struct bytes *rest, struct infostring_pair *pair)
{
    if (rest->len == 0 || rest->data[0] != '\\') {
        rest->len = 0;
        return false;
    }
    pair->key = cut_at((struct bytes){rest->data + 1, rest->len - 1}, '\\');
    rest->data += 1 + pair->key.len;
    rest->len -= 1 + pair->key.len;
    if (rest->len == 0) {
        return false;
    }
    pair->value = cut_at((struct bytes){rest->data + 1, rest->len - 1}, '\\');
    rest->data += 1 + pair->value.len;
    rest->len -= 1 + pair->value.len;
    return true;
}

static bool is_infostring_key(struct bytes key)
{
    return key.len > 0 && key.len <= INFOSTRING_MAX;
}

bool infostring_next(struct bytes *rest, struct infostring_pair *pair)
{
    *rest = infostring_cut(*rest);
    while (next_pair(rest, pair)) {
        if (is_infostring_key(pair->key) && pair->value.len <= INFOSTRING_MAX) {
            return true;
        }
    }
    return false;
}

/* Whether the pair that begins at `before` is the first with its key. */
static bool is_first(struct bytes text, const uint8_t *before, struct bytes key)
{
    struct infostring_pair pair;

    while (next_pair(&text, &pair) && pair.key.data < before) {
        if (bytes_equal(pair.key, key)) {
            return false;
        }
    }
    return true;
}

size_t infostring_pairs(struct bytes text, struct infostring_pair *pairs, size_t max)
{
    struct bytes rest = infostring_cut(text);
    struct infostring_pair pair;
    size_t count = 0;

    while (count < max && next_pair(&rest, &pair)) {
        if (is_infostring_key(pair.key) && pair.value.len <= INFOSTRING_MAX &&
            is_first(text, pair.key.data, pair.key)) {
            pairs[count++] = pair;
        }
    }
    return count;
}

static bool find_pair_value(struct bytes text, const char *key, struct bytes *value,
                            int (*compare)(const char *, const char *, size_t))
{
    const size_t len = strlen(key);
    struct infostring_pair pair;

    text = infostring_cut(text);
    while (next_pair(&text, &pair)) {
        if (pair.key.len == len && is_infostring_key(pair.key) &&
            compare((const char *)pair.key.data, key, len) == 0) {
            if (pair.value.len > INFOSTRING_MAX) {
                return false;
            }
            *value = pair.value;
            return true;
        }
    }
    return false;
}

bool infostring_find(struct bytes text, const char *key, struct bytes *value)
{
    return find_pair_value(text, key, value, strncmp);
}

bool infostring_find_any_case(struct bytes text, const char *key, struct bytes *value)
{
    return find_pair_value(text, key, value, strncasecmp);
}

static bool is_writable(struct bytes text)
{
    return text.len <= INFOSTRING_MAX && cut_at(text, '\\').len == text.len &&
           cut_at(text, '\0').len == text.len;
}

void infostring_write(struct writer *to, struct bytes key, struct bytes value)
{
    if (key.len == 0 || !is_writable(key) || !is_writable(value)) {
        to->failed = true;
        return;
    }
    writer_u8(to, '\\');
    writer_bytes(to, key);
    writer_u8(to, '\\');
    writer_bytes(to, value);
}
