/*
 * Fuzzes infostrings and the names in them.
 *
 * Invariants: what is read lies within the input; each valid pair is found by its key, once, and is
 * read again after it was written; a name of any bytes becomes valid UTF-8.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/infostring.h"
#include "codec/json.h"
#include "codec/lobby_text.h"

#define PAIRS 64

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_inside(struct bytes input, struct bytes range)
{
    REQUIRE(range.len <= INFOSTRING_MAX);
    REQUIRE(range.data >= input.data && range.data + range.len <= input.data + input.len);
}

static void check_text(struct bytes value)
{
    struct writer to = {0}, plain = {0};

    lobby_text_write(&to, value);
    lobby_text_write_plain(&plain, value);
    REQUIRE(!to.failed && json_is_text(writer_bytes_written(&to)));
    REQUIRE(!plain.failed && json_is_text(writer_bytes_written(&plain)) && plain.len <= to.len);
    for (size_t i = 0; i < to.len; i++) {
        REQUIRE(to.data[i] >= 0x20 && to.data[i] != 0x7f);
    }
    writer_free(&to);
    writer_free(&plain);
}

static void check_pair(struct bytes input, const struct infostring_pair *pair)
{
    char key[INFOSTRING_MAX + 1];
    struct bytes value;

    require_inside(input, pair->key);
    require_inside(input, pair->value);
    REQUIRE(pair->key.len > 0);
    memcpy(key, pair->key.data, pair->key.len);
    key[pair->key.len] = '\0';
    REQUIRE(infostring_find(input, key, &value));
    REQUIRE(value.data == pair->value.data && value.len == pair->value.len);
    check_text(pair->value);
}

static void check_again(const struct infostring_pair *pairs, size_t count)
{
    struct infostring_pair again[PAIRS];
    struct writer to = {0};

    for (size_t i = 0; i < count; i++) {
        infostring_write(&to, pairs[i].key, pairs[i].value);
    }
    REQUIRE(!to.failed);
    REQUIRE(infostring_pairs(writer_bytes_written(&to), again, PAIRS) == count);
    for (size_t i = 0; i < count; i++) {
        REQUIRE(bytes_equal(pairs[i].key, again[i].key));
        REQUIRE(bytes_equal(pairs[i].value, again[i].value));
    }
    writer_free(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_alloc(size + (size == 0));
    struct bytes input = {copy, size};
    struct infostring_pair pairs[PAIRS];
    size_t count, walked = 0;
    struct bytes rest = input, value;

    if (size > 0) {
        memcpy(copy, data, size);
    }
    count = infostring_pairs(input, pairs, PAIRS);
    for (size_t i = 0; i < count; i++) {
        check_pair(input, &pairs[i]);
        for (size_t j = 0; j < i; j++) {
            REQUIRE(!bytes_equal(pairs[i].key, pairs[j].key));
        }
    }
    check_again(pairs, count);
    while (infostring_next(&rest, &pairs[0])) {
        walked++;
    }
    REQUIRE(walked >= count);
    if (infostring_find_any_case(input, "gamename", &value)) {
        require_inside(input, value);
    }
    REQUIRE(infostring_first_line(input).len <= infostring_cut(input).len);
    check_text(input);
    free(copy);
    return 0;
}
