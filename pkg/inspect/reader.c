#include "inspect/reader.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/keys.h"

#define ITERATION_MS 100    /* longest single wait of the loop */
#define SCAN_COUNT   "1000" /* elements per step of a scan */

struct reader {
    struct loop *loop;
    struct redis_link *link;
    unsigned database;
    uint64_t timeout_ms;
    uint64_t active_ms; /* of the last reply, or of the beginning of a wait */
    size_t under_way;
    bool up;
    enum reader_problem problem;
    char *error;
};

struct reader_call {
    struct reader *reader;
    reader_callback callback;
    void *arg;
};

void reader_fail(struct reader *reader, enum reader_problem problem, const char *format, ...)
{
    if (reader->problem != READER_FINE) {
        return;
    }
    va_list list;
    va_start(list, format);
    if (vasprintf(&reader->error, format, list) < 0) {
        reader->error = NULL;
    }
    va_end(list);
    reader->problem = problem;
}

/* The link. */

static void on_up(void *arg, const char *run_id)
{
    struct reader *reader = arg;
    reader->up = true;
    reader->active_ms = loop_now_ms(reader->loop);
}

static void on_reader_link_down(void *arg)
{
    struct reader *reader = arg;
    reader->up = false;
}

static void on_reader_connect_failed(void *arg, const char *why)
{
    reader_fail(arg, READER_UNREACHABLE, "cannot reach Redis: %s", why);
}

static const struct redis_link_callbacks link_callbacks = {.up = on_up,
                                                           .down = on_reader_link_down,
                                                           .unfit = on_reader_connect_failed,
                                                           .failed = on_reader_connect_failed};

struct reader *reader_create(struct loop *loop, const struct redis_target *target,
                             const struct redis_settings *settings, uint64_t timeout_ms)
{
    struct reader *reader = mem_zalloc(1, sizeof *reader);
    reader->loop = loop;
    reader->database = target->database;
    reader->timeout_ms = timeout_ms;
    reader->link = redis_link_create(loop, "commands", target, settings, &link_callbacks, reader);
    return reader;
}

unsigned reader_database(const struct reader *reader)
{
    return reader->database;
}

void reader_destroy(struct reader **pointer)
{
    struct reader *reader = *pointer;
    *pointer = NULL;
    if (!reader) {
        return;
    }
    reader_stop(reader);
    redis_link_destroy(&reader->link);
    free(reader->error);
    free(reader);
}

enum reader_problem reader_problem(const struct reader *reader)
{
    return reader->problem;
}

const char *reader_error(const struct reader *reader)
{
    return reader->error ? reader->error : "";
}

void reader_stop(struct reader *reader)
{
    reader_fail(reader, READER_STOPPED, "stopped");
}

/* Waiting. */

static void run_reader_iteration(struct reader *reader)
{
    uint64_t idle = loop_now_ms(reader->loop) - reader->active_ms;
    if (idle >= reader->timeout_ms) {
        reader_fail(reader, READER_LATE, "Redis has not answered for %llu ms",
                    (unsigned long long)reader->timeout_ms);
        return;
    }
    uint64_t left = reader->timeout_ms - idle;
    loop_iterate(reader->loop, left < ITERATION_MS ? (unsigned)left : ITERATION_MS);
}

bool reader_connect(struct reader *reader)
{
    reader->active_ms = loop_now_ms(reader->loop);
    while (!reader->up && reader->problem == READER_FINE) {
        run_reader_iteration(reader);
    }
    if (reader->problem == READER_LATE) {
        reader->problem = READER_UNREACHABLE;
    }
    return reader->problem == READER_FINE;
}

bool reader_wait_below(struct reader *reader, size_t count)
{
    reader->active_ms = loop_now_ms(reader->loop);
    while (reader->under_way > count && reader->problem == READER_FINE) {
        run_reader_iteration(reader);
    }
    return reader->problem == READER_FINE;
}

bool reader_wait(struct reader *reader)
{
    return reader_wait_below(reader, 0);
}

bool reader_wait_for(struct reader *reader, const bool *done)
{
    reader->active_ms = loop_now_ms(reader->loop);
    while (!*done && reader->problem == READER_FINE) {
        run_reader_iteration(reader);
    }
    return reader->problem == READER_FINE;
}

