/*
 * base/log and base/escape: both forms of a line with every kind of field, what is escaped, the
 * rate limits. Lines go to a datagram socket, which keeps each write(2) apart.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"

static int ends[2];
static char line[200000];

static int set_up(void **state)
{
    int size = 400000;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) {
        return -1;
    }
    (void)setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    log_set_fd(ends[1]);
    log_configure(LOG_INFO, LOG_FORMAT_LOGFMT);
    log_set_node(NULL);
    return 0;
}

static int tear_down(void **state)
{
    log_set_fd(STDERR_FILENO);
    log_set_node(NULL);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* The next line without its end; NULL when none was written. */
static char *read_line(void)
{
    ssize_t len = recv(ends[0], line, sizeof line - 1, MSG_DONTWAIT);

    if (len < 0) {
        return NULL;
    }
    assert_true(len > 0);
    line[len] = '\0';
    assert_int_equal(strlen(line), len);
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
    line[len - 1] = '\0';
    return line;
}

/* The same without the time, whose form is checked. */
static char *read_after_time(void)
{
    char *text = read_line();
    struct tm utc = {0};
    char *end;

    assert_non_null(text);
    assert_memory_equal(text, "ts=", 3);
    end = strptime(text + 3, "%Y-%m-%dT%H:%M:%S", &utc);
    assert_non_null(end);
    assert_true(end[0] == '.' && strspn(end + 1, "0123456789") == 3);
    assert_memory_equal(end + 4, "Z ", 2);
    return end + 6;
}

static void a_line_has_time_level_and_fields(void **state)
{
    uint64_t before = clock_wall_us() / 1000000;
    struct tm utc = {0};

    log_info("ready", LOG_STRING("listen", "tracker=127.0.0.1:6789"), LOG_INT("fd", -5),
             LOG_STRING("left", NULL), LOG_BYTES("id", BYTES_LITERAL("AB12")), LOG_ERRNO(ENOENT));
    assert_string_equal(read_after_time(),
                        "level=info msg=ready listen=tracker=127.0.0.1:6789 fd=-5 id=AB12 "
                        "err=\"No such file or directory\"");
    assert_non_null(strptime(line + 3, "%Y-%m-%dT%H:%M:%S", &utc));
    assert_in_range((uint64_t)timegm(&utc), before, clock_wall_us() / 1000000);
    assert_null(read_line());
}

static void integers_are_whole(void **state)
{
    log_info("n", LOG_INT("min", INT64_MIN), LOG_INT("max", INT64_MAX));
    assert_string_equal(read_after_time(),
                        "level=info msg=n min=-9223372036854775808 max=9223372036854775807");
}

static void levels_are_left_out(void **state)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR};
    static const char *const names[] = {"level=debug ", "level=info ", "level=warn ",
                                        "level=error "};

    for (size_t lowest = 0; lowest < 4; lowest++) {
        log_configure(levels[lowest], LOG_FORMAT_LOGFMT);
        log_debug("m", LOG_INT("n", 0));
        log_info("m", LOG_INT("n", 1));
        log_warn("m", LOG_INT("n", 2));
        log_error("m", LOG_INT("n", 3));
        for (size_t level = 0; level < 4; level++) {
            assert_int_equal(log_enabled(levels[level]), level >= lowest);
        }
        for (size_t level = lowest; level < 4; level++) {
            assert_non_null(strstr(read_after_time(), names[level]));
        }
        assert_null(read_line());
    }
}

static void the_node_is_in_every_line(void **state)
{
    char name[] = "node a";

    log_set_node(name);
    name[0] = 'x';
    log_info("m", LOG_INT("n", 1));
    assert_string_equal(read_after_time(), "level=info msg=m node=\"node a\" n=1");
    log_set_node("b");
    log_info("m", LOG_INT("n", 1));
    assert_string_equal(read_after_time(), "level=info msg=m node=b n=1");
    log_set_node(NULL);
    log_info("m", LOG_INT("n", 1));
    assert_string_equal(read_after_time(), "level=info msg=m n=1");
}

