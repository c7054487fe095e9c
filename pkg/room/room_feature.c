/*
 * room_feature: rooms as a feature of the map: rejoining when a partition is registered, the
 * comparison of Redis's index of members with those that are here, and the members of crashed
 * front-ends.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "room/room_op_private.h"
#include "room/room_private.h"

struct room_space *room_space_of(const struct map_space *space)
{
    struct room_spaces *state = map_feature_state(map_space_map(space), &room_feature);
    assert(state);
    return &state->spaces[map_space_index(space)];
}

static void rejoin_all(void *state, struct partition *partition)
{
    LIST_FOREACH (node, &room_space_of(partition_space(partition))->sets) {
        struct room_set *rooms = list_entry(node, struct room_set, link);
        for (struct room *room = rooms->table; room; room = room->hh.next) {
            if (room->partition != partition) {
                continue;
            }
            room_rejoin(room);
            room_read_restart(room);
        }
        room_reads_send(rooms, partition);
    }
}

static bool has_member(const struct partition *partition, struct bytes name, struct bytes id)
{
    LIST_FOREACH (node, &room_space_of(partition_space(partition))->sets) {
        struct room *room = room_find_any(list_entry(node, struct room_set, link), name);
        if (room && room_find_member(room, id)) {
            return true;
        }
    }
    return false;
}

/* The audit: members in this front-end's index that no session of it has leave. */
struct member_audit {
    struct partition *partition;
    unsigned epochs;
    char *key;
};

static void scan_room_members(struct member_audit *audit, struct bytes cursor);

static void end_audit(struct member_audit *audit)
{
    free(audit->key);
    free(audit);
}

static void audit_member(struct partition *partition, struct bytes member)
{
    struct bytes id, room;
    if (room_read_member(member, &id, &room) && !has_member(partition, room, id)) {
        room_op_leave(partition_space(partition), NULL, room, id, INT64_MAX, NULL, NULL);
    }
}

static void on_members_scanned(void *arg, enum redis_status status, const struct redis_reply *reply)
{
    struct member_audit *audit = arg;
    struct partition *partition = audit->partition;
    bool usable = status == REDIS_OK && reply->type == REDIS_ARRAY && reply->count == 2 &&
                  reply->elements[1]->type == REDIS_ARRAY;
    if (!usable || !partition_is_ready(partition) || partition_epochs(partition) != audit->epochs) {
        end_audit(audit);
        return;
    }
    const struct redis_reply *pairs = reply->elements[1];
    for (size_t i = 0; i + 1 < pairs->count; i += 2) {
        audit_member(partition, pairs->elements[i]->text);
    }
    struct bytes cursor = reply->elements[0]->text;
    if (bytes_equal(cursor, BYTES_LITERAL("0"))) {
        end_audit(audit);
    } else {
        scan_room_members(audit, cursor);
    }
}

static void scan_room_members(struct member_audit *audit, struct bytes cursor)
{
    struct bytes args[] = {BYTES_LITERAL("HSCAN"), bytes_from_string(audit->key), cursor,
                           BYTES_LITERAL("COUNT"), BYTES_LITERAL("500")};
    struct map *map = map_space_map(partition_space(audit->partition));
    redis_command(map_link(map), on_members_scanned, audit, 5, args);
}

static void audit_rooms(void *state, struct partition *partition)
{
    const struct map *map = map_space_map(partition_space(partition));
    struct member_audit *audit = mem_zalloc(1, sizeof *audit);
    audit->partition = partition;
    audit->epochs = partition_epochs(partition);
    audit->key = mem_format("%smembers:%s", partition_prefix(partition), map_node_id(map));
    scan_room_members(audit, BYTES_LITERAL("0"));
}

static size_t count_confirmed(const void *state, const struct partition *partition)
{
    return room_space_of(partition_space(partition))->confirmed[partition_index(partition)];
}

static void on_member_found(void *state, struct partition *partition, enum map_found what,
                            struct bytes name, const char *node)
{
    if (what == MAP_FOUND_MEMBER) {
        room_op_evict_member(partition, name, node);
    }
}

/* The feature. */

static void *create_rooms_feature(struct map *map)
{
    const size_t count = map_space_count(map);
    struct room_spaces *state = mem_zalloc(1, sizeof *state + count * sizeof *state->spaces);
    state->map = map;
    for (size_t i = 0; i < count; i++) {
        struct room_space *space = &state->spaces[i];
        list_init(&space->sets);
        space->confirmed =
            mem_zalloc(map_space_partitions(map_space_at(map, i)), sizeof *space->confirmed);
    }
    return state;
}

static void destroy_rooms_feature(void *arg)
{
    struct room_spaces *state = arg;
    for (size_t i = 0; i < map_space_count(state->map); i++) {
        free(state->spaces[i].confirmed);
    }
    free(state);
}

const struct map_feature room_feature = {.create = create_rooms_feature,
                                         .destroy = destroy_rooms_feature,
                                         .ready = rejoin_all,
                                         .audit = audit_rooms,
                                         .count = count_confirmed,
                                         .found = on_member_found};