static void set_flag(void *arg)
{
    bool *flag = arg;
    *flag = true;
}

bool reader_pause(struct reader *reader, uint64_t ms)
{
    bool over = false;
    struct loop_timer *timer = loop_timer_create(reader->loop, set_flag, &over);
    loop_timer_start(timer, ms);
    while (!over && reader->problem == READER_FINE) {
        loop_iterate(reader->loop, ITERATION_MS);
    }
    loop_timer_destroy(&timer);
    return reader->problem == READER_FINE;
}

/* Commands. */

static bool is_wrong_type(const struct redis_reply *reply)
{
    static const char code[] = "WRONGTYPE";
    return reply->text.len >= sizeof code - 1 &&
           memcmp(reply->text.data, code, sizeof code - 1) == 0;
}

static void on_reader_reply(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct reader_call call = *(struct reader_call *)arg;
    struct reader *reader = call.reader;
    free(arg);
    reader->under_way--;
    reader->active_ms = loop_now_ms(reader->loop);
    if (status == REDIS_DOWN || status == REDIS_LOST) {
        reader_fail(reader, READER_UNREACHABLE, "the connection to Redis was lost");
    } else if (status == REDIS_REFUSED && !is_wrong_type(reply)) {
        reader_fail(reader, READER_REFUSED, "Redis replied: %.*s", (int)reply->text.len,
                    (const char *)reply->text.data);
    }
    if (reader->problem == READER_FINE && call.callback) {
        call.callback(call.arg, reply);
    }
}

static struct reader_call *begin_reader_call(struct reader *reader, reader_callback callback,
                                             void *arg)
{
    struct reader_call *call = mem_alloc(sizeof *call);
    *call = (struct reader_call){reader, callback, arg};
    reader->under_way++;
    return call;
}

void reader_command(struct reader *reader, reader_callback callback, void *arg, size_t count,
                    const struct bytes *args)
{
    if (reader->problem == READER_FINE) {
        redis_command(reader->link, on_reader_reply, begin_reader_call(reader, callback, arg),
                      count, args);
    }
}

void reader_eval(struct reader *reader, struct redis_script *script, reader_callback callback,
                 void *arg, size_t keys, size_t count, const struct bytes *args)
{
    if (reader->problem == READER_FINE) {
        redis_eval(reader->link, script, on_reader_reply, begin_reader_call(reader, callback, arg),
                   keys, count, args);
    }
}

/* Scanning. */

struct key_scan {
    struct reader *reader;
    bool plain; /* SCAN: elements, no pairs */
    reader_item item;
    void *arg;
    char cursor[24];
};

static void on_keys_scanned(void *arg, const struct redis_reply *reply)
{
    struct key_scan *scan = arg;
    if (reply->type == REDIS_ERROR) { /* a key of another type has no elements */
        strcpy(scan->cursor, "0");
        return;
    }
    if (reply->type != REDIS_ARRAY || reply->count != 2 ||
        reply->elements[0]->text.len >= sizeof scan->cursor ||
        reply->elements[1]->type != REDIS_ARRAY) {
        reader_fail(scan->reader, READER_REFUSED, "the reply to a scan is malformed");
        return;
    }
    struct bytes cursor = reply->elements[0]->text;
    memcpy(scan->cursor, cursor.data, cursor.len);
    scan->cursor[cursor.len] = 0;
    const struct redis_reply *page = reply->elements[1];
    size_t step = scan->plain ? 1 : 2;
    for (size_t i = 0; i + step <= page->count; i += step) {
        scan->item(scan->arg, page->elements[i]->text,
                   scan->plain ? (struct bytes){0} : page->elements[i + 1]->text);
    }
}

