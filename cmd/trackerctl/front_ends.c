#include "front_ends.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "schema/keys.h"

struct space_list {
    struct reader_space *list;
    size_t count;
    const struct ctl *ctl;
};

static void add_listed_space(void *arg, struct bytes name, struct bytes partitions)
{
    struct space_list *spaces = arg;
    char *text = mem_dup(name.data, name.len), *number = mem_dup(partitions.data, partitions.len);
    uint32_t count = (uint32_t)strtoul(number, NULL, 10);
    free(number);
    if (count == 0 || count > INT32_MAX ||
        (spaces->ctl->space_given && strcmp(text, spaces->ctl->space) != 0)) {
        free(text);
        return;
    }
    spaces->list = mem_realloc(spaces->list, (spaces->count + 1) * sizeof *spaces->list);
    spaces->list[spaces->count++] = (struct reader_space){spaces->ctl->redis.prefix, text, count};
}

static void spaces_free(struct space_list *spaces)
{
    for (size_t i = 0; i < spaces->count; i++) {
        free((void *)(uintptr_t)spaces->list[i].name);
    }
    free(spaces->list);
}

const struct front_end *front_ends_find_id(const struct front_ends *front_ends, struct bytes id)
{
    for (size_t i = 0; i < front_ends->count; i++) {
        if (bytes_equal(bytes_from_string(front_ends->list[i].id), id)) {
            return &front_ends->list[i];
        }
    }
    return NULL;
}

static struct front_end *find_or_add_front_end(struct front_ends *front_ends, struct bytes id)
{
    const struct front_end *known = front_ends_find_id(front_ends, id);
    if (known) {
        return &front_ends->list[known - front_ends->list];
    }
    front_ends->list =
        mem_realloc(front_ends->list, (front_ends->count + 1) * sizeof *front_ends->list);
    struct front_end *added = &front_ends->list[front_ends->count++];
    *added = (struct front_end){.id = mem_dup(id.data, id.len)};
    return added;
}

static void on_lease(void *arg, struct bytes node, struct bytes score)
{
    struct front_ends *front_ends = arg;
    char *text = mem_dup(score.data, score.len);
    uint64_t end = (uint64_t)strtod(text, NULL);
    free(text);
    if (node.len == 0 || memchr(node.data, 0, node.len)) {
        return; /* no front-end has such a name */
    }
    struct front_end *front_end = find_or_add_front_end(front_ends, node);
    if (end > front_end->lease_end) {
        front_end->lease_end = end;
    }
}

static void on_length(void *arg, const struct redis_reply *reply)
{
    uint64_t *entries = arg;
    if (reply->type == REDIS_INTEGER) {
        *entries += (uint64_t)reply->integer;
    }
}

static void on_front_end_fields(void *arg, const struct redis_reply *reply)
{
    struct front_end *front_end = arg;
    if (reply->type != REDIS_ARRAY) {
        return;
    }
    front_end->fields = mem_zalloc(reply->count / 2 + 1, sizeof *front_end->fields);
    for (size_t i = 0; i + 1 < reply->count; i += 2) {
        struct bytes name = reply->elements[i]->text, value = reply->elements[i + 1]->text;
        front_end->fields[front_end->field_count++] = (struct front_end_field){
            {mem_dup(name.data, name.len), name.len}, {mem_dup(value.data, value.len), value.len}};
    }
}

struct bytes front_end_field(const struct front_end *front_end, const char *name)
{
    for (size_t i = 0; i < front_end->field_count; i++) {
        if (bytes_equal(front_end->fields[i].name, bytes_from_string(name))) {
            return front_end->fields[i].value;
        }
    }
    return (struct bytes){0};
}

static void read_leases(struct front_ends *front_ends, const struct space_list *spaces)
{
    struct reader *reader = front_ends->ctl->reader;
    for (size_t i = 0; i < spaces->count; i++) {
        const struct reader_space *space = &spaces->list[i];
        for (uint32_t p = 0; p < space->partitions; p++) {
            char *prefix = keys_partition_prefix(space->prefix, space->name, space->partitions, p);
            char *key = mem_format("%snodes", prefix);
            if (!reader_scan(reader, "ZSCAN", bytes_from_string(key), NULL, on_lease, front_ends)) {
                p = space->partitions - 1;
            }
            free(key);
            free(prefix);
        }
    }
}

