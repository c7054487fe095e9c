/* rooms, room: which rooms there are, and who is in one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "ctl.h"
#include "front_ends.h"
#include "map/keys.h"
#include "output.h"

#define UNDER_WAY 2000 /* commands */

/* rooms */

struct room {
    uint32_t partition;
    struct bytes name;
    bool exists;
    uint64_t members;
    uint64_t seq;
};

struct rooms {
    struct ctl *ctl;
    struct reader_space space;
    struct room *list;
    size_t count, capacity;
};

static void on_key(void *arg, uint32_t partition, struct bytes name)
{
    struct rooms *rooms = arg;
    struct bytes room = {name.data + 5, name.len - 5}; /* "room:" */
    if (rooms->count == rooms->capacity) {
        rooms->capacity = rooms->capacity ? rooms->capacity * 2 : 64;
        rooms->list = mem_realloc(rooms->list, rooms->capacity * sizeof *rooms->list);
    }
    rooms->list[rooms->count++] =
        (struct room){.partition = partition, .name = {mem_dup(room.data, room.len), room.len}};
}

static int compare(const void *a, const void *b)
{
    return bytes_compare(((const struct room *)a)->name, ((const struct room *)b)->name);
}

/* A scan may tell a key again: then it stands behind itself, and has the same answer. */
static bool is_again(const struct rooms *rooms, size_t index)
{
    return index > 0 && compare(&rooms->list[index - 1], &rooms->list[index]) == 0;
}

static void on_counts(void *arg, const struct redis_reply *reply)
{
    struct room *room = arg;
    if (reply->type != REDIS_ARRAY || reply->count != 2 || reply->elements[0]->type != REDIS_STRING)
        return;
    room->exists = true;
    room->members = bytes_decimal(reply->elements[0]->text);
    room->seq = bytes_decimal(reply->elements[1]->text);
}

static void write_key(struct writer *key, const struct reader_space *space, uint32_t partition,
                      struct bytes name)
{
    char *prefix = keys_partition_prefix(space->prefix, space->name, space->partitions, partition);
    keys_write(key, prefix, "room:", name);
    free(prefix);
}

static bool read_rooms(struct rooms *rooms)
{
    struct reader *reader = rooms->ctl->reader;
    if (!reader_each_key(reader, &rooms->space, "room:", on_key, rooms))
        return false;
    if (rooms->count > 0)
        qsort(rooms->list, rooms->count, sizeof *rooms->list, compare);
    for (size_t i = 0; i < rooms->count; i++) {
        struct writer key = {0};
        write_key(&key, &rooms->space, rooms->list[i].partition, rooms->list[i].name);
        struct bytes args[] = {BYTES_LITERAL("HMGET"), writer_bytes_written(&key),
                               BYTES_LITERAL(".members"), BYTES_LITERAL(".seq")};
        reader_command(reader, on_counts, &rooms->list[i], 4, args);
        writer_free(&key);
        if (!reader_wait_below(reader, UNDER_WAY))
            return false;
    }
    return reader_wait(reader);
}

static void print_rooms(const struct rooms *rooms)
{
    static const char *const headings[] = {"ROOM", "MEMBERS", "MESSAGES", NULL};
    struct table *table = table_create(headings);
    for (size_t i = 0; i < rooms->count; i++) {
        const struct room *room = &rooms->list[i];
        if (!room->exists || is_again(rooms, i))
            continue;
        table_add(table, output_shown_string(room->name));
        table_add_format(table, "%llu", (unsigned long long)room->members);
        table_add_format(table, "%llu", (unsigned long long)room->seq);
    }
    table_print(table);
    table_destroy(&table);
}