static const struct {
    struct bytes text;
    const char *logfmt, *json;
} escapes[] = {
    {BYTES_LITERAL(""), "\"\"", "\"\""},
    {BYTES_LITERAL("plain"), "plain", "\"plain\""},
    {BYTES_LITERAL("a=b"), "a=b", "\"a=b\""},
    {BYTES_LITERAL("{[,:;/'"), "{[,:;/'", "\"{[,:;/'\""},
    {BYTES_LITERAL("two words"), "\"two words\"", "\"two words\""},
    {BYTES_LITERAL(" "), "\" \"", "\" \""},
    {BYTES_LITERAL("say \"x\""), "\"say \\\"x\\\"\"", "\"say \\\"x\\\"\""},
    {BYTES_LITERAL("\""), "\"\\\"\"", "\"\\\"\""},
    {BYTES_LITERAL("a\\b"), "a\\b", "\"a\\\\b\""},
    {BYTES_LITERAL("a\\ b"), "\"a\\\\ b\"", "\"a\\\\ b\""},
    {BYTES_LITERAL("a\nb\rc\td"), "\"a\\nb\\rc\\td\"", "\"a\\nb\\rc\\td\""},
    {BYTES_LITERAL("a\0b"), "\"a\\x00b\"", "\"a\\u0000b\""},
    {BYTES_LITERAL("\x1b[31m"), "\"\\x1b[31m\"", "\"\\u001b[31m\""},
    {BYTES_LITERAL("\x7f"), "\"\\x7f\"", "\"\\u007f\""},
    {BYTES_LITERAL("\xc2\x9b"), "\"\\xc2\\x9b\"", "\"\\u009b\""},
    {BYTES_LITERAL("\xc2\xa0"), "\xc2\xa0", "\"\xc2\xa0\""},
    {BYTES_LITERAL("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
     "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {BYTES_LITERAL("a\xff"), "a\\xff", "\"a\\\\xff\""},
    {BYTES_LITERAL("\xc3("), "\\xc3(", "\"\\\\xc3(\""},
    {BYTES_LITERAL("\xe2\x82"), "\\xe2\\x82", "\"\\\\xe2\\\\x82\""},
    {BYTES_LITERAL("\xed\xa0\x80 "), "\"\\xed\\xa0\\x80 \"", "\"\\\\xed\\\\xa0\\\\x80 \""},
};

static void texts_are_escaped(void **state)
{
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        struct writer logfmt = {0}, json = {0};

        escape_logfmt(&logfmt, escapes[i].text);
        escape_json(&json, escapes[i].text);
        writer_u8(&logfmt, '\0');
        writer_u8(&json, '\0');
        assert_string_equal((const char *)logfmt.data, escapes[i].logfmt);
        assert_string_equal((const char *)json.data, escapes[i].json);
        writer_free(&logfmt);
        writer_free(&json);
    }
}

static void lines_escape_their_values(void **state)
{
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        char expected[200];

        (void)snprintf(expected, sizeof expected, "level=info msg=m v=%s", escapes[i].logfmt);
        log_info("m", LOG_BYTES("v", escapes[i].text));
        assert_string_equal(read_after_time(), expected);
    }
    log_info("two words", LOG_STRING("v", "a\nlevel=error msg=forged"));
    assert_string_equal(read_after_time(),
                        "level=info msg=\"two words\" v=\"a\\nlevel=error msg=forged\"");
}

static const char *member(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    assert_non_null(text);
    return text;
}

static void json_lines_are_json(void **state)
{
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    log_set_node("a");
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t bytes[] = {'x', (uint8_t)byte, 'y'};
        const char *end;
        cJSON *object;

        log_warn("said \"so\"", LOG_BYTES("v", ((struct bytes){bytes, sizeof bytes})),
                 LOG_INT("n", 7), LOG_STRING("left", NULL), LOG_ERRNO(EPIPE));
        assert_non_null(read_line());
        for (const char *at = line; *at != '\0'; at++) {
            assert_true((unsigned char)*at >= 0x20);
        }
        assert_true(bytes_is_utf8(bytes_from_string(line)));
        object = cJSON_ParseWithOpts(line, &end, 1);
        assert_non_null(object);
        assert_int_equal(cJSON_GetArraySize(object), 7);
        assert_int_equal(strlen(member(object, "ts")), strlen("2026-01-01T00:00:00.000Z"));
        assert_string_equal(member(object, "level"), "warn");
        assert_string_equal(member(object, "msg"), "said \"so\"");
        assert_string_equal(member(object, "node"), "a");
        assert_string_equal(member(object, "err"), "Broken pipe");
        assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(object, "n")) == 7);
        if (byte >= 0x80) {
            assert_string_equal(strchr(member(object, "v"), '\\') + 4, "y");
        } else if (byte != 0) { /* cJSON's strings end there */
            assert_memory_equal(member(object, "v"), bytes, 3);
        }
        cJSON_Delete(object);
    }
}