static void send_requests(struct front_ends *front_ends, const struct space_list *spaces,
                          struct front_end *front_end)
{
    for (size_t i = 0; i < spaces->count; i++) {
        const struct reader_space *space = &spaces->list[i];
        for (uint32_t p = 0; p < space->partitions; p++) {
            char *prefix = keys_partition_prefix(space->prefix, space->name, space->partitions, p);
            char *key = mem_format("%snode:%s", prefix, front_end->id);
            struct bytes args[] = {BYTES_LITERAL("HLEN"), bytes_from_string(key)};
            reader_command(front_ends->ctl->reader, on_length, &front_end->entries, 2, args);
            free(key);
            free(prefix);
        }
    }
}

static void request_front_end_fields(struct front_ends *front_ends, struct front_end *front_end)
{
    char *key = keys_node(front_ends->ctl->redis.prefix, front_end->id);
    struct bytes args[] = {BYTES_LITERAL("HGETALL"), bytes_from_string(key)};
    reader_command(front_ends->ctl->reader, on_front_end_fields, front_end, 2, args);
    free(key);
}

static int compare_front_ends(const void *a, const void *b)
{
    const struct front_end *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : strcmp(left->id, right->id);
}

static void complete_front_ends(struct front_ends *front_ends)
{
    for (size_t i = 0; i < front_ends->count; i++) {
        struct front_end *front_end = &front_ends->list[i];
        struct bytes name = front_end_field(front_end, "name");
        front_end->name = name.len && bytes_is_utf8(name) ? mem_dup(name.data, name.len)
                                                          : mem_strdup(front_end->id);
        front_end->is_alive = front_end->lease_end >= front_ends->now;
    }
    if (front_ends->count) {
        qsort(front_ends->list, front_ends->count, sizeof *front_ends->list, compare_front_ends);
    }
}

enum ctl_exit front_ends_read(struct ctl *ctl, struct front_ends *front_ends)
{
    struct space_list spaces = {.ctl = ctl};
    *front_ends = (struct front_ends){.ctl = ctl};
    (void)reader_each_space(ctl->reader, ctl->redis.prefix, add_listed_space, &spaces);
    (void)reader_read_time(ctl->reader, &front_ends->now);
    read_leases(front_ends, &spaces);
    for (size_t i = 0; i < front_ends->count; i++) {
        send_requests(front_ends, &spaces, &front_ends->list[i]);
        request_front_end_fields(front_ends, &front_ends->list[i]);
    }
    (void)reader_wait(ctl->reader);
    spaces_free(&spaces);
    complete_front_ends(front_ends);
    return ctl_check(ctl);
}

void front_ends_free(struct front_ends *front_ends)
{
    for (size_t i = 0; i < front_ends->count; i++) {
        struct front_end *front_end = &front_ends->list[i];
        for (size_t j = 0; j < front_end->field_count; j++) {
            free((void *)(uintptr_t)front_end->fields[j].name.data);
            free((void *)(uintptr_t)front_end->fields[j].value.data);
        }
        free(front_end->fields);
        free(front_end->id);
        free(front_end->name);
    }
    free(front_ends->list);
    *front_ends = (struct front_ends){0};
}

const struct front_end *front_ends_find(const struct front_ends *front_ends, const char *text)
{
    const struct front_end *found = front_ends_find_id(front_ends, bytes_from_string(text));
    size_t count = 0, alive = 0;
    if (found) {
        return found;
    }
    /* Several may have had one name: prefer the one with a lease, if there is one only. */
    for (size_t i = 0; i < front_ends->count; i++) {
        const struct front_end *one = &front_ends->list[i];
        if (strcmp(one->name, text) != 0) {
            continue;
        }
        count++;
        alive += one->is_alive;
        if (one->is_alive || !found) {
            found = one;
        }
    }
    if (count == 1 || alive == 1) {
        return found;
    }
    if (count == 0) {
        ctl_complain("there is no front-end \"%s\"; see trackerctl nodes", text);
    } else {
        ctl_complain("there are %zu front-ends \"%s\": give the id; see trackerctl nodes", count,
                     text);
    }
    return NULL;
}
