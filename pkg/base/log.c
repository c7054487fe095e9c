/*
 * log: a line is composed in one buffer, which is reused, and written with one call.
 *
 * A line that cannot be written is lost: there is nowhere to report that.
 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/mem.h"

#define KEEP_CAPACITY       65536
#define DEFAULT_BURST       10
#define DEFAULT_INTERVAL_MS 10000

static enum log_level lowest = LOG_INFO;
static enum log_format form = LOG_FORMAT_LOGFMT;
static char *node_name;
static int output = STDERR_FILENO;
static struct writer line;

void log_configure(enum log_level level, enum log_format format)
{
    lowest = level;
    form = format;
}

void log_set_node(const char *node)
{
    char *name = !node ? NULL : mem_strdup(node);

    free(node_name);
    node_name = name;
}

void log_set_fd(int fd)
{
    output = fd;
}

bool log_enabled(enum log_level level)
{
    return level >= lowest;
}

/* False when the interval's lines are used up. */
static bool passes_limit(struct log_limit *limit)
{
    uint32_t burst = limit->burst == 0 ? DEFAULT_BURST : limit->burst;
    uint32_t interval_ms = limit->interval_ms == 0 ? DEFAULT_INTERVAL_MS : limit->interval_ms;
    uint64_t now_us = clock_monotonic_us();

    if (limit->started_us == 0 || now_us - limit->started_us >= (uint64_t)interval_ms * 1000) {
        limit->started_us = now_us;
        limit->used = 0;
    }
    if (limit->used >= burst) {
        if (limit->suppressed < UINT32_MAX) {
            limit->suppressed++;
        }
        return false;
    }
    limit->used++;
    return true;
}

static void add_log_key(const char *key)
{
    if (form == LOG_FORMAT_JSON) {
        writer_u8(&line, line.len == 0 ? '{' : ',');
        escape_json(&line, bytes_from_string(key));
        writer_u8(&line, ':');
    } else {
        if (line.len != 0) {
            writer_u8(&line, ' ');
        }
        writer_string(&line, key);
        writer_u8(&line, '=');
    }
}

static void add_log_text(const char *key, struct bytes text)
{
    add_log_key(key);
    if (form == LOG_FORMAT_JSON) {
        escape_json(&line, text);
    } else {
        escape_logfmt(&line, text);
    }
}

static void add_integer(const char *key, int64_t integer)
{
    add_log_key(key);
    writer_format(&line, "%" PRId64, integer);
}

static void add_time(void)
{
    uint64_t now_us = clock_wall_us();
    time_t seconds = (time_t)(now_us / 1000000);
    char date[32], text[48];
    struct tm utc;

    if (!gmtime_r(&seconds, &utc) || strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc) == 0) {
        return;
    }
    (void)snprintf(text, sizeof text, "%s.%03uZ", date, (unsigned)(now_us / 1000 % 1000));
    add_log_text("ts", bytes_from_string(text));
}

static void add_log_field(const struct log_field *field)
{
    switch (field->kind) {
    case LOG_KIND_STRING:
        if (field->string) {
            add_log_text(field->key, bytes_from_string(field->string));
        }
        break;
    case LOG_KIND_INT:
        add_integer(field->key, field->integer);
        break;
    case LOG_KIND_BYTES:
        add_log_text(field->key, field->bytes);
        break;
    case LOG_KIND_ERRNO:
        add_log_text(field->key, bytes_from_string(strerror((int)field->integer)));
        break;
    }
}

static void write_log_line(void)
{
    ssize_t written;

    do {
        written = write(output, line.data, line.len);
    } while (written < 0 && errno == EINTR);
    if (line.capacity > KEEP_CAPACITY) {
        writer_free(&line);
    }
}

void log_write(enum log_level level, struct log_limit *limit, const char *msg,
               const struct log_field *fields, size_t count)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    int saved_errno = errno;

    if (!log_enabled(level) || (limit && !passes_limit(limit))) {
        goto restore;
    }
    writer_reset(&line);
    add_time();
    add_log_text("level", bytes_from_string(levels[level]));
    add_log_text("msg", bytes_from_string(msg));
    if (node_name) {
        add_log_text("node", bytes_from_string(node_name));
    }
    for (size_t i = 0; i < count; i++) {
        add_log_field(&fields[i]);
    }
    if (limit && limit->suppressed > 0) {
        add_integer("suppressed", limit->suppressed);
        limit->suppressed = 0;
    }
    writer_string(&line, form == LOG_FORMAT_JSON ? "}\n" : "\n");
    write_log_line();
restore:
    errno = saved_errno;
}
