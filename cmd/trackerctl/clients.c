/* clients: the entries of a space, or one of them; and where an id belongs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "ctl.h"
#include "entries.h"
#include "front_ends.h"
#include "rows.h"
#include "schema/event.h"
#include "schema/fields.h"
#include "schema/keys.h"

#define UNDER_WAY 2000 /* commands */

struct client_row {
    uint32_t partition;
    struct bytes id;
    struct writer body; /* its fields (schema/event.h); empty: it does not exist any more */
    int64_t ttl_ms;
    int64_t deadline; /* ms since the epoch; 0: none */
};

struct clients {
    struct ctl *ctl;
    struct reader_space space;
    struct client_row *list;
    size_t count, capacity;
};

static void on_client_key(void *arg, uint32_t partition, struct bytes name)
{
    struct clients *clients = arg;
    struct bytes id = {name.data + 7, name.len - 7}; /* "client:" */
    if (clients->count == clients->capacity) {
        clients->capacity = clients->capacity ? clients->capacity * 2 : 256;
        clients->list = mem_realloc(clients->list, clients->capacity * sizeof *clients->list);
    }
    clients->list[clients->count++] =
        (struct client_row){.partition = partition, .id = {mem_dup(id.data, id.len), id.len}};
}

static int compare_clients(const void *a, const void *b)
{
    return bytes_compare(((const struct client_row *)a)->id, ((const struct client_row *)b)->id);
}

static void client_free(struct client_row *client)
{
    free((void *)(uintptr_t)client->id.data);
    writer_free(&client->body);
}

/* In order, each once: a scan may return a key twice. */
static void sort_clients(struct clients *clients)
{
    size_t kept = 0;
    if (clients->count == 0) {
        return;
    }
    qsort(clients->list, clients->count, sizeof *clients->list, compare_clients);
    for (size_t i = 0; i < clients->count; i++) {
        if (kept > 0 && compare_clients(&clients->list[kept - 1], &clients->list[i]) == 0) {
            client_free(&clients->list[i]);
        } else {
            clients->list[kept++] = clients->list[i];
        }
    }
    clients->count = kept;
}

static void on_client_fields(void *arg, const struct redis_reply *reply)
{
    struct client_row *client = arg;
    for (size_t i = 0; reply->type == REDIS_ARRAY && i + 1 < reply->count; i += 2) {
        fields_write(&client->body, reply->elements[i]->text, reply->elements[i + 1]->text);
    }
}

static void on_ttl(void *arg, const struct redis_reply *reply)
{
    struct client_row *client = arg;
    client->ttl_ms = reply->type == REDIS_INTEGER ? reply->integer : -1;
}

static void on_client_deadline(void *arg, const struct redis_reply *reply)
{
    struct client_row *client = arg;
    if (reply->type == REDIS_STRING) {
        char *text = mem_dup(reply->text.data, reply->text.len);
        client->deadline = (int64_t)strtod(text, NULL);
        free(text);
    }
}

static void read_client(struct ctl *ctl, const struct reader_space *space,
                        struct client_row *client)
{
    struct writer key = {0};
    char *prefix =
        keys_partition_prefix(space->prefix, space->name, space->partitions, client->partition);
    struct bytes args[] = {BYTES_LITERAL("HGETALL"),
                           keys_write(&key, prefix, "client:", client->id)};
    reader_command(ctl->reader, on_client_fields, client, 2, args);
    args[0] = BYTES_LITERAL("PTTL");
    reader_command(ctl->reader, on_ttl, client, 2, args);
    writer_free(&key);
    free(prefix);
}

static bool read_clients(struct clients *clients)
{
    struct reader *reader = clients->ctl->reader;
    if (!reader_each_key(reader, &clients->space, "client:", on_client_key, clients)) {
        return false;
    }
    sort_clients(clients);
    for (size_t i = 0; i < clients->count; i++) {
        read_client(clients->ctl, &clients->space, &clients->list[i]);
        if (!reader_wait_below(reader, UNDER_WAY)) {
            return false;
        }
    }
    return reader_wait(reader);
}

