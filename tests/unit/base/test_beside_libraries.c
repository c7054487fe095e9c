/* What is written by hand although a library does the same: it gives the same results, and each
 * test prints what both take. docs/architecture.md has the decisions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <event2/event.h>
#include <malloc.h>
#include <utf8proc.h>

#include "base/escape.h"
#include "base/mem.h"
#include "base/random.h"
#include "loop/loop.h"
#include "redis/link_private.h"

#define ROUNDS 2000

static volatile size_t sink; /* what is measured must not be left out */

/* Of the processor, so that others' load does not count. */
static uint64_t cpu_us(void)
{
    return (uint64_t)clock() * 1000000 / CLOCKS_PER_SEC;
}

static void print_times(const char *what, uint64_t ours_us, const char *library, uint64_t its_us)
{
    printf("%s: ours %llu us, %s %llu us\n", what, (unsigned long long)ours_us, library,
           (unsigned long long)its_us);
}

/* UTF-8, beside libutf8proc. */

static bool utf8proc_accepts(struct bytes text)
{
    while (text.len > 0) {
        utf8proc_int32_t character;
        utf8proc_ssize_t len = utf8proc_iterate(text.data, (utf8proc_ssize_t)text.len, &character);
        if (len <= 0) {
            return false;
        }
        text.data += len;
        text.len -= (size_t)len;
    }
    return true;
}

/* Random bytes of which many are the beginnings and ends of UTF-8's ranges. */
static void fill_nearly_utf8(uint8_t *bytes, size_t len)
{
    static const uint8_t edges[] = {0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf,
                                    0xe0, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5};
    for (size_t i = 0; i < len; i++) {
        bytes[i] = edges[random_below(sizeof edges)];
    }
}

static void utf8_is_judged_alike(void **state)
{
    uint8_t bytes[4];
    for (unsigned i = 0; i < 200000; i++) {
        struct bytes text = {bytes, 1 + i % sizeof bytes};
        fill_nearly_utf8(bytes, text.len);
        assert_int_equal(bytes_is_utf8(text), utf8proc_accepts(text));
    }
}

/* What escape_visible escapes of the characters that are assigned: those that libutf8proc knows as
 * ignorable, and more that turn the direction of writing, end a line or annotate. */
static bool is_hidden(utf8proc_int32_t character, const utf8proc_property_t *property)
{
    switch (property->bidi_class) {
    case UTF8PROC_BIDI_CLASS_LRE:
    case UTF8PROC_BIDI_CLASS_LRO:
    case UTF8PROC_BIDI_CLASS_RLE:
    case UTF8PROC_BIDI_CLASS_RLO:
    case UTF8PROC_BIDI_CLASS_PDF:
    case UTF8PROC_BIDI_CLASS_LRI:
    case UTF8PROC_BIDI_CLASS_RLI:
    case UTF8PROC_BIDI_CLASS_FSI:
    case UTF8PROC_BIDI_CLASS_PDI:
        return true;
    default:
        return property->ignorable || property->category == UTF8PROC_CATEGORY_CC ||
               property->category == UTF8PROC_CATEGORY_ZL ||
               property->category == UTF8PROC_CATEGORY_ZP ||
               (character >= 0xfff9 && character <= 0xfffb);
    }
}

static bool is_escaped(utf8proc_int32_t character)
{
    uint8_t bytes[4];
    struct bytes text = {bytes, (size_t)utf8proc_encode_char(character, bytes)};
    struct writer shown = {0};
    escape_visible(&shown, text, false);
    bool is_same = bytes_equal(writer_bytes_written(&shown), text);
    writer_free(&shown);
    return !is_same;
}

