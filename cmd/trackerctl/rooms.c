/* rooms, room: the rooms of a space, and the members of one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "ctl.h"
#include "front_ends.h"
#include "rows.h"
#include "schema/keys.h"

#define UNDER_WAY 2000 /* commands */

/* rooms */

struct room_row {
    uint32_t partition;
    struct bytes name;
    bool exists;
    uint64_t members;
    uint64_t seq;
};

struct rooms {
    struct ctl *ctl;
    struct reader_space space;
    struct room_row *list;
    size_t count, capacity;
};

static void on_room_key(void *arg, uint32_t partition, struct bytes name)
{
    struct rooms *rooms = arg;
    struct bytes room = {name.data + 5, name.len - 5}; /* "room:" */
    if (rooms->count == rooms->capacity) {
        rooms->capacity = rooms->capacity ? rooms->capacity * 2 : 64;
        rooms->list = mem_realloc(rooms->list, rooms->capacity * sizeof *rooms->list);
    }
    rooms->list[rooms->count++] =
        (struct room_row){.partition = partition, .name = {mem_dup(room.data, room.len), room.len}};
}

static int compare_rooms(const void *a, const void *b)
{
    return bytes_compare(((const struct room_row *)a)->name, ((const struct room_row *)b)->name);
}

/* A scan may return a key twice: both are next to each other in the order, with the same reply. */
static bool is_again(const struct rooms *rooms, size_t index)
{
    return index > 0 && compare_rooms(&rooms->list[index - 1], &rooms->list[index]) == 0;
}

static void on_counts(void *arg, const struct redis_reply *reply)
{
    struct room_row *room = arg;
    if (reply->type != REDIS_ARRAY || reply->count != 2 ||
        reply->elements[0]->type != REDIS_STRING) {
        return;
    }
    room->exists = true;
    room->members = bytes_decimal(reply->elements[0]->text);
    room->seq = bytes_decimal(reply->elements[1]->text);
}

static void write_room_key(struct writer *key, const struct reader_space *space, uint32_t partition,
                           struct bytes name)
{
    char *prefix = keys_partition_prefix(space->prefix, space->name, space->partitions, partition);
    keys_write(key, prefix, "room:", name);
    free(prefix);
}

static bool read_rooms(struct rooms *rooms)
{
    struct reader *reader = rooms->ctl->reader;
    if (!reader_each_key(reader, &rooms->space, "room:", on_room_key, rooms)) {
        return false;
    }
    if (rooms->count > 0) {
        qsort(rooms->list, rooms->count, sizeof *rooms->list, compare_rooms);
    }
    for (size_t i = 0; i < rooms->count; i++) {
        struct writer key = {0};
        write_room_key(&key, &rooms->space, rooms->list[i].partition, rooms->list[i].name);
        struct bytes args[] = {BYTES_LITERAL("HMGET"), writer_bytes_written(&key),
                               BYTES_LITERAL(".members"), BYTES_LITERAL(".seq")};
        reader_command(reader, on_counts, &rooms->list[i], 4, args);
        writer_free(&key);
        if (!reader_wait_below(reader, UNDER_WAY)) {
            return false;
        }
    }
    return reader_wait(reader);
}

static void write_room_name(const void *row, struct cell *cell)
{
    const struct room_row *room = row;
    cell_text(cell, room->name);
}

static void write_room_partition(const void *row, struct cell *cell)
{
    const struct room_row *room = row;
    cell_number(cell, room->partition);
}

static void write_room_members(const void *row, struct cell *cell)
{
    const struct room_row *room = row;
    cell_number(cell, room->members);
}

static void write_room_seq(const void *row, struct cell *cell)
{
    const struct room_row *room = row;
    cell_number(cell, room->seq);
}

static const struct column room_columns[] = {
    {.heading = "ROOM", .key = "room", .write = write_room_name},
    {.key = "partition", .write = write_room_partition},
    {.heading = "MEMBERS", .key = "members", .write = write_room_members},
    {.heading = "MESSAGES", .key = "seq", .write = write_room_seq},
};

static void print_rooms(const struct rooms *rooms)
{
    static const struct columns columns = COLUMNS(room_columns);
    struct rows rows;
    rows_begin(&rows, &columns, rooms->ctl->json, NULL);
    json_open(&rows.json, NULL, '{');
    json_string(&rows.json, "space", rooms->space.name);
    json_open(&rows.json, "rooms", '[');
    for (size_t i = 0; i < rooms->count; i++) {
        if (rooms->list[i].exists && !is_again(rooms, i)) {
            rows_add(&rows, &rooms->list[i]);
        }
    }
    json_close(&rows.json, ']');
    json_close(&rows.json, '}');
    rows_print(&rows);
    rows_free(&rows);
}

enum ctl_exit command_rooms(struct ctl *ctl, int count, char **arguments)
{
    struct rooms rooms = {.ctl = ctl};
    enum ctl_exit result = ctl_connect_space(ctl, &rooms.space);
    if (result == CTL_OK && !read_rooms(&rooms)) {
        result = ctl_check(ctl);
    }
    if (result == CTL_OK) {
        print_rooms(&rooms);
    }
    for (size_t i = 0; i < rooms.count; i++) {
        free((void *)(uintptr_t)rooms.list[i].name.data);
    }
    free(rooms.list);
    return result;
}

/* room */

struct room_row_member {
    struct bytes id, node, said, user; /* id and the text of its field: "<node> <said> <user>" */
};

struct room_listing_row {
    struct bytes name;
    uint32_t partition;
    struct room_row_member *list;
    size_t count;
    uint64_t seq, born;
    bool exists;
};

