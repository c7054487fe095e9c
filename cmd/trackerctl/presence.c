/*
 * presence: the status of users, and with --watch each change.
 *
 * Each message about a user makes the command read the user's hash again, so that it always prints
 * what is stored.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/mem.h"
#include "ctl.h"
#include "entries.h"
#include "map/session.h"
#include "rows.h"
#include "schema/event.h"
#include "schema/fields.h"
#include "schema/keys.h"
#include "stream.h"

#define ITERATION_MS 1000

struct presence_user {
    struct presence *presence;
    struct bytes name;
    uint32_t partition;
    struct writer devices; /* fields: id and status (schema/event.h) */
    enum map_status status;
    enum map_status printed;
    bool was_printed;
    bool is_due;   /* a message has arrived since the hash was last read */
    bool is_asked; /* its reply is to be printed */
};

struct presence {
    struct ctl *ctl;
    struct reader_space space;
    struct presence_user *users;
    size_t count;
    struct redis_subscriber *subscriber;
    size_t subscribed;
    bool complete;
};

/* The key of a user; the caller frees. */
static struct bytes user_key(const struct presence_user *user, const char *kind, struct writer *key)
{
    const struct reader_space *space = &user->presence->space;
    char *prefix =
        keys_partition_prefix(space->prefix, space->name, space->partitions, user->partition);
    struct bytes text = keys_write(key, prefix, kind, user->name);
    free(prefix);
    return text;
}

/* The user's channel; the caller frees. */
static struct bytes channel_of_user(const struct presence_user *user, struct writer *name)
{
    const struct reader_space *space = &user->presence->space;
    char *prefix =
        keys_partition_prefix(space->prefix, space->name, space->partitions, user->partition);
    char *channels = keys_partition_channels(prefix, user->presence->ctl->target.database);
    struct bytes text = keys_write(name, channels, "presence:", user->name);
    free(channels);
    free(prefix);
    return text;
}

static void raise_user_status(struct presence_user *user, enum map_status status)
{
    if (status > user->status) {
        user->status = status;
    }
}

static void on_user(void *arg, const struct redis_reply *reply)
{
    struct presence_user *user = arg;
    enum map_status status;
    for (size_t i = 0; reply->type == REDIS_ARRAY && i + 1 < reply->count; i += 2) {
        struct bytes field = reply->elements[i]->text, value = reply->elements[i + 1]->text;
        if (bytes_equal(field, BYTES_LITERAL(".status")) && map_status_read(value, &status)) {
            raise_user_status(user, status);
        } else if (field.len > 0 && field.data[0] != '.') {
            fields_write(&user->devices, field, value);
        }
    }
}

/* The id may be that of an entry that is no user's device. */
static void on_entry(void *arg, const struct redis_reply *reply)
{
    if (reply->type == REDIS_ARRAY && reply->count == 2 &&
        reply->elements[0]->type == REDIS_STRING && reply->elements[1]->type == REDIS_NIL) {
        raise_user_status(arg, MAP_ONLINE);
    }
}

static void read_user_presence(struct presence_user *user)
{
    struct reader *reader = user->presence->ctl->reader;
    struct writer key = {0};
    writer_reset(&user->devices);
    user->status = MAP_OFFLINE;
    struct bytes args[4] = {BYTES_LITERAL("HGETALL"), user_key(user, "user:", &key)};
    reader_command(reader, on_user, user, 2, args);
    writer_reset(&key);
    args[0] = BYTES_LITERAL("HMGET");
    args[1] = user_key(user, "client:", &key);
    args[2] = BYTES_LITERAL("node");
    args[3] = BYTES_LITERAL("user");
    reader_command(reader, on_entry, user, 4, args);
    writer_free(&key);
}

/* Once. */

static void write_user_name(const void *row, struct cell *cell)
{
    const struct presence_user *user = row;
    cell_text(cell, user->name);
}

static void write_user_partition(const void *row, struct cell *cell)
{
    const struct presence_user *user = row;
    cell_number(cell, user->partition);
}

