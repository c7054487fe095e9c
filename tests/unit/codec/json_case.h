/*
 * What the tests of the JSON codecs share: exact copies of inputs, so that a sanitizer sees each
 * byte read too many, and the corpora in tests/unit/codec/cases.
 */
#ifndef TESTS_CODEC_JSON_CASE_H
#define TESTS_CODEC_JSON_CASE_H

#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "codec/json.h"

#define B(s)     BYTES_LITERAL(s)
#define S(s)     bytes_from_string(s)
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct json_limits ordinary = JSON_LIMITS_DEFAULT;

/* The caller frees data. */
static inline struct bytes exact_copy(struct bytes text)
{
    uint8_t *copy = mem_alloc(text.len == 0 ? 1 : text.len);

    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    return (struct bytes){copy, text.len};
}

static inline void assert_text(const char *name, struct bytes actual, const char *expected)
{
    if (!bytes_equal(actual, bytes_from_string(expected))) {
        fail_msg("%s:\n  %.*s\nnot\n  %s", name, (int)actual.len, (const char *)actual.data,
                 expected);
    }
}

/* Compares and empties. */
static inline void assert_composed(struct writer *to, const char *expected)
{
    assert_false(to->failed);
    assert_text("composed", writer_bytes_written(to), expected);
    writer_reset(to);
}

/* The document of a text that must be one; text must outlive it. */
static inline struct json_document *must_parse(struct bytes text)
{
    struct json_error error = {0};
    struct json_document *document = json_document_parse(text, &ordinary, &error);

    if (!document) {
        fail_msg("%.*s: %s", (int)text.len, (const char *)text.data, error.text);
    }
    return document;
}

/* Writes a value again, part by part: without the spaces, strings escaped anew. */
static inline void compose_again(struct json_writer *json, const struct json_value *value)
{
    const enum json_type type = json_value_type(value);
    struct json_error error = {0};
    struct bytes text;

    if (type == JSON_TYPE_STRING) {
        assert_true(json_value_text(value, &text, &error));
        json_write_text(json, text);
        return;
    }
    if (type != JSON_TYPE_OBJECT && type != JSON_TYPE_ARRAY) {
        json_write_raw(json, json_value_raw(value));
        return;
    }
    type == JSON_TYPE_OBJECT ? json_write_object_begin(json) : json_write_array_begin(json);
    for (const struct json_value *member = json_value_first(value); member;
         member = json_value_next(member)) {
        if (type == JSON_TYPE_OBJECT) {
            json_write_key(json, json_value_key(member));
        }
        compose_again(json, member);
    }
    type == JSON_TYPE_OBJECT ? json_write_object_end(json) : json_write_array_end(json);
}

/* Whether both are the same JSON but for spaces and escapes; members in the same order. */
static inline void assert_same_json(struct bytes actual, struct bytes expected)
{
    struct writer texts[2] = {{0}, {0}};
    const struct bytes sources[2] = {actual, expected};

    for (size_t i = 0; i < 2; i++) {
        struct json_document *document = must_parse(sources[i]);
        struct json_writer json = json_writer_over(&texts[i]);

        compose_again(&json, json_document_root(document));
        json_document_free(&document);
        writer_u8(&texts[i], 0);
    }
    assert_string_equal((const char *)texts[0].data, (const char *)texts[1].data);
    writer_free(&texts[0]);
    writer_free(&texts[1]);
}

/* A file of tests/unit/codec/cases, found from where this program lies, wherever it is started. */
static inline FILE *open_cases(const char *name)
{
    char program[PATH_MAX];
    char path[PATH_MAX + 64];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    FILE *file = NULL;

    assert_true(len > 0);
    program[len] = '\0';
    for (char *slash = strrchr(program, '/'); !file && slash; slash = strrchr(program, '/')) {
        *slash = '\0';
        (void)snprintf(path, sizeof path, "%s/tests/unit/codec/cases/%s", program, name);
        file = fopen(path, "re");
    }
    if (!file) {
        fail_msg("no tests/unit/codec/cases/%s above the program", name);
    }
    return file;
}

/* Undoes %NN in place. */
static inline struct bytes unescape_case(char *text)
{
    uint8_t *to = (uint8_t *)text;
    size_t len = 0;

    for (const char *at = text; *at != '\0'; at++) {
        unsigned byte = (unsigned char)*at;

        if (*at == '%') {
            assert_int_equal(sscanf(at + 1, "%2x", &byte), 1);
            at += 2;
        }
        to[len++] = (uint8_t)byte;
    }
    return (struct bytes){to, len};
}

/* Calls back with the columns of each case, the last one unescaped; how many there were. */
static inline size_t
each_case(const char *name, void (*check)(const char *first, const char *second, struct bytes text))
{
    FILE *file = open_cases(name);
    char *line = NULL;
    size_t room = 0, count = 0;

    while (getline(&line, &room, file) > 0) {
        char *first = line;
        char *second = strchr(line, '\t');
        char *text = !second ? NULL : strchr(second + 1, '\t');

        if (*line == '#' || *line == '\n') {
            continue;
        }
        assert_non_null(text);
        *second++ = '\0';
        *text++ = '\0';
        text[strcspn(text, "\n")] = '\0';
        const struct bytes copy = exact_copy(unescape_case(text));
        check(first, second, copy);
        free((void *)copy.data);
        count++;
    }
    free(line);
    assert_int_equal(fclose(file), 0);
    return count;
}

#endif
