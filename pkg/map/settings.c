#include "map/map.h"

#include <stddef.h>
#include <string.h>

#include "base/ids.h"
#include "config/config.h"

static const char *check_spaces(const char *value)
{
    char name[33];
    size_t count = 0;
    for (const char *at = value; *at; count++) {
        size_t len = strcspn(at, " ,");
        if (len == 0 || len >= sizeof name) {
            return "names of 1 to 32 characters, separated by a space or comma, are expected";
        }
        memcpy(name, at, len);
        name[len] = 0;
        if (!id_is_space_name(name)) {
            return "a space's name has characters of a-z 0-9 _ - only";
        }
        at += len;
        at += strspn(at, " ,");
    }
    return count > 0 ? NULL : "at least one space is needed";
}

#define MAP_SETTING(k, t, f, d, ...)                                                               \
    {                                                                                              \
        .key = (k), .type = (t), .offset = offsetof(struct map_settings, f), .standard = (d),      \
        __VA_ARGS__                                                                                \
    }

static const struct config_setting settings[] = {
    MAP_SETTING("map.spaces", CONFIG_STRING, spaces, "main", .check = check_spaces,
                .help = "Names of the isolated maps that clients may ask for; the first is the "
                        "one that listeners serve by default."),
    MAP_SETTING("map.partitions", CONFIG_INT, partitions, "1", .min = 1, .max = 1024,
                .help = "Parts into which each space is divided; the same on every front-end of "
                        "one Redis."),
    MAP_SETTING("map.lease", CONFIG_DURATION, lease, "3s", .min = 500, .max = 60000,
                .flags = CONFIG_SHARED,
                .help = "How long a front-end counts as alive after it last renewed its lease."),
    MAP_SETTING("map.sweep", CONFIG_DURATION, sweep, "1s", .min = 100, .max = 20000,
                .flags = CONFIG_SHARED,
                .help = "How often a front-end renews its lease and looks for what is due."),
    MAP_SETTING(
        "map.recovery_grace", CONFIG_DURATION, recovery_grace, "10s", .min = 0, .max = 600000,
        .flags = CONFIG_SHARED,
        .help =
            "How long no front-end or client counts as crashed after Redis stalled or changed."),
    MAP_SETTING("map.reap", CONFIG_INT, reap, "500", .min = 1, .max = 10000,
                .help = "Most entries that one sweep closes or turns into orphans."),
    MAP_SETTING("map.batch_operations", CONFIG_INT, batch_operations, "256", .min = 1, .max = 1000,
                .flags = CONFIG_RELOADABLE,
                .help = "Most operations in one call of the apply script."),
    MAP_SETTING("map.batch_bytes", CONFIG_SIZE, batch_bytes, "256KiB", .min = 4096, .max = 16 << 20,
                .flags = CONFIG_RELOADABLE,
                .help = "Most bytes in one call of the apply script; one operation may be larger."),
    MAP_SETTING("map.max_entries", CONFIG_INT, max_entries, "1000000", .min = 1, .max = INT64_MAX,
                .flags = CONFIG_RELOADABLE | CONFIG_SHARED, .help = "Most entries of a space."),
    MAP_SETTING("map.max_pending", CONFIG_INT, max_pending, "200000", .min = 1, .max = INT64_MAX,
                .flags = CONFIG_RELOADABLE,
                .help = "Most operations of all clients that wait for Redis; more are refused."),
    MAP_SETTING("map.cut_off", CONFIG_ENUM, cut_off, "keep", .choices = "keep|peers",
                .help = "What happens to clients when Redis does not answer this front-end: they "
                        "are kept, or closed when other front-ends say that it answers them."),
    MAP_SETTING("map.max_registration", CONFIG_DURATION, max_registration, "1h", .min = 1000,
                .max = 86400000, .flags = CONFIG_SHARED,
                .help = "Longest time for which an entry without a connection is registered."),
    MAP_SETTING("map.max_pending_bytes", CONFIG_SIZE, max_pending_bytes, "256MiB", .min = 65536,
                .max = INT64_C(1) << 40, .flags = CONFIG_RELOADABLE,
                .help = "Most bytes of states and messages in operations that wait for Redis; one "
                        "operation may be larger."),
    MAP_SETTING("map.close_memory", CONFIG_DURATION, close_memory, "60s", .min = 0, .max = 3600000,
                .help = "For how long ends of entries are remembered, to be repeated to a Redis "
                        "that came back older."),
    MAP_SETTING("map.close_memory_max", CONFIG_INT, close_memory_max, "100000", .min = 0,
                .max = 100000000, .flags = CONFIG_RELOADABLE,
                .help = "Most ends of entries that are remembered, of all partitions together; the "
                        "oldest are forgotten first."),
    MAP_SETTING("client.ttl", CONFIG_DURATION, client_ttl, "30s", .min = 1000, .max = 86400000,
                .flags = CONFIG_SHARED,
                .help = "How long a client from which nothing is received stays in the map."),
    MAP_SETTING("client.grace", CONFIG_DURATION, client_grace, "5s", .min = 0, .max = 3600000,
                .flags = CONFIG_SHARED,
                .help = "How long an entry whose connection dropped waits for its client; less "
                        "than client.ttl."),
    MAP_SETTING(
        "presence.offline_delay", CONFIG_DURATION, offline_delay, "5s", .min = 0, .max = 3600000,
        .flags = CONFIG_SHARED,
        .help = "How long a user is still shown as online after the end of the last connection."),
    MAP_SETTING("client.max_ids", CONFIG_INT, client_max_ids, "16", .min = 1, .max = 1000000,
                .flags = CONFIG_RELOADABLE | CONFIG_SHARED,
                .help = "Most entries that one connection may own."),
    MAP_SETTING("view.max_entries", CONFIG_INT, view.max_entries, "200000", .min = 1,
                .max = INT64_MAX, .flags = CONFIG_RELOADABLE,
                .help = "Most entries of a space whose whole map is shown to clients."),
    MAP_SETTING("view.chunk", CONFIG_INT, view.chunk, "500", .min = 1, .max = 5000,
                .flags = CONFIG_RELOADABLE, .help = "Entries per read of the snapshot."),
    MAP_SETTING("view.snapshot_interval", CONFIG_DURATION, view.snapshot_interval, "1s", .min = 100,
                .max = 60000, .flags = CONFIG_RELOADABLE,
                .help = "Least time between two readings of a partition's snapshot, and over which "
                        "all front-ends' are spread."),
    MAP_SETTING("view.linger", CONFIG_DURATION, view.linger, "30s", .min = 0, .max = 3600000,
                .flags = CONFIG_RELOADABLE,
                .help = "How long the view is kept after its last watcher has gone."),
    MAP_SETTING("view.wait", CONFIG_DURATION, view.wait, "2s", .min = 100, .max = 60000,
                .flags = CONFIG_RELOADABLE,
                .help = "How long a read waits for acknowledged writes before the map is read "
                        "again."),
    MAP_SETTING("presence.max_devices", CONFIG_INT, presence_max_devices, "100", .min = 1,
                .max = 10000, .flags = CONFIG_RELOADABLE | CONFIG_SHARED,
                .help = "Most connected devices of one user; a further one is refused."),
    MAP_SETTING("presence.reread", CONFIG_DURATION, presence_reread, "30s", .min = 1000,
                .max = 3600000, .flags = CONFIG_RELOADABLE,
                .help =
                    "How often the status of each watched user is read again although no change "
                    "was received."),
    MAP_SETTING("presence.max_per_address", CONFIG_SIZE, presence_max_per_address, "32MiB",
                .min = 65536, .max = INT64_C(1) << 40, .flags = CONFIG_RELOADABLE,
                .help = "Most memory that the subscriptions of one address (IPv6: /64) take; more "
                        "are refused."),
    MAP_SETTING("presence.max_total", CONFIG_SIZE, presence_max_total, "256MiB", .min = 65536,
                .max = INT64_C(1) << 40, .flags = CONFIG_RELOADABLE,
                .help = "Most memory that all subscriptions take; more are refused."),
    MAP_SETTING("room.max_members", CONFIG_INT, room_max_members, "10000", .min = 1, .max = 1000000,
                .flags = CONFIG_RELOADABLE | CONFIG_SHARED,
                .help = "Most members of a room, counted in connections."),
    MAP_SETTING("room.max_rooms", CONFIG_INT, room_max_rooms, "100000", .min = 1, .max = 1000000000,
                .flags = CONFIG_RELOADABLE | CONFIG_SHARED,
                .help = "Most rooms of a space; joining another one is refused."),
    MAP_SETTING("room.max_buffered", CONFIG_SIZE, room_max_buffered, "4MiB", .min = 65536,
                .max = 1 << 30, .flags = CONFIG_RELOADABLE,
                .help = "Most bytes of a room's messages kept while the room is being read; beyond "
                        "it, its members get a notice that messages were lost."),
    MAP_SETTING("room.read_timeout", CONFIG_DURATION, room_read_timeout, "1s", .min = 100,
                .max = 60000, .flags = CONFIG_RELOADABLE,
                .help = "How long the mark of a room's reading may take over the connection for "
                        "events; then the room is read again."),
    MAP_SETTING("room.read_attempts", CONFIG_INT, room_read_attempts, "3", .min = 1, .max = 100,
                .flags = CONFIG_RELOADABLE,
                .help = "After that many readings in a row without a mark, the room's members get "
                        "a notice that messages may have been lost."),
    MAP_SETTING("relay.max_pending", CONFIG_INT, relay_max_pending, "100000", .min = 1,
                .max = INT64_MAX, .flags = CONFIG_RELOADABLE,
                .help = "Most packets and invitations of all clients that wait for their "
                        "acknowledgement; more are refused."),
    MAP_SETTING("relay.max_bytes", CONFIG_SIZE, relay_max_bytes, "64MiB", .min = 65536,
                .max = INT64_C(1) << 40, .flags = CONFIG_RELOADABLE,
                .help = "Most bytes of packets and invitations that wait, counted for each "
                        "receiver; one may be larger."),
    MAP_SETTING("invite.ttl", CONFIG_DURATION, invite_ttl, "5m", .min = 1000, .max = 86400000,
                .flags = CONFIG_RELOADABLE | CONFIG_SHARED,
                .help = "How long an invitation waits for a user who is offline."),
    MAP_SETTING("invite.max", CONFIG_INT, invite_max, "100", .min = 1, .max = 100000,
                .flags = CONFIG_RELOADABLE | CONFIG_SHARED,
                .help = "Most invitations that wait for one user; the oldest are dropped."),
    MAP_SETTING("invite.max_per_sender", CONFIG_INT, invite_max_per_sender, "1000", .min = 1,
                .max = 1000000000, .flags = CONFIG_RELOADABLE | CONFIG_SHARED,
                .help = "Most invitations of one sender that wait in a space; more are refused."),
    MAP_SETTING("invite.max_per_address", CONFIG_INT, invite_max_per_address, "10000", .min = 1,
                .max = 1000000000, .flags = CONFIG_RELOADABLE | CONFIG_SHARED,
                .help = "Most invitations of all senders of one address (IPv6: /64) that wait in a "
                        "space; more are refused."),
    MAP_SETTING("invite.max_total", CONFIG_INT, invite_max_total, "100000", .min = 1,
                .max = 1000000000, .flags = CONFIG_RELOADABLE | CONFIG_SHARED,
                .help = "Most invitations that wait in a space; more are refused."),
    {.key = NULL},
};

static const struct config_rename renames[] = {
    {"map.hold", "map.recovery_grace"},
    {"presence.hold", "presence.offline_delay"},
    {NULL, NULL},
};

const struct config_module map_config = {
    .settings = settings, .values_size = sizeof(struct map_settings), .renames = renames};

static char *refuse_two(const char *rule, const struct map_settings *values, const char *first,
                        const char *second)
{
    const struct config_part parts[] = {{&map_config, values, first},
                                        {&map_config, values, second}};
    return config_refuse_parts(rule, parts, 2);
}

char *map_settings_check(const struct map_settings *values)
{
    if (values->client_grace >= values->client_ttl) {
        return refuse_two("client.grace must be less than client.ttl", values, "client.grace",
                          "client.ttl");
    }
    /* After client.ttl Redis expires what no front-end renews: no user without a connection may
     * stay online for longer. */
    if (values->offline_delay > values->client_ttl) {
        return refuse_two("presence.offline_delay must be at most client.ttl", values,
                          "presence.offline_delay", "client.ttl");
    }
    if (values->sweep * 2 > values->lease) {
        return refuse_two("map.sweep must be at most half of map.lease", values, "map.sweep",
                          "map.lease");
    }
    return NULL;
}