/* Of those that are not assigned yet it knows nothing: not that some are to be ignorable. */
static void hidden_characters_are_those_of_unicode(void **state)
{
    for (utf8proc_int32_t character = 1; character <= 0x10ffff; character++) {
        const utf8proc_property_t *property = utf8proc_get_property(character);
        bool is_known = property->category != UTF8PROC_CATEGORY_CN &&
                        property->category != UTF8PROC_CATEGORY_CS;
        if (is_known && is_escaped(character) != is_hidden(character, property)) {
            fail_msg("U+%04X", (unsigned)character);
        }
    }
    assert_false(utf8proc_get_property(0xe0002)->ignorable);
    assert_true(is_escaped(0xe0002));
}

static void utf8_takes(void **state)
{
    static const char *const texts[] = {"{\"state\":\"a sensor in the cellar, 21.5\"}",
                                        "дверь закрыта 門は閉"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[4096] = "";
        while (strlen(text) + strlen(texts[i]) < sizeof text) {
            strcat(text, texts[i]);
        }
        struct bytes bytes = bytes_from_string(text);
        uint64_t start = cpu_us(), middle;
        for (unsigned n = 0; n < ROUNDS; n++) {
            sink += bytes_is_utf8(bytes);
        }
        middle = cpu_us();
        for (unsigned n = 0; n < ROUNDS; n++) {
            sink += utf8proc_accepts(bytes);
        }
        print_times(i == 0 ? "UTF-8, ASCII" : "UTF-8, other", middle - start, "libutf8proc",
                    cpu_us() - middle);
    }
}

/* Commands to Redis, beside hiredis. */

/* hiredis.h itself defines names of pkg/redis. */
int redisFormatCommandArgv(char **target, int argc, const char **argv, const size_t *argvlen);

#define ARGS 20

static size_t make_arguments(struct bytes args[ARGS], const char *data, size_t size)
{
    size_t count = 1 + random_below(ARGS);
    for (size_t i = 0; i < count; i++) {
        args[i] = (struct bytes){(const uint8_t *)data, random_below((uint32_t)size)};
    }
    return count;
}

static char *hiredis_format(size_t count, const struct bytes *args, int *len)
{
    const char *texts[ARGS];
    size_t lens[ARGS];
    char *command;
    for (size_t i = 0; i < count; i++) {
        texts[i] = (const char *)args[i].data;
        lens[i] = args[i].len;
    }
    *len = redisFormatCommandArgv(&command, (int)count, texts, lens);
    return command;
}

static void commands_are_formatted_alike(void **state)
{
    static char data[12000];
    random_bytes(data, sizeof data);
    for (unsigned i = 0; i < 1000; i++) {
        struct bytes args[ARGS];
        size_t count = make_arguments(args, data, i % 10 ? 120 : sizeof data);
        size_t size = redis_format_size(count, args);
        uint8_t *ours = mem_alloc(size);
        int len;
        char *its = hiredis_format(count, args, &len);
        assert_ptr_equal(redis_format(ours, count, args), ours + size);
        assert_int_equal(size, len);
        assert_memory_equal(ours, its, size);
        free(ours);
        free(its);
    }
}

/* hiredis's goes into memory of its own, from which it would have to be copied to the link's. */
static void commands_take(void **state)
{
    static uint8_t output[65536];
    const struct bytes args[] = {BYTES_LITERAL("EVALSHA"),
                                 BYTES_LITERAL("8782fbfb54f3ba5951a86651e9ac1c269a251c96"),
                                 BYTES_LITERAL("1"),
                                 BYTES_LITERAL("tracker:{main/1/0}:"),
                                 BYTES_LITERAL("update"),
                                 BYTES_LITERAL("sensor7"),
                                 BYTES_LITERAL("1700000000000000001"),
                                 BYTES_LITERAL("21.5")};
    const size_t count = sizeof args / sizeof *args;
    uint64_t start = cpu_us(), middle;
    for (unsigned n = 0; n < 100 * ROUNDS; n++) {
        assert_true(redis_format_size(count, args) <= sizeof output);
        sink += (size_t)(redis_format(output, count, args) - output);
    }
    middle = cpu_us();
    for (unsigned n = 0; n < 100 * ROUNDS; n++) {
        int len;
        char *command = hiredis_format(count, args, &len);
        memcpy(output, command, (size_t)len);
        sink += output[len - 1];
        free(command);
    }
    print_times("a command", middle - start, "hiredis", cpu_us() - middle);
}

