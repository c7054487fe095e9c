/* operate: requests to front-ends: ping, kick, send, drain, reload. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/mem.h"
#include "codec/json.h"
#include "front_ends.h"
#include "rows.h"
#include "schema/keys.h"

/* ping */

static bool ping_redis(struct ctl *ctl, uint64_t *taken_us)
{
    uint64_t started = clock_monotonic_us();
    reader_command(ctl->reader, NULL, NULL, 1, &BYTES_LITERAL("PING"));
    bool fine = reader_wait(ctl->reader);
    *taken_us = clock_monotonic_us() - started;
    return fine;
}

static const char *outcome_word(enum request_outcome outcome)
{
    static const char *const words[] = {[REQUEST_WAITS] = "no answer",
                                        [REQUEST_GONE] = "not there",
                                        [REQUEST_DONE] = "ok",
                                        [REQUEST_REFUSED] = "refused"};
    return words[outcome];
}

struct ping {
    struct ctl *ctl;
    const char *where;
    uint64_t redis_us;
    const struct front_ends *front_ends;
    const struct front_end_request *requests;
};

/* A request and its result. */
struct ping_row {
    const char *what;
    const char *id;
    const char *name;
    enum request_outcome outcome;
    uint64_t taken_us;
};

static void write_ping_what(const void *row, struct cell *cell)
{
    const struct ping_row *asked = row;
    cell_string(cell, asked->what);
}

static void write_ping_id(const void *row, struct cell *cell)
{
    const struct ping_row *asked = row;
    cell_text(cell, bytes_from_string(asked->id));
}

static void write_ping_name(const void *row, struct cell *cell)
{
    const struct ping_row *asked = row;
    cell_text(cell, bytes_from_string(asked->name));
}

static void write_ping_outcome(const void *row, struct cell *cell)
{
    const struct ping_row *asked = row;
    cell_string(cell, outcome_word(asked->outcome));
}

static void write_ping_taken(const void *row, struct cell *cell)
{
    const struct ping_row *asked = row;
    if (asked->outcome == REQUEST_DONE) {
        cell_round_trip(cell, asked->taken_us);
    }
}

static const struct column ping_columns[] = {
    {.heading = "WHAT", .write = write_ping_what},
    {.key = "node", .write = write_ping_id},
    {.heading = "NAME", .key = "name", .write = write_ping_name},
    {.heading = "RESULT", .key = "result", .write = write_ping_outcome},
    {.heading = "ROUND TRIP", .key = "ms", .write = write_ping_taken},
};

/* Redis is the first row of the table, and a separate member in JSON. */
static void add_redis(const struct ping *ping, struct rows *rows)
{
    if (!rows->is_json) {
        rows_add(rows, &(struct ping_row){.what = "redis",
                                          .name = ping->where,
                                          .outcome = REQUEST_DONE,
                                          .taken_us = ping->redis_us});
        return;
    }
    json_open(&rows->json, "redis", '{');
    json_string(&rows->json, "where", ping->where);
    json_ms(&rows->json, "ms", ping->redis_us);
    json_close(&rows->json, '}');
}

static void print_pings(const struct ping *ping)
{
    static const struct columns columns = COLUMNS(ping_columns);
    struct rows rows;
    rows_begin(&rows, &columns, ping->ctl->json, NULL);
    json_open(&rows.json, NULL, '{');
    add_redis(ping, &rows);
    json_open(&rows.json, "nodes", '[');
    for (size_t i = 0; i < ping->front_ends->count; i++) {
        rows_add(&rows, &(struct ping_row){.what = "front-end",
                                           .id = ping->front_ends->list[i].id,
                                           .name = ping->front_ends->list[i].name,
                                           .outcome = ping->requests[i].outcome,
                                           .taken_us = ping->requests[i].taken_us});
    }
    json_close(&rows.json, ']');
    json_close(&rows.json, '}');
    rows_print(&rows);
    rows_free(&rows);
}

static enum ctl_exit outcome_exit(enum request_outcome outcome)
{
    static const enum ctl_exit exits[] = {[REQUEST_WAITS] = CTL_LATE,
                                          [REQUEST_GONE] = CTL_UNREACHABLE,
                                          [REQUEST_DONE] = CTL_OK,
                                          [REQUEST_REFUSED] = CTL_NO};
    return exits[outcome];
}