bool reader_scan(struct reader *reader, const char *command, struct bytes key, const char *pattern,
                 reader_item item, void *arg)
{
    struct key_scan scan = {.reader = reader,
                            .plain = strcmp(command, "SCAN") == 0,
                            .item = item,
                            .arg = arg,
                            .cursor = "0"};
    do {
        struct bytes args[7];
        size_t count = 0;
        args[count++] = bytes_from_string(command);
        if (!scan.plain) {
            args[count++] = key;
        }
        args[count++] = bytes_from_string(scan.cursor);
        args[count++] = BYTES_LITERAL("COUNT");
        args[count++] = BYTES_LITERAL(SCAN_COUNT);
        if (pattern) {
            args[count++] = BYTES_LITERAL("MATCH");
            args[count++] = bytes_from_string(pattern);
        }
        reader_command(reader, on_keys_scanned, &scan, count, args);
    } while (reader_wait(reader) && strcmp(scan.cursor, "0") != 0);
    return reader->problem == READER_FINE;
}

/* Spaces and partitions. */

bool reader_each_space(struct reader *reader, const char *prefix, reader_item item, void *arg)
{
    char *key = keys_spaces(prefix);
    bool fine = reader_scan(reader, "HSCAN", bytes_from_string(key), NULL, item, arg);
    free(key);
    return fine;
}

struct partitions {
    struct bytes space;
    uint32_t count;
};

static void on_space_partitions(void *arg, struct bytes name, struct bytes value)
{
    struct partitions *partitions = arg;
    uint64_t count = bytes_decimal(value);
    if (bytes_equal(name, partitions->space) && count <= INT32_MAX) {
        partitions->count = (uint32_t)count;
    }
}

bool reader_read_partitions(struct reader *reader, const char *prefix, const char *space,
                            uint32_t *count)
{
    struct partitions partitions = {.space = bytes_from_string(space)};
    bool fine = reader_each_space(reader, prefix, on_space_partitions, &partitions);
    *count = partitions.count;
    return fine;
}

static void on_reader_time(void *arg, const struct redis_reply *reply)
{
    uint64_t *ms = arg;
    if (reply->type == REDIS_ARRAY && reply->count == 2) {
        *ms = bytes_decimal(reply->elements[0]->text) * 1000 +
              bytes_decimal(reply->elements[1]->text) / 1000;
    }
}

bool reader_read_time(struct reader *reader, uint64_t *ms)
{
    *ms = 0;
    reader_command(reader, on_reader_time, ms, 1, &BYTES_LITERAL("TIME"));
    return reader_wait(reader);
}

/* Keys. */

static void write_pattern_escaped(struct writer *pattern, const char *text)
{
    for (; *text; text++) {
        if (strchr("*?[]\\", *text)) {
            writer_u8(pattern, '\\');
        }
        writer_u8(pattern, (uint8_t)*text);
    }
}

bool reader_parse_key(const struct reader_space *space, struct bytes key, uint32_t *partition,
                      struct bytes *name)
{
    char *start = mem_format("%s:{%s/%u/", space->prefix, space->name, space->partitions);
    struct cursor cursor = cursor_over(key);
    bool ours = bytes_equal(cursor_take(&cursor, strlen(start)), bytes_from_string(start));
    uint64_t number = cursor_decimal(&cursor, '}');
    ours = ours && cursor_u8(&cursor) == ':' && !cursor.failed && number < space->partitions;
    free(start);
    *partition = (uint32_t)number;
    *name = cursor_take(&cursor, cursor_left(&cursor));
    return ours;
}

struct each_key {
    const struct reader_space *space;
    struct bytes kind;
    reader_key found;
    void *arg;
};

static void on_scanned_key(void *arg, struct bytes key, struct bytes nothing)
{
    struct each_key *each = arg;
    struct bytes name;
    uint32_t partition;
    if (!reader_parse_key(each->space, key, &partition, &name) || name.len < each->kind.len ||
        !bytes_equal((struct bytes){name.data, each->kind.len}, each->kind)) {
        return;
    }
    each->found(each->arg, partition, name);
}

bool reader_each_key(struct reader *reader, const struct reader_space *space, const char *kind,
                     reader_key found, void *arg)
{
    struct each_key each = {space, bytes_from_string(kind), found, arg};
    struct writer pattern = {0};
    write_pattern_escaped(&pattern, space->prefix);
    writer_format(&pattern, ":{%s/%u/*}:%s*", space->name, space->partitions, kind);
    writer_u8(&pattern, 0);
    bool fine = reader_scan(reader, "SCAN", (struct bytes){0}, (const char *)pattern.data,
                            on_scanned_key, &each);
    writer_free(&pattern);
    return fine;
}
