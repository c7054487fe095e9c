/*
 * log: one line per fact on standard error, logfmt or JSON.
 *
 *   ts=2026-01-01T00:00:00.000Z level=info msg=ready node=a listen=tracker=127.0.0.1:6789
 *
 * Values are quoted when they hold a space, a quote or a control character, or are empty; bytes
 * that are not UTF-8 are escaped (\xNN). A line is written with one write(2).
 *
 *   log_info("accepted", LOG_STRING("peer", peer), LOG_INT("fd", fd));
 *
 * Lines that a peer can cause have a limit: at most burst lines per interval; the next line
 * that passes reports how many were suppressed (suppressed=N).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

struct log_field {
    const char *key;
    enum { LOG_KIND_STRING, LOG_KIND_INT, LOG_KIND_BYTES, LOG_KIND_ERRNO } kind;
    const char *string; /* NULL leaves the field out */
    int64_t integer;
    struct bytes bytes;
};

#define LOG_STRING(k, v) ((struct log_field){.key = (k), .kind = LOG_KIND_STRING, .string = (v)})
#define LOG_INT(k, v)    ((struct log_field){.key = (k), .kind = LOG_KIND_INT, .integer = (v)})
#define LOG_BYTES(k, v)  ((struct log_field){.key = (k), .kind = LOG_KIND_BYTES, .bytes = (v)})
/* The text of an errno value, as err="...". */
#define LOG_ERRNO(e) ((struct log_field){.key = "err", .kind = LOG_KIND_ERRNO, .integer = (e)})

struct log_limit {
    uint32_t burst;       /* lines per interval; 0: 10 */
    uint32_t interval_ms; /* 0: 10 s */
    uint64_t started_us;
    uint32_t used;
    uint32_t suppressed;
};

void log_configure(enum log_level level, enum log_format format);
/* Added to every line that follows (node=NAME); copied; NULL removes it. */
void log_set_node(const char *node);
/* The descriptor that lines are written to; standard error by default. For tests. */
void log_set_fd(int fd);
bool log_enabled(enum log_level level);
/* Preserves errno. limit may be NULL. */
void log_write(enum log_level level, struct log_limit *limit, const char *msg,
               const struct log_field *fields, size_t count);

#define LOG_WITH(level, limit, msg, ...)                                                           \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_write(level, limit, msg, log_fields_, sizeof log_fields_ / sizeof *log_fields_);   \
        }                                                                                          \
    } while (0)
/* Each takes at least one field. */
#define log_debug(msg, ...)                 LOG_WITH(LOG_DEBUG, NULL, msg, __VA_ARGS__)
#define log_info(msg, ...)                  LOG_WITH(LOG_INFO, NULL, msg, __VA_ARGS__)
#define log_warn(msg, ...)                  LOG_WITH(LOG_WARN, NULL, msg, __VA_ARGS__)
#define log_error(msg, ...)                 LOG_WITH(LOG_ERROR, NULL, msg, __VA_ARGS__)
#define log_limited(level, limit, msg, ...) LOG_WITH(level, limit, msg, __VA_ARGS__)

#endif