static void print_rooms_json(const struct rooms *rooms)
{
    struct writer json = {0};
    json_open(&json, NULL, '{');
    json_string(&json, "space", rooms->space.name);
    json_open(&json, "rooms", '[');
    for (size_t i = 0; i < rooms->count; i++) {
        const struct room *room = &rooms->list[i];
        if (!room->exists || is_again(rooms, i))
            continue;
        json_open(&json, NULL, '{');
        json_bytes(&json, "room", room->name);
        json_number(&json, "partition", room->partition);
        json_number(&json, "members", (int64_t)room->members);
        json_number(&json, "seq", (int64_t)room->seq);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_print(&json);
    writer_free(&json);
}

enum ctl_exit command_rooms(struct ctl *ctl, int count, char **arguments)
{
    struct rooms rooms = {.ctl = ctl};
    enum ctl_exit result = ctl_connect_space(ctl, &rooms.space);
    if (result == CTL_OK && !read_rooms(&rooms))
        result = ctl_check(ctl);
    if (result == CTL_OK && ctl->json)
        print_rooms_json(&rooms);
    else if (result == CTL_OK)
        print_rooms(&rooms);
    for (size_t i = 0; i < rooms.count; i++)
        free((void *)(uintptr_t)rooms.list[i].name.data);
    free(rooms.list);
    return result;
}

/* room */

struct member {
    struct bytes id, node, said, user; /* id and the text of its field: "<node> <said> <user>" */
};

struct listing {
    struct bytes name;
    uint32_t partition;
    struct member *list;
    size_t count;
    uint64_t seq, born;
    bool exists;
};

static void add_member(struct listing *listing, struct bytes id, struct bytes text)
{
    struct bytes kept = {mem_dup(text.data, text.len), text.len};
    listing->list = mem_realloc(listing->list, (listing->count + 1) * sizeof *listing->list);
    struct member *member = &listing->list[listing->count++];
    member->id = (struct bytes){mem_dup(id.data, id.len), id.len};
    member->node = bytes_next_word(&kept); /* begins where the text does */
    member->said = bytes_next_word(&kept);
    member->user = kept;
}

static void on_room(void *arg, const struct redis_reply *reply)
{
    struct listing *listing = arg;
    for (size_t i = 0; reply->type == REDIS_ARRAY && i + 1 < reply->count; i += 2) {
        struct bytes field = reply->elements[i]->text, value = reply->elements[i + 1]->text;
        listing->exists = true;
        if (bytes_equal(field, BYTES_LITERAL(".seq")))
            listing->seq = bytes_decimal(value);
        else if (bytes_equal(field, BYTES_LITERAL(".born")))
            listing->born = bytes_decimal(value);
        else if (field.len > 2 && !memcmp(field.data, "m:", 2))
            add_member(listing, (struct bytes){field.data + 2, field.len - 2}, value);
    }
}

static int compare_members(const void *a, const void *b)
{
    const struct member *one = a, *other = b;
    int order = bytes_compare(one->user, other->user);
    return order ? order : bytes_compare(one->id, other->id);
}

static void print_members(const struct listing *listing, const struct front_ends *front_ends)
{
    static const char *const headings[] = {"USER", "ID", "NODE", "SAID", NULL};
    struct table *table = table_create(headings);
    for (size_t i = 0; i < listing->count; i++) {
        const struct member *member = &listing->list[i];
        const struct front_end *front_end = front_ends_find_id(front_ends, member->node);
        table_add(table, output_shown_string(member->user));
        table_add(table, output_shown_string(member->id));
        table_add(table, output_shown_string(front_end ? bytes_from_string(front_end->name)
                                                       : member->node));
        table_add(table, output_shown_string(member->said));
    }
    table_print(table);
    table_destroy(&table);
}

static void print_members_json(const struct listing *listing, const char *space)
{
    struct writer json = {0};
    json_open(&json, NULL, '{');
    json_bytes(&json, "room", listing->name);
    json_string(&json, "space", space);
    json_number(&json, "partition", listing->partition);
    json_number(&json, "born", (int64_t)listing->born);
    json_number(&json, "seq", (int64_t)listing->seq);
    json_open(&json, "members", '[');
    for (size_t i = 0; i < listing->count; i++) {
        const struct member *member = &listing->list[i];
        json_open(&json, NULL, '{');
        json_bytes(&json, "user", member->user);
        json_bytes(&json, "id", member->id);
        json_bytes(&json, "node", member->node);
        json_number(&json, "said", (int64_t)bytes_decimal(member->said));
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_print(&json);
    writer_free(&json);
}

static enum ctl_exit show(struct ctl *ctl, const struct listing *listing, const char *space)
{
    struct front_ends front_ends = {0};
    enum ctl_exit result = CTL_OK;
    if (!listing->exists) {
        ctl_complain("there is no such room: nobody is in it");
        return CTL_NO;
    }
    if (listing->count > 0)
        qsort(listing->list, listing->count, sizeof *listing->list, compare_members);
    if (ctl->json) {
        print_members_json(listing, space);
        return CTL_OK;
    }
    result = front_ends_read(ctl, &front_ends);
    if (result == CTL_OK)
        print_members(listing, &front_ends);
    front_ends_free(&front_ends);
    return result;
}

enum ctl_exit command_room(struct ctl *ctl, int count, char **arguments)
{
    struct listing listing = {0};
    struct reader_space space;
    if (!ctl_id(ctl, arguments[0], &listing.name))
        return CTL_USAGE;
    enum ctl_exit result = ctl_connect_space(ctl, &space);
    if (result == CTL_OK) {
        struct writer key = {0};
        listing.partition = shard_of(listing.name, space.partitions);
        write_key(&key, &space, listing.partition, listing.name);
        struct bytes args[] = {BYTES_LITERAL("HGETALL"), writer_bytes_written(&key)};
        reader_command(ctl->reader, on_room, &listing, 2, args);
        (void)reader_wait(ctl->reader);
        result = ctl_check(ctl);
        writer_free(&key);
    }
    if (result == CTL_OK)
        result = show(ctl, &listing, space.name);
    for (size_t i = 0; i < listing.count; i++) {
        free((void *)(uintptr_t)listing.list[i].id.data);
        free((void *)(uintptr_t)listing.list[i].node.data);
    }
    free(listing.list);
    ctl_argument_free(&listing.name);
    return result;
}