/* JSON strings, beside cJSON. */

static void strings_come_back_from_cjson(void **state)
{
    for (unsigned i = 0; i < 20000; i++) {
        char text[9] = "";
        struct writer json = {0};
        for (unsigned n = 0; n < i % sizeof text; n++) {
            text[n] = (char)(1 + random_below(127));
        }
        escape_json(&json, bytes_from_string(text));
        cJSON *read = cJSON_ParseWithLength((const char *)json.data, json.len);
        assert_non_null(read);
        assert_string_equal(cJSON_GetStringValue(read), text);
        cJSON_Delete(read);
        writer_free(&json);
    }
}

static void strings_take(void **state)
{
    static const char text[] = "a sensor in the \"cellar\", 21.5 degrees\n";
    struct writer json = {0};
    uint64_t start = cpu_us(), middle;
    for (unsigned n = 0; n < 10 * ROUNDS; n++) {
        writer_reset(&json);
        escape_json(&json, bytes_from_string(text));
    }
    middle = cpu_us();
    for (unsigned n = 0; n < 10 * ROUNDS; n++) {
        cJSON *value = cJSON_CreateString(text);
        char *printed = cJSON_PrintUnformatted(value);
        writer_reset(&json);
        writer_string(&json, printed);
        cJSON_free(printed);
        cJSON_Delete(value);
    }
    print_times("a JSON string", middle - start, "cJSON", cpu_us() - middle);
    writer_free(&json);
}

/* Timers, beside libevent. */

static void on_timer(void *arg)
{
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
}

#define TIMERS 10000

static void timers_take(void **state)
{
    struct loop *loop = loop_create();
    struct event_base *base = event_base_new();
    struct loop_timer **ours = mem_zalloc(TIMERS, sizeof *ours);
    struct event **its = mem_zalloc(TIMERS, sizeof *its);
    const struct timeval hour = {3600, 0};
    uint64_t start, middle, end;
    size_t before, between, after;
    before = mallinfo2().uordblks;
    for (unsigned i = 0; i < TIMERS; i++) {
        ours[i] = loop_timer_create(loop, on_timer, NULL);
        loop_timer_start(ours[i], 3600000);
    }
    between = mallinfo2().uordblks;
    for (unsigned i = 0; i < TIMERS; i++) {
        its[i] = event_new(base, -1, 0, on_event, NULL);
        event_add(its[i], &hour);
    }
    after = mallinfo2().uordblks;
    start = cpu_us();
    for (unsigned i = 0; i < 10 * TIMERS; i++) {
        loop_timer_start(ours[i * 7919 % TIMERS], 3600000 + i % 1000);
    }
    middle = cpu_us();
    for (unsigned i = 0; i < 10 * TIMERS; i++) {
        struct timeval time = {3600 + i % 1000, 0};
        event_add(its[i * 7919 % TIMERS], &time);
    }
    end = cpu_us();
    printf("a timer: ours %zu bytes, libevent %zu bytes\n", (between - before) / TIMERS,
           (after - between) / TIMERS);
    print_times("starting timers again", middle - start, "libevent", end - middle);
    for (unsigned i = 0; i < TIMERS; i++) {
        loop_timer_destroy(&ours[i]);
        event_free(its[i]);
    }
    free(ours);
    free(its);
    event_base_free(base);
    loop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_judged_alike),
        cmocka_unit_test(hidden_characters_are_those_of_unicode),
        cmocka_unit_test(utf8_takes),
        cmocka_unit_test(commands_are_formatted_alike),
        cmocka_unit_test(commands_take),
        cmocka_unit_test(strings_come_back_from_cjson),
        cmocka_unit_test(strings_take),
        cmocka_unit_test(timers_take),
    };

    random_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