static void add_member(struct room_listing_row *listing, struct bytes id, struct bytes text)
{
    struct bytes kept = {mem_dup(text.data, text.len), text.len};
    listing->list = mem_realloc(listing->list, (listing->count + 1) * sizeof *listing->list);
    struct room_row_member *member = &listing->list[listing->count++];
    member->id = (struct bytes){mem_dup(id.data, id.len), id.len};
    member->node = bytes_next_word(&kept); /* begins where the text does */
    member->said = bytes_next_word(&kept);
    member->user = kept;
}

static void on_room(void *arg, const struct redis_reply *reply)
{
    struct room_listing_row *listing = arg;
    for (size_t i = 0; reply->type == REDIS_ARRAY && i + 1 < reply->count; i += 2) {
        struct bytes field = reply->elements[i]->text, value = reply->elements[i + 1]->text;
        listing->exists = true;
        if (bytes_equal(field, BYTES_LITERAL(".seq"))) {
            listing->seq = bytes_decimal(value);
        } else if (bytes_equal(field, BYTES_LITERAL(".born"))) {
            listing->born = bytes_decimal(value);
        } else if (field.len > 2 && !memcmp(field.data, "m:", 2)) {
            add_member(listing, (struct bytes){field.data + 2, field.len - 2}, value);
        }
    }
}

static int compare_members(const void *a, const void *b)
{
    const struct room_row_member *one = a, *other = b;
    int order = bytes_compare(one->user, other->user);
    return order ? order : bytes_compare(one->id, other->id);
}

static void write_member_user(const void *row, struct cell *cell)
{
    const struct room_row_member *member = row;
    cell_text(cell, member->user);
}

static void write_member_id(const void *row, struct cell *cell)
{
    const struct room_row_member *member = row;
    cell_text(cell, member->id);
}

/* A table names its front-end, JSON has the front-end's id. */
static void write_member_node(const void *row, struct cell *cell)
{
    const struct room_row_member *member = row;
    const struct front_end *front_end =
        cell->json ? NULL : front_ends_find_id(cell->context, member->node);
    cell_text(cell, front_end ? bytes_from_string(front_end->name) : member->node);
}

static void write_member_said(const void *row, struct cell *cell)
{
    const struct room_row_member *member = row;
    if (cell->json) {
        cell_number(cell, bytes_decimal(member->said));
    } else {
        cell_text(cell, member->said);
    }
}

static const struct column member_columns[] = {
    {.heading = "USER", .key = "user", .write = write_member_user},
    {.heading = "ID", .key = "id", .write = write_member_id},
    {.heading = "NODE", .key = "node", .write = write_member_node},
    {.heading = "SAID", .key = "said", .write = write_member_said},
};

/* front_ends: for the table. */
static void print_members(const struct room_listing_row *listing, const char *space, bool is_json,
                          const struct front_ends *front_ends)
{
    static const struct columns columns = COLUMNS(member_columns);
    struct rows rows;
    rows_begin(&rows, &columns, is_json, front_ends);
    json_open(&rows.json, NULL, '{');
    json_bytes(&rows.json, "room", listing->name);
    json_string(&rows.json, "space", space);
    json_number(&rows.json, "partition", listing->partition);
    json_number(&rows.json, "born", (int64_t)listing->born);
    json_number(&rows.json, "seq", (int64_t)listing->seq);
    json_open(&rows.json, "members", '[');
    for (size_t i = 0; i < listing->count; i++) {
        rows_add(&rows, &listing->list[i]);
    }
    json_close(&rows.json, ']');
    json_close(&rows.json, '}');
    rows_print(&rows);
    rows_free(&rows);
}

static enum ctl_exit show_room(struct ctl *ctl, const struct room_listing_row *listing,
                               const char *space)
{
    struct front_ends front_ends = {0};
    enum ctl_exit result = CTL_OK;
    if (!listing->exists) {
        ctl_complain("there is no such room: it has no members");
        return CTL_NO;
    }
    if (listing->count > 0) {
        qsort(listing->list, listing->count, sizeof *listing->list, compare_members);
    }
    if (!ctl->json) {
        result = front_ends_read(ctl, &front_ends);
    }
    if (result == CTL_OK) {
        print_members(listing, space, ctl->json, &front_ends);
    }
    front_ends_free(&front_ends);
    return result;
}

enum ctl_exit command_room(struct ctl *ctl, int count, char **arguments)
{
    struct room_listing_row listing = {0};
    struct reader_space space;
    if (!ctl_id(ctl, arguments[0], &listing.name)) {
        return CTL_USAGE;
    }
    enum ctl_exit result = ctl_connect_space(ctl, &space);
    if (result == CTL_OK) {
        struct writer key = {0};
        listing.partition = shard_of(listing.name, space.partitions);
        write_room_key(&key, &space, listing.partition, listing.name);
        struct bytes args[] = {BYTES_LITERAL("HGETALL"), writer_bytes_written(&key)};
        reader_command(ctl->reader, on_room, &listing, 2, args);
        (void)reader_wait(ctl->reader);
        result = ctl_check(ctl);
        writer_free(&key);
    }
    if (result == CTL_OK) {
        result = show_room(ctl, &listing, space.name);
    }
    for (size_t i = 0; i < listing.count; i++) {
        free((void *)(uintptr_t)listing.list[i].id.data);
        free((void *)(uintptr_t)listing.list[i].node.data);
    }
    free(listing.list);
    ctl_argument_free(&listing.name);
    return result;
}