static enum ctl_exit ping_all(struct ctl *ctl, const struct front_ends *front_ends)
{
    struct ping ping = {.ctl = ctl, .front_ends = front_ends};
    struct front_end_request *requests = mem_zalloc(front_ends->count, sizeof *requests);
    enum ctl_exit result = CTL_OK;
    for (size_t i = 0; i < front_ends->count; i++) {
        requests[i].node = front_ends->list[i].id;
    }
    if (!ping_redis(ctl, &ping.redis_us)) {
        result = ctl_check(ctl);
    } else if (front_ends->count > 0) {
        result = requests_run(ctl, requests, front_ends->count, "ping", (struct bytes){0});
    }
    if (result == CTL_OK) {
        char *where = redis_target_describe(&ctl->target);
        ping.where = where;
        ping.requests = requests;
        print_pings(&ping);
        free(where);
        for (size_t i = 0; i < front_ends->count; i++) {
            result = ctl_worse(result, outcome_exit(requests[i].outcome));
        }
    }
    requests_free(requests, front_ends->count);
    free(requests);
    return result;
}

enum ctl_exit command_ping(struct ctl *ctl, int count, char **arguments)
{
    struct front_ends front_ends;
    enum ctl_exit result = ctl_connect(ctl);
    if (result != CTL_OK) {
        return result;
    }
    result = front_ends_read(ctl, &front_ends);
    if (result == CTL_OK) {
        result = ping_all(ctl, &front_ends);
    }
    front_ends_free(&front_ends);
    return result;
}

/* One request to one front-end. */

static void print_answer(const struct ctl *ctl, const struct front_end *front_end,
                         struct bytes text)
{
    struct writer line = {0};
    if (ctl->json) {
        json_open(&line, NULL, '{');
        json_bytes(&line, "node", bytes_from_string(front_end->id));
        json_string(&line, "name", front_end->name);
        json_bytes(&line, "answer", text);
        json_close(&line, '}');
    } else if (text.len > 0) {
        output_shown(&line, text);
    } else {
        writer_string(&line, "done");
    }
    json_print(&line);
    writer_free(&line);
}

static enum ctl_exit request_front_end(struct ctl *ctl, const struct front_end *front_end,
                                       const char *verb, struct bytes argument)
{
    struct front_end_request request = {.node = front_end->id};
    enum ctl_exit result = requests_run(ctl, &request, 1, verb, argument);
    if (result == CTL_OK) {
        result = request_check(&request, front_end->name);
    }
    if (result == CTL_OK) {
        print_answer(ctl, front_end, request.text);
    }
    requests_free(&request, 1);
    return result;
}

static enum ctl_exit request_from_named(struct ctl *ctl, const char *name, const char *verb)
{
    struct front_ends front_ends;
    enum ctl_exit result = ctl_connect(ctl);
    if (result != CTL_OK) {
        return result;
    }
    result = front_ends_read(ctl, &front_ends);
    if (result == CTL_OK) {
        const struct front_end *front_end = front_ends_find(&front_ends, name);
        result = front_end ? request_front_end(ctl, front_end, verb, (struct bytes){0}) : CTL_NO;
    }
    front_ends_free(&front_ends);
    return result;
}

enum ctl_exit command_drain(struct ctl *ctl, int count, char **arguments)
{
    return request_from_named(ctl, arguments[0], "drain");
}

enum ctl_exit command_reload(struct ctl *ctl, int count, char **arguments)
{
    return request_from_named(ctl, arguments[0], "reload");
}

/* kick, send: requests to the front-end that owns an entry. */

static void on_string_field(void *arg, const struct redis_reply *reply)
{
    struct bytes *value = arg;
    if (reply->type == REDIS_STRING) {
        *value = (struct bytes){mem_dup(reply->text.data, reply->text.len), reply->text.len};
    }
}

/* A field of an entry: data NULL when there is no entry. `node` is the front-end that owns it,
 * empty for an orphan. The caller frees data. */
