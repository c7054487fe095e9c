/* Replies from bytes: whole and split at every byte; what is no RESP2; announced sizes; limits. */
#include "redis/redis_fixture.h"

#include "redis/reader_private.h"

/* A reply as one line: strings in quotes, statuses after +, errors after -, arrays in brackets. */
static void describe(const struct redis_reply *reply, struct writer *to)
{
    switch (reply->type) {
    case REDIS_NIL:
        writer_string(to, "nil");
        return;
    case REDIS_INTEGER:
        writer_format(to, "%lld", (long long)reply->integer);
        return;
    case REDIS_STRING:
    case REDIS_STATUS:
    case REDIS_ERROR:
        writer_u8(to, (uint8_t) "'+-"[reply->type - REDIS_STRING]);
        writer_bytes(to, reply->text);
        assert_int_equal(reply->text.data[reply->text.len], 0);
        if (reply->type == REDIS_STRING) {
            writer_u8(to, '\'');
        }
        return;
    case REDIS_ARRAY:
        writer_u8(to, '[');
        for (size_t i = 0; i < reply->count; i++) {
            writer_string(to, i > 0 ? " " : "");
            describe(reply->elements[i], to);
        }
        writer_u8(to, ']');
    }
}

static const struct good {
    const char *bytes;
    size_t len;
    const char *described; /* each reply and a semicolon */
} good[] = {
#define GOOD(bytes, described)                                                                     \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, described                                                        \
    }
    GOOD("+OK\r\n", "+OK;"),
    GOOD("+\r\n", "+;"),
    GOOD("-ERR no\r\n", "-ERR no;"),
    GOOD(":0\r\n:-1\r\n:9223372036854775807\r\n", "0;-1;9223372036854775807;"),
    GOOD("$0\r\n\r\n", "'';"),
    GOOD("$5\r\na\r\nb$\r\n", "'a\r\nb$';"),
    GOOD("$-1\r\n", "nil;"),
    GOOD("*-1\r\n", "nil;"),
    GOOD("*0\r\n", "[];"),
    GOOD("*3\r\n:1\r\n$1\r\nx\r\n$-1\r\n+OK\r\n", "[1 'x' nil];+OK;"),
    GOOD("*2\r\n*1\r\n*2\r\n:1\r\n-E x\r\n*0\r\n", "[[[1 -E x]] []];"),
    GOOD("*10\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n:10\r\n",
         "[1 2 3 4 5 6 7 8 9 10];"),
    GOOD("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n", "[[[[[[[7]]]]]]];"),
};

/* Feeds pieces of at most step bytes, the first of at most first. */
static char *read_all(const uint8_t *bytes, size_t len, size_t first, size_t step)
{
    struct redis_reader *reader = redis_reader_create(0);
    struct writer described = {0};
    const struct redis_reply *reply;
    const char *error;

    for (size_t at = 0; at < len;) {
        size_t piece = at == 0 ? first : step;

        piece = piece < len - at ? piece : len - at;
        redis_reader_feed(reader, bytes + at, piece);
        at += piece;
        while ((reply = redis_reader_next(reader, &error))) {
            describe(reply, &described);
            writer_u8(&described, ';');
        }
        assert_null(error);
    }
    redis_reader_destroy(&reader);
    assert_null(reader);
    writer_u8(&described, 0);
    return (char *)described.data;
}

static void test_good(void **state)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const uint8_t *bytes = (const uint8_t *)good[i].bytes;

        for (size_t split = 1; split <= good[i].len; split++) {
            char *whole = read_all(bytes, good[i].len, split, good[i].len);
            char *pieces = read_all(bytes, good[i].len, split, split);

            assert_string_equal(whole, good[i].described);
            assert_string_equal(pieces, good[i].described);
            free(whole);
            free(pieces);
        }
    }
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "HTTP/1.1 400 Bad Request\r\n",
        "?\r\n",
        ":x\r\n",
        "$x\r\n",
        "$-2\r\n",
        "*-2\r\n",
        "*2147483648\r\n",
        "*x\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct redis_reader *reader = redis_reader_create(0);
        const struct redis_reply *reply;
        const char *error;

        redis_reader_feed(reader, bad[i], strlen(bad[i]));
        reply = redis_reader_next(reader, &error);
        if (reply || !error) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_true(strlen(error) > 0);
        redis_reader_destroy(&reader);
    }
}

/* The largest array and the largest string there can be, announced and never sent: were they
 * allocated, they would count towards the limit. */
static void test_announced_sizes(void **state)
{
    static const char *const heads[] = {"*2147483647\r\n:1\r\n", "$9223372036854775800\r\nab",
                                        "*1\r\n*1\r\n*2147483647\r\n:1\r\n"};

    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct redis_reader *reader = redis_reader_create(1 << 20);
        const char *error;

        redis_reader_feed(reader, heads[i], strlen(heads[i]));
        assert_null(redis_reader_next(reader, &error));
        assert_null(error);
        redis_reader_destroy(&reader);
    }
}

static void test_limit(void **state)
{
    static const char *const heads[] = {"$1000000\r\n", "*1000000\r\n"};
    uint8_t piece[1000];

    for (size_t p = 0; p < sizeof piece; p += 4) {
        memcpy(piece + p, ":1\r\n", 4);
    }
    for (size_t i = 0; i < 2; i++) {
        struct redis_reader *reader = redis_reader_create(100000);
        const char *error = NULL;
        size_t fed = 0;

        redis_reader_feed(reader, heads[i], strlen(heads[i]));
        while (!error && fed < 200000) {
            redis_reader_feed(reader, piece, sizeof piece);
            fed += sizeof piece;
            assert_null(redis_reader_next(reader, &error));
        }
        assert_non_null(error);
        assert_non_null(strstr(error, "max_reply"));
        assert_true(fed <= 101000);
        redis_reader_destroy(&reader);
    }
}

/* Many replies of all sizes through one reader: each is right while it is valid. */
static void test_reuse(void **state)
{
    struct redis_reader *reader = redis_reader_create(0);
    struct writer bytes = {0};
    const struct redis_reply *reply;
    const char *error;
    size_t next = 0;

    for (size_t i = 0; i < 300; i++) {
        size_t len = i * i;

        writer_format(&bytes, "*2\r\n:%zu\r\n$%zu\r\n", i, len);
        memset(writer_reserve(&bytes, len), 'a' + (int)(i % 26), len);
        writer_string(&bytes, "\r\n");
    }
    for (size_t at = 0; at < bytes.len; at += REDIS_FEED_MAX) {
        size_t left = bytes.len - at;

        redis_reader_feed(reader, bytes.data + at, left < REDIS_FEED_MAX ? left : REDIS_FEED_MAX);
        while ((reply = redis_reader_next(reader, &error))) {
            assert_int_equal(reply->elements[0]->integer, next);
            assert_int_equal(reply->elements[1]->text.len, next * next);
            for (size_t c = 0; c < next * next; c++) {
                assert_int_equal(reply->elements[1]->text.data[c], 'a' + (int)(next % 26));
            }
            next++;
        }
        assert_null(error);
    }
    assert_int_equal(next, 300);
    writer_free(&bytes);
    redis_reader_destroy(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_announced_sizes),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_reuse),
    };

    return cmocka_run_group_tests(tests, fixture_init, NULL);
}
