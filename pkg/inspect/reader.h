/*
 * reader: reads (and, for repairs, writes) the map in Redis over a plain link, for tools: without a
 * session, a view or a lease.
 *
 * Commands are pipelined; reader_wait runs the loop until they are answered. The first problem is
 * kept (reader_problem, reader_error); after it nothing is sent any more and every wait returns
 * false at once. So a caller may check once, at the end.
 */
#ifndef INSPECT_READER_H
#define INSPECT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "loop/loop.h"
#include "redis/redis.h"

struct reader;

enum reader_problem {
    READER_FINE,
    READER_UNREACHABLE, /* no connection, or it was lost */
    READER_LATE,        /* no reply for the reader's time-out */
    READER_REFUSED,     /* an error reply of Redis, or a malformed one */
    READER_STOPPED      /* reader_stop */
};

/* timeout_ms: how long a wait lasts without a reply. target and settings have to outlive the
 * reader. */
struct reader *reader_create(struct loop *loop, const struct redis_target *target,
                             const struct redis_settings *settings, uint64_t timeout_ms);
void reader_destroy(struct reader **reader);
/* The number of its Redis database, which is part of the names of channels (schema/keys.h). */
unsigned reader_database(const struct reader *reader);
/* Waits for the connection. */
bool reader_connect(struct reader *reader) __attribute__((warn_unused_result));
enum reader_problem reader_problem(const struct reader *reader);
/* A description of the problem; "" while there is none. */
const char *reader_error(const struct reader *reader);
/* Ends every wait: for signal handlers of the loop. */
void reader_stop(struct reader *reader);
/* Sets a problem of the caller's own, unless there is one already. */
void reader_fail(struct reader *reader, enum reader_problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The callback is called at most once, from a wait: with the reply, which is of type REDIS_ERROR
 * only for a key of another type (WRONGTYPE); any other error is a problem. It may send commands,
 * but not wait. callback may be NULL.
 */
typedef void (*reader_callback)(void *arg, const struct redis_reply *reply);
void reader_command(struct reader *reader, reader_callback callback, void *arg, size_t count,
                    const struct bytes *args);
void reader_eval(struct reader *reader, struct redis_script *script, reader_callback callback,
                 void *arg, size_t keys, size_t count, const struct bytes *args);
/* Waits until at most that many replies are outstanding. False when there is a problem. */
bool reader_wait_below(struct reader *reader, size_t count);
bool reader_wait(struct reader *reader); /* until none is */
/* Lets that much time pass. */
bool reader_pause(struct reader *reader, uint64_t ms);
/* Waits until *done, with the same time-out. */
bool reader_wait_for(struct reader *reader, const bool *done);

/*
 * Iterates with SCAN, HSCAN or ZSCAN. key: ignored for SCAN. pattern: NULL for all. item is called
 * with each element: a key and nothing, field and value, or member and score; possibly more than
 * once for one element.
 */
typedef void (*reader_item)(void *arg, struct bytes name, struct bytes value);
bool reader_scan(struct reader *reader, const char *command, struct bytes key, const char *pattern,
                 reader_item item, void *arg);

/* Spaces that front-ends have served, each with its count of partitions as text. */
bool reader_each_space(struct reader *reader, const char *prefix, reader_item item, void *arg);
/* The count of partitions of a space; 0 when no front-end has ever served it. */
bool reader_read_partitions(struct reader *reader, const char *prefix, const char *space,
                            uint32_t *count);
/* Redis's wall clock, ms since the epoch. */
bool reader_read_time(struct reader *reader, uint64_t *ms);

/* All keys of a space's partitions whose name begins with kind ("client:"; "" for all). name: the
 * part of the key after the partition's prefix. A key may occur more than once. */
struct reader_space {
    const char *prefix;
    const char *name;
    uint32_t partitions;
};
typedef void (*reader_key)(void *arg, uint32_t partition, struct bytes name);
bool reader_each_key(struct reader *reader, const struct reader_space *space, const char *kind,
                     reader_key found, void *arg);
/* Splits a key of the space; false when it is of another. */
bool reader_parse_key(const struct reader_space *space, struct bytes key, uint32_t *partition,
                      struct bytes *name) __attribute__((warn_unused_result));

#endif