static struct bytes read_field(struct ctl *ctl, const struct reader_space *space, struct bytes id,
                               const char *name)
{
    struct bytes value = {0};
    struct writer key = {0};
    char *prefix = keys_partition_prefix(space->prefix, space->name, space->partitions,
                                         shard_of(id, space->partitions));
    struct bytes args[] = {BYTES_LITERAL("HGET"), keys_write(&key, prefix, "client:", id),
                           bytes_from_string(name)};
    reader_command(ctl->reader, on_string_field, &value, 3, args);
    (void)reader_wait(ctl->reader);
    writer_free(&key);
    free(prefix);
    return value;
}

static enum ctl_exit request_from_front_end(struct ctl *ctl, struct bytes node, const char *verb,
                                            struct bytes argument)
{
    struct front_ends front_ends;
    struct front_end unlisted = {.id = (char *)(uintptr_t)node.data,
                                 .name = (char *)(uintptr_t)node.data};
    enum ctl_exit result = front_ends_read(ctl, &front_ends);
    if (result == CTL_OK) {
        const struct front_end *front_end = front_ends_find_id(&front_ends, node);
        result = request_front_end(ctl, front_end ? front_end : &unlisted, verb, argument);
    }
    front_ends_free(&front_ends);
    return result;
}

/* Sends "<space> <id>" and the rest of the argument to the front-end that owns the entry. */
static enum ctl_exit request_from_owner(struct ctl *ctl, const char *verb, struct bytes id,
                                        const char *further)
{
    struct reader_space space;
    enum ctl_exit result = ctl_connect_space(ctl, &space);
    if (result != CTL_OK) {
        return result;
    }
    struct bytes node = read_field(ctl, &space, id, "node");
    result = ctl_check(ctl);
    if (result == CTL_OK && node.len > 0) {
        struct writer argument = {0};
        writer_format(&argument, "%s ", space.name);
        writer_bytes(&argument, id);
        if (further) {
            writer_format(&argument, " %s", further);
        }
        result = request_from_front_end(ctl, node, verb, writer_bytes_written(&argument));
        writer_free(&argument);
    } else if (result == CTL_OK) {
        ctl_complain(node.data ? "the entry is an orphan: it has no connection"
                               : "there is no such entry");
        result = CTL_NO;
    }
    free((void *)(uintptr_t)node.data);
    return result;
}

/* Ends the connection, which closes its entries; with --for its client's address is banned first.
 */
static enum ctl_exit kick_and_ban(struct ctl *ctl, struct bytes id)
{
    struct reader_space space;
    enum ctl_exit result = ctl_connect_space(ctl, &space);
    if (result != CTL_OK) {
        return result;
    }
    struct bytes address = read_field(ctl, &space, id, "address");
    result = ctl_check(ctl);
    if (result == CTL_OK) {
        result = request_from_owner(ctl, "kick", id, NULL);
    }
    if (address.data && (result == CTL_OK || result == CTL_NO)) {
        result = bans_add_client(ctl, address); /* also of an orphan, whose client may return */
    }
    free((void *)(uintptr_t)address.data);
    return result;
}

enum ctl_exit command_kick(struct ctl *ctl, int count, char **arguments)
{
    struct bytes id;
    if (!ctl_id(ctl, arguments[0], &id)) {
        return CTL_USAGE;
    }
    enum ctl_exit result =
        ctl->for_ms > 0 ? kick_and_ban(ctl, id) : request_from_owner(ctl, "kick", id, NULL);
    ctl_argument_free(&id);
    return result;
}

static bool is_json_packet(const char *text)
{
    static const struct json_limits limits = JSON_LIMITS_DEFAULT;
    struct json_error error = {0};
    struct json_document *document = json_document_parse(bytes_from_string(text), &limits, &error);
    if (!document) {
        ctl_complain("the packet is not valid JSON: %s", error.text);
        return false;
    }
    json_document_free(&document);
    return true;
}

enum ctl_exit command_send(struct ctl *ctl, int count, char **arguments)
{
    enum ctl_exit result = CTL_USAGE;
    struct bytes id;
    if (!ctl_id(ctl, arguments[0], &id)) {
        return CTL_USAGE;
    }
    if (memchr(id.data, ' ', id.len)) {
        ctl_complain("the id contains a space: packets cannot be sent to it");
    } else if (is_json_packet(arguments[1])) {
        result = request_from_owner(ctl, "send", id, arguments[1]);
    }
    ctl_argument_free(&id);
    return result;
}
