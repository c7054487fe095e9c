/*
 * file: configuration files by inih, and files that hold one value.
 *
 * inih splits long lines, treats indented lines as continuations, and does not report its position.
 * So it reads through a function that handles these: a line that is too long is an error,
 * indentation is removed, lines are counted.
 */
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_private.h"

#define VALUE_FILE_LIMIT 65536

struct config_reading {
    FILE *file;
    file_pair_callback callback;
    void *arg;
    unsigned line;
    char *message; /* the first one */
    unsigned message_line;
};

static void fail_reading(struct config_reading *reading, char *message)
{
    reading->message = message;
    reading->message_line = reading->line;
}

/* For inih, like fgets: the next line with its line end, or NULL. */
static char *read_config_line(char *line, int size, void *arg)
{
    struct config_reading *reading = arg;
    int len = 0, c;

    if (reading->message) {
        return NULL;
    }
    reading->line++;
    while ((c = getc(reading->file)) != EOF && c != '\n') {
        if (c == '\0') {
            fail_reading(reading, mem_strdup("holds a zero byte"));
            return NULL;
        }
        if (len == 0 && (c == ' ' || c == '\t')) {
            continue;
        }
        if (len + 2 < size) {
            line[len++] = (char)c;
        } else if (line[0] != '#' && line[0] != ';') {
            fail_reading(reading,
                         mem_format("is longer than %d bytes; give a long value in a file of its "
                                    "own, as KEY_file = PATH",
                                    size - 2));
            return NULL;
        }
    }
    if (c == EOF && len == 0) {
        return NULL;
    }
    line[len++] = '\n';
    line[len] = '\0';
    return line;
}

/* For inih: 1 continues. */
static int on_pair(void *arg, const char *section, const char *name, const char *value)
{
    struct config_reading *reading = arg;
    char *key, *message;

    if (reading->message) {
        return 0;
    }
    key = section[0] == '\0' ? mem_strdup(name) : mem_format("%s.%s", section, name);
    message = reading->callback(reading->arg, key, value, reading->line);
    free(key);
    if (message) {
        fail_reading(reading, message);
    }
    return !message;
}

char *file_read_pairs(const char *path, file_pair_callback callback, void *arg)
{
    struct config_reading reading = {.callback = callback, .arg = arg};
    char *message = NULL;
    int wrong_line;

    reading.file = fopen(path, "re");
    if (!reading.file) {
        return mem_format("%s: %s", path, strerror(errno));
    }
    wrong_line = ini_parse_stream(read_config_line, &reading, on_pair, &reading);
    /* inih continues after a malformed line. */
    if (wrong_line > 0 && (!reading.message || (unsigned)wrong_line < reading.message_line)) {
        message = mem_format("%s:%d: is neither [SECTION] nor KEY = VALUE", path, wrong_line);
    } else if (reading.message) {
        message = mem_format("%s:%u: %s", path, reading.message_line, reading.message);
    } else if (wrong_line < 0 || ferror(reading.file)) {
        message = mem_format("%s: cannot be read", path);
    }
    free(reading.message);
    (void)fclose(reading.file);
    return message;
}

static void cut_line_end(char *text, size_t len)
{
    if (len > 0 && text[len - 1] == '\n') {
        text[--len] = '\0';
    }
    if (len > 0 && text[len - 1] == '\r') {
        text[--len] = '\0';
    }
}

char *file_read_value(const char *key, const char *path, char **value)
{
    FILE *file = fopen(path, "re");
    char *text, *message = NULL;
    size_t len;

    *value = NULL;
    if (!file) {
        return mem_format("%s_file: cannot open %s: %s", key, path, strerror(errno));
    }
    text = mem_alloc(VALUE_FILE_LIMIT + 1);
    errno = 0;
    len = fread(text, 1, VALUE_FILE_LIMIT + 1, file);
    if (ferror(file)) {
        message = mem_format("%s_file: cannot read %s: %s", key, path, strerror(errno));
        goto close_file;
    }
    if (len > VALUE_FILE_LIMIT) {
        message = mem_format("%s_file: %s is longer than %d bytes", key, path, VALUE_FILE_LIMIT);
        goto close_file;
    }
    if (memchr(text, '\0', len)) {
        message = mem_format("%s_file: %s holds a zero byte", key, path);
        goto close_file;
    }
    text[len] = '\0';
    cut_line_end(text, len);
    *value = mem_strdup(text);
close_file:
    free(text);
    (void)fclose(file);
    return message;
}