static void errno_is_kept(void **state)
{
    errno = ERANGE;
    log_error("m", LOG_ERRNO(ENOENT));
    assert_int_equal(errno, ERANGE);
    assert_non_null(read_line());
    log_set_fd(-1); /* write fails */
    errno = ERANGE;
    log_error("m", LOG_ERRNO(ENOENT));
    assert_int_equal(errno, ERANGE);
}

static void long_lines_are_one_write(void **state)
{
    static const size_t lengths[] = {5000, 100000, 70000, 10};
    char *text = malloc(100001);

    for (size_t i = 0; i < 4; i++) {
        memset(text, 'x', lengths[i]);
        text[lengths[i]] = '\0';
        log_info("m", LOG_STRING("v", text));
        assert_int_equal(strlen(read_after_time()), lengths[i] + strlen("level=info msg=m v="));
        assert_null(read_line());
    }
    free(text);
}

static void log_limited_line(struct log_limit *limit)
{
    log_limited(LOG_WARN, limit, "m", LOG_INT("n", 1));
}

/* As if the interval had passed. */
static void let_pass(struct log_limit *limit, uint64_t ms)
{
    limit->started_us -= ms * 1000;
}

static void limits_leave_out_and_count(void **state)
{
    struct log_limit limit = {.burst = 3, .interval_ms = 3600000};

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 10; i++) {
            log_limited_line(&limit);
        }
        for (int i = 0; i < 3; i++) {
            const char *expected =
                round > 0 && i == 0 ? "level=warn msg=m n=1 suppressed=7" : "level=warn msg=m n=1";

            assert_string_equal(read_after_time(), expected);
        }
        assert_null(read_line());
        let_pass(&limit, 3600000);
    }
}

static void limits_have_defaults(void **state)
{
    struct log_limit limit = {0};

    for (int i = 0; i < 12; i++) {
        log_limited_line(&limit);
    }
    for (int i = 0; i < 10; i++) {
        assert_non_null(read_line());
    }
    assert_null(read_line());
    let_pass(&limit, 10000);
    log_limited_line(&limit);
    assert_string_equal(read_after_time(), "level=warn msg=m n=1 suppressed=2");
}

static void limits_count_what_the_level_shows(void **state)
{
    struct log_limit limit = {.burst = 1, .interval_ms = 3600000};

    log_limited(LOG_DEBUG, &limit, "m", LOG_INT("n", 1));
    log_limited_line(&limit);
    assert_string_equal(read_after_time(), "level=warn msg=m n=1");
}

static void suppressed_is_in_json_too(void **state)
{
    struct log_limit limit = {.burst = 1, .interval_ms = 3600000};
    cJSON *object;

    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    log_limited_line(&limit);
    log_limited_line(&limit);
    let_pass(&limit, 3600000);
    assert_non_null(read_line());
    log_limited_line(&limit);
    object = cJSON_Parse(read_line());
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(object, "suppressed")) == 1);
    cJSON_Delete(object);
}

#define with_socket(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_socket(a_line_has_time_level_and_fields),
        with_socket(integers_are_whole),
        with_socket(levels_are_left_out),
        with_socket(the_node_is_in_every_line),
        with_socket(texts_are_escaped),
        with_socket(lines_escape_their_values),
        with_socket(json_lines_are_json),
        with_socket(errno_is_kept),
        with_socket(long_lines_are_one_write),
        with_socket(limits_leave_out_and_count),
        with_socket(limits_have_defaults),
        with_socket(limits_count_what_the_level_shows),
        with_socket(suppressed_is_in_json_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