static void write_user_status(const void *row, struct cell *cell)
{
    const struct presence_user *user = row;
    cell_string(cell, map_status_name(user->status));
}

static void write_user_devices_json(struct writer *json, const char *key, struct bytes devices)
{
    struct bytes id, status;
    json_open(json, key, '[');
    while (event_field(&devices, &id, &status)) {
        json_open(json, NULL, '{');
        json_bytes(json, "id", id);
        json_bytes(json, "status", status);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void write_user_devices(const void *row, struct cell *cell)
{
    const struct presence_user *user = row;
    struct bytes devices = writer_bytes_written(&user->devices), id, status;
    if (cell->json) {
        write_user_devices_json(cell->json, cell->column->key, devices);
        return;
    }
    while (event_field(&devices, &id, &status)) {
        cell_string(cell, cell->shown->len > 0 ? " " : "");
        cell_text(cell, id);
        cell_string(cell, "=");
        cell_text(cell, status);
    }
}

static const struct column user_columns[] = {
    {.heading = "USER", .key = "user", .write = write_user_name},
    {.key = "partition", .write = write_user_partition},
    {.heading = "STATUS", .key = "status", .write = write_user_status},
    {.heading = "DEVICES", .key = "devices", .write = write_user_devices},
};
static const struct columns columns = COLUMNS(user_columns);

static enum ctl_exit print_users_once(struct presence *presence)
{
    for (size_t i = 0; i < presence->count; i++) {
        read_user_presence(&presence->users[i]);
    }
    if (!reader_wait(presence->ctl->reader)) {
        return ctl_check(presence->ctl);
    }
    struct rows rows;
    rows_begin(&rows, &columns, presence->ctl->json, NULL);
    json_open(&rows.json, NULL, '{');
    json_string(&rows.json, "space", presence->space.name);
    json_open(&rows.json, "users", '[');
    for (size_t i = 0; i < presence->count; i++) {
        rows_add(&rows, &presence->users[i]);
    }
    json_close(&rows.json, ']');
    json_close(&rows.json, '}');
    rows_print(&rows);
    rows_free(&rows);
    return CTL_OK;
}

/* Until a signal. */

static void note_due(struct presence *presence, struct bytes channel)
{
    for (size_t i = 0; i < presence->count; i++) {
        struct writer key = {0};
        struct presence_user *user = &presence->users[i];
        if (bytes_equal(channel, channel_of_user(user, &key))) {
            user->is_due = true;
        }
        writer_free(&key);
    }
}

static void on_user_subscribed(void *arg, struct bytes channel)
{
    struct presence *presence = arg;
    note_due(presence, channel);
    presence->complete = ++presence->subscribed >= presence->count || presence->complete;
}

static void on_message(void *arg, struct bytes channel, struct bytes message)
{
    note_due(arg, channel);
}

static void on_up(void *arg)
{
}

static void on_presence_stream_down(void *arg)
{
    struct presence *presence = arg;
    if (presence->complete) {
        ctl_note(presence->ctl, "the connection to Redis was lost");
    }
}

static const struct redis_subscriber_callbacks callbacks = {.subscribed = on_user_subscribed,
                                                            .message = on_message,
                                                            .up = on_up,
                                                            .down = on_presence_stream_down};

static void print_user_change(struct presence_user *user)
{
    struct writer line = {0};
    if (user->was_printed && user->status == user->printed) {
        return;
    }
    user->was_printed = true;
    user->printed = user->status;
    if (user->presence->ctl->json) {
        json_open(&line, NULL, '{');
        json_number(&line, "time", (int64_t)(clock_wall_us() / 1000));
        columns_write_members(&columns, user, NULL, &line);
        json_close(&line, '}');
    } else {
        stream_write_time(&line);
        writer_u8(&line, ' ');
        output_shown(&line, user->name);
        writer_format(&line, " %s", map_status_name(user->status));
    }
    json_print(&line);
    writer_free(&line);
}

static bool print_due(struct presence *presence)
{
    struct ctl *ctl = presence->ctl;
    bool any = false;
    for (size_t i = 0; i < presence->count; i++) {
        struct presence_user *user = &presence->users[i];
        user->is_asked = user->is_due;
        user->is_due = false;
        if (user->is_asked) {
            read_user_presence(user);
        }
    }
    /* A message during the read may be newer than the reply: read again. */
    if (!reader_wait(ctl->reader)) {
        return false;
    }
    for (size_t i = 0; i < presence->count; i++) {
        struct presence_user *user = &presence->users[i];
        any = any || user->is_asked;
        if (user->is_asked) {
            print_user_change(user);
        }
    }
    return !any || ctl_flush(ctl);
}

/* The connection for reading is lost: everything is read again on a new one. */
static bool read_users_again(struct presence *presence)
{
    struct ctl *ctl = presence->ctl;
    while (!ctl->stopped && !ctl_reconnect(ctl)) {
        loop_iterate(ctl->loop, ITERATION_MS);
    }
    for (size_t i = 0; i < presence->count; i++) {
        presence->users[i].is_due = true;
    }
    return !ctl->stopped;
}

static bool has_due(const struct presence *presence)
{
    for (size_t i = 0; i < presence->count; i++) {
        if (presence->users[i].is_due) {
            return true;
        }
    }
    return false;
}

static void follow_users(struct presence *presence)
{
    struct ctl *ctl = presence->ctl;
    while (!ctl->stopped) {
        if (!print_due(presence) && !ctl->stopped && reader_problem(ctl->reader) != READER_FINE &&
            !read_users_again(presence)) {
            return;
        }
        if (!ctl->stopped && !has_due(presence)) {
            loop_iterate(ctl->loop, ITERATION_MS);
        }
    }
}

static enum ctl_exit print_changes(struct presence *presence)
{
    struct ctl *ctl = presence->ctl;
    ctl_listen_for_signals(ctl);
    presence->subscriber = redis_subscriber_create(ctl->loop, "presence", &ctl->target, &ctl->redis,
                                                   &callbacks, presence);
    for (size_t i = 0; i < presence->count; i++) {
        struct writer key = {0};
        redis_subscribe(presence->subscriber, channel_of_user(&presence->users[i], &key));
        writer_free(&key);
    }
    enum ctl_exit result = CTL_OK;
    if (!reader_wait_for(ctl->reader, &presence->complete)) {
        result = ctl->stopped ? CTL_OK : ctl_check(ctl);
    } else {
        ctl_note(ctl, "listening");
        follow_users(presence);
    }
    redis_subscriber_destroy(&presence->subscriber);
    return result;
}

/* Each name once. */
static bool take_names(struct presence *presence, int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        struct presence_user *user = &presence->users[presence->count];
        bool known = false;
        if (!ctl_id(presence->ctl, arguments[i], &user->name)) {
            return false;
        }
        for (size_t j = 0; j < presence->count; j++) {
            known = known || bytes_equal(user->name, presence->users[j].name);
        }
        if (known) {
            ctl_argument_free(&user->name);
            continue;
        }
        user->presence = presence;
        presence->count++;
    }
    return true;
}

enum ctl_exit command_presence(struct ctl *ctl, int count, char **arguments)
{
    struct presence presence = {.ctl = ctl};
    enum ctl_exit result = CTL_USAGE;
    presence.users = mem_zalloc((size_t)count + 1, sizeof *presence.users);
    if (take_names(&presence, count, arguments)) {
        result = ctl_connect_space(ctl, &presence.space);
    }
    for (size_t i = 0; i < presence.count && result == CTL_OK; i++) {
        presence.users[i].partition = shard_of(presence.users[i].name, presence.space.partitions);
    }
    if (result == CTL_OK) {
        result = ctl->watch ? print_changes(&presence) : print_users_once(&presence);
    }
    for (size_t i = 0; i < presence.count; i++) {
        ctl_argument_free(&presence.users[i].name);
        writer_free(&presence.users[i].devices);
    }
    free(presence.users);
    return result;
}