static void write_client_id(const void *row, struct cell *cell)
{
    const struct client_row *client = row;
    cell_text(cell, client->id);
}

static void write_client_partition(const void *row, struct cell *cell)
{
    const struct client_row *client = row;
    cell_number(cell, client->partition);
}

static void write_client_ttl(const void *row, struct cell *cell)
{
    const struct client_row *client = row;
    if (client->ttl_ms < 0) {
        cell_none(cell, "none");
    } else {
        cell_duration(cell, (uint64_t)client->ttl_ms);
    }
}

static void write_client_deadline(const void *row, struct cell *cell)
{
    const struct client_row *client = row;
    if (client->deadline) {
        cell_number(cell, (uint64_t)client->deadline);
    }
}

static void write_client_all_fields(const void *row, struct cell *cell)
{
    const struct client_row *client = row;
    entries_write_json(cell->json, writer_bytes_written(&client->body));
}

/* The field that the column names. */
static void write_client_field(const void *row, struct cell *cell)
{
    const struct client_row *client = row;
    cell_text(cell, event_field_find(writer_bytes_written(&client->body), cell->column->argument));
}

/* The name of its front-end. */
static void write_client_node(const void *row, struct cell *cell)
{
    const struct client_row *client = row;
    struct bytes id = event_field_find(writer_bytes_written(&client->body), "node");
    const struct front_end *front_end = front_ends_find_id(cell->context, id);
    cell_text(cell, front_end ? bytes_from_string(front_end->name) : id);
}

static const struct column client_columns[] = {
    {.heading = "ID", .key = "id", .write = write_client_id},
    {.key = "partition", .write = write_client_partition},
    {.key = "ttl_ms", .write = write_client_ttl},
    {.key = "deadline", .write = write_client_deadline},
    {.key = "", .write = write_client_all_fields},
    {.heading = "VERSION", .write = write_client_field, .argument = "version"},
    {.heading = "PROTOCOL", .write = write_client_field, .argument = "protocol"},
    {.heading = "NODE", .write = write_client_node},
    {.heading = "ADDRESS", .write = write_client_field, .argument = "address"},
    {.heading = "USER", .write = write_client_field, .argument = "user"},
    {.heading = "STATUS", .write = write_client_field, .argument = "status"},
    {.heading = "TTL", .write = write_client_ttl},
    {.heading = "STATE", .write = write_client_field, .argument = "state"},
};
static const struct columns columns = COLUMNS(client_columns);

/* front_ends: for the table. */
static void print_clients(const struct clients *clients, const struct front_ends *front_ends)
{
    struct rows rows;
    rows_begin(&rows, &columns, clients->ctl->json, front_ends);
    json_open(&rows.json, NULL, '{');
    json_string(&rows.json, "space", clients->space.name);
    json_number(&rows.json, "partitions", clients->space.partitions);
    json_open(&rows.json, "clients", '[');
    for (size_t i = 0; i < clients->count; i++) {
        if (clients->list[i].body.len > 0) {
            rows_add(&rows, &clients->list[i]);
        }
    }
    json_close(&rows.json, ']');
    json_close(&rows.json, '}');
    rows_print(&rows);
    rows_free(&rows);
}

enum ctl_exit command_clients(struct ctl *ctl, int count, char **arguments)
{
    struct clients clients = {.ctl = ctl};
    struct front_ends front_ends = {0};
    if (ctl->watch) {
        return watch_clients(ctl);
    }
    enum ctl_exit result = ctl_connect_space(ctl, &clients.space);
    if (result == CTL_OK && !read_clients(&clients)) {
        result = ctl_check(ctl);
    }
    if (result == CTL_OK && !ctl->json) {
        result = front_ends_read(ctl, &front_ends);
    }
    if (result == CTL_OK) {
        print_clients(&clients, &front_ends);
    }
    front_ends_free(&front_ends);
    for (size_t i = 0; i < clients.count; i++) {
        client_free(&clients.list[i]);
    }
    free(clients.list);
    return result;
}

