/*
 * nodes: reads the members of one partition's `nodes` (every front-end has a lease in each), then
 * the hash of each. The new list replaces the old one when it is complete.
 */
#include "inspect/nodes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "redis/redis.h"
#include "schema/event.h"
#include "schema/keys.h"

/* More front-ends than any installation has: bounds the work that a broken Redis can cause. */
#define NODES_MAX "999"

struct node_info {
    struct bytes id;
    struct writer fields; /* as in the body of an event */
};

struct node_list {
    struct node_info *nodes;
    size_t count;
};

/* Outlives the map_nodes while commands are under way. */
struct nodes_reading {
    struct map_nodes *owner; /* NULL: destroyed */
    struct node_list list;
    size_t pending;
    bool failed;
};

struct node_answer {
    struct nodes_reading *reading;
    struct node_info *node;
};

struct map_nodes {
    struct map *map;
    char *key; /* the first partition's `nodes` */
    void (*done)(void *arg, bool known);
    void *arg;
    struct node_list list;
    bool known;
    struct nodes_reading *reading;
};

static char *make_nodes_key(struct map *map)
{
    const struct map_space *space = map_space_at(map, 0);
    char *partition = keys_partition_prefix(map_prefix(map), map_space_name(space),
                                            map_space_partitions(space), 0);
    char *key = mem_format("%snodes", partition);
    free(partition);
    return key;
}

struct map_nodes *map_nodes_create(struct map *map, void (*done)(void *arg, bool known), void *arg)
{
    struct map_nodes *nodes = mem_zalloc(1, sizeof *nodes);
    nodes->map = map;
    nodes->key = make_nodes_key(map);
    nodes->done = done;
    nodes->arg = arg;
    return nodes;
}

static void free_list(struct node_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free((void *)(uintptr_t)list->nodes[i].id.data);
        writer_free(&list->nodes[i].fields);
    }
    free(list->nodes);
    *list = (struct node_list){0};
}

void map_nodes_destroy(struct map_nodes **pointer)
{
    struct map_nodes *nodes = *pointer;
    *pointer = NULL;
    if (!nodes) {
        return;
    }
    if (nodes->reading) {
        nodes->reading->owner = NULL;
    }
    free_list(&nodes->list);
    free(nodes->key);
    free(nodes);
}

/* Front-ends whose hash has expired are left out. */
static void drop_expired_nodes(struct node_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct node_info *node = &list->nodes[i];
        if (node->fields.len > 0) {
            list->nodes[count++] = *node;
        } else {
            free((void *)(uintptr_t)node->id.data);
            writer_free(&node->fields);
        }
    }
    list->count = count;
}

static void finish_nodes_reading(struct nodes_reading *reading)
{
    struct map_nodes *nodes = reading->owner;
    if (reading->pending > 0) {
        return;
    }
    if (nodes && !reading->failed) {
        drop_expired_nodes(&reading->list);
        free_list(&nodes->list);
        nodes->list = reading->list;
        reading->list = (struct node_list){0};
        nodes->known = true;
    }
    free_list(&reading->list);
    free(reading);
    if (nodes) {
        nodes->reading = NULL;
        nodes->done(nodes->arg, nodes->known);
    }
}

static bool is_string_reply(const struct redis_reply *reply)
{
    return reply->type == REDIS_STRING;
}

static void on_node_fields(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct node_answer answer = *(struct node_answer *)arg;
    struct nodes_reading *reading = answer.reading;
    free(arg);
    reading->pending--;
    reading->failed |= status != REDIS_OK && status != REDIS_REFUSED;
    for (size_t i = 0; status == REDIS_OK && i + 1 < reply->count; i += 2) {
        const struct redis_reply *name = reply->elements[i], *value = reply->elements[i + 1];
        if (!is_string_reply(name) || !is_string_reply(value)) {
            break;
        }
        writer_format(&answer.node->fields, "%zu %zu\n", name->text.len, value->text.len);
        writer_bytes(&answer.node->fields, name->text);
        writer_bytes(&answer.node->fields, value->text);
    }
    finish_nodes_reading(reading);
}

static int compare_nodes(const void *a, const void *b)
{
    return bytes_compare(((const struct node_info *)a)->id, ((const struct node_info *)b)->id);
}

static void take_ids(struct node_list *list, const struct redis_reply *reply)
{
    list->nodes = mem_zalloc(reply->count + 1, sizeof *list->nodes);
    for (size_t i = 0; i < reply->count; i++) {
        struct bytes id = reply->elements[i]->text;
        if (is_string_reply(reply->elements[i]) && id.len > 0 && !memchr(id.data, 0, id.len)) {
            list->nodes[list->count++].id = (struct bytes){mem_dup(id.data, id.len), id.len};
        }
    }
    qsort(list->nodes, list->count, sizeof *list->nodes, compare_nodes);
}

static void on_ids(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct nodes_reading *reading = arg;
    const struct map *map = reading->owner ? reading->owner->map : NULL;
    reading->pending--;
    reading->failed = status != REDIS_OK || reply->type != REDIS_ARRAY;
    if (map && !reading->failed) {
        take_ids(&reading->list, reply);
        reading->pending += reading->list.count + 1; /* until all are asked for */
        for (size_t i = 0; i < reading->list.count; i++) {
            struct node_answer *answer = mem_alloc(sizeof *answer);
            *answer = (struct node_answer){reading, &reading->list.nodes[i]};
            char *key = keys_node(map_prefix(map), (const char *)answer->node->id.data);
            redis_command_strings(map_link(map), on_node_fields, answer, "HGETALL", key, NULL);
            free(key);
        }
        reading->pending--;
    }
    finish_nodes_reading(reading);
}

void map_nodes_read(struct map_nodes *nodes)
{
    struct map *map = nodes->map;
    if (nodes->reading) {
        return;
    }
    nodes->reading = mem_zalloc(1, sizeof *nodes->reading);
    nodes->reading->owner = nodes;
    nodes->reading->pending = 1;
    redis_command_strings(map_link(map), on_ids, nodes->reading, "ZRANGE", nodes->key, "0",
                          NODES_MAX, NULL);
}

size_t map_nodes_count(const struct map_nodes *nodes)
{
    return nodes->list.count;
}

struct bytes map_nodes_id(const struct map_nodes *nodes, size_t index)
{
    return nodes->list.nodes[index].id;
}

struct bytes map_nodes_field(const struct map_nodes *nodes, size_t index, const char *field)
{
    return event_field_find(writer_bytes_written(&nodes->list.nodes[index].fields), field);
}

struct bytes map_nodes_name(const struct map_nodes *nodes, struct bytes id)
{
    struct node_info wanted = {.id = id};
    const struct node_info *found = NULL;
    if (nodes->list.count > 0) {
        found =
            bsearch(&wanted, nodes->list.nodes, nodes->list.count, sizeof wanted, compare_nodes);
    }
    return found ? map_nodes_field(nodes, (size_t)(found - nodes->list.nodes), "name")
                 : (struct bytes){NULL, 0};
}