/* get */

static void request_deadline(struct ctl *ctl, const struct reader_space *space,
                             struct client_row *client)
{
    struct writer member = {0};
    char *prefix =
        keys_partition_prefix(space->prefix, space->name, space->partitions, client->partition);
    char *key = mem_format("%sdeadlines", prefix);
    writer_string(&member, "c:");
    writer_bytes(&member, client->id);
    struct bytes args[] = {BYTES_LITERAL("ZSCORE"), bytes_from_string(key),
                           writer_bytes_written(&member)};
    reader_command(ctl->reader, on_client_deadline, client, 3, args);
    writer_free(&member);
    free(key);
    free(prefix);
}

static void print_pair(const char *name, char *value)
{
    printf("%-12s %s\n", name, value);
    free(value);
}

static void print_fields(const struct client_row *client)
{
    struct bytes body = writer_bytes_written(&client->body), field, value;
    while (event_field(&body, &field, &value)) {
        if (bytes_equal(field, BYTES_LITERAL("session"))) {
            continue;
        }
        char *name = output_shown_string(field);
        print_pair(name, output_shown_string(value));
        free(name);
    }
}

static void print_client(const struct client_row *client, uint64_t now)
{
    print_pair("id", output_shown_string(client->id));
    print_pair("partition", mem_format("%u", client->partition));
    print_fields(client);
    if (client->ttl_ms >= 0) {
        print_pair("ttl", output_duration((uint64_t)client->ttl_ms));
    }
    if (client->deadline) {
        print_pair("closes in", output_duration(client->deadline > (int64_t)now
                                                    ? (uint64_t)client->deadline - now
                                                    : 0));
    }
}

static enum ctl_exit read_and_print_client(struct ctl *ctl, const struct reader_space *space,
                                           struct client_row *client)
{
    uint64_t now;
    read_client(ctl, space, client);
    request_deadline(ctl, space, client);
    (void)reader_read_time(ctl->reader, &now);
    enum ctl_exit result = ctl_check(ctl);
    if (result != CTL_OK) {
        return result;
    }
    if (client->body.len == 0) {
        ctl_complain("there is no entry \"%.*s\" in space %s", (int)client->id.len,
                     (const char *)client->id.data, space->name);
        return CTL_NO;
    }
    if (ctl->json) {
        struct writer json = {0};
        columns_write_object(&columns, client, NULL, &json);
        json_print(&json);
        writer_free(&json);
    } else {
        print_client(client, now);
    }
    return CTL_OK;
}

enum ctl_exit command_get(struct ctl *ctl, int count, char **arguments)
{
    struct reader_space space;
    struct client_row client = {0};
    if (!ctl_id(ctl, arguments[0], &client.id)) {
        return CTL_USAGE;
    }
    enum ctl_exit result = ctl_connect_space(ctl, &space);
    if (result == CTL_OK) {
        client.partition = shard_of(client.id, space.partitions);
        result = read_and_print_client(ctl, &space, &client);
    }
    client_free(&client);
    return result;
}

/* shard */

enum ctl_exit command_shard(struct ctl *ctl, int count, char **arguments)
{
    struct reader_space space;
    struct bytes id;
    if (!ctl_id(ctl, arguments[0], &id)) {
        return CTL_USAGE;
    }
    enum ctl_exit result = ctl_connect_space(ctl, &space);
    if (result == CTL_OK && ctl->json) {
        struct writer json = {0};
        json_open(&json, NULL, '{');
        json_bytes(&json, "id", id);
        json_string(&json, "space", space.name);
        json_number(&json, "partitions", space.partitions);
        json_number(&json, "shard", shard_of(id, space.partitions));
        json_close(&json, '}');
        json_print(&json);
        writer_free(&json);
    } else if (result == CTL_OK) {
        printf("%u of %u\n", shard_of(id, space.partitions), space.partitions);
    }
    ctl_argument_free(&id);
    return result;
}
