/* sync_settings: the sync.* part of the configuration table. */
#include "protocol/sync/sync.h"

#define SYNC(name, type, standard, flags, min, max, help)                                          \
    {                                                                                              \
        "sync." #name, type, offsetof(struct sync_settings, name), standard, flags, min, max,      \
            NULL, help, NULL                                                                       \
    }
#define BOTH (CONFIG_RELOADABLE | CONFIG_LISTENER)

static const struct config_setting table[] = {
    SYNC(tick, CONFIG_DURATION, "500ms", CONFIG_RELOADABLE, 10, 60000,
         "How often clients are sent what changed."),
    SYNC(max_properties, CONFIG_INT, "25", BOTH, 1, 256, "Properties of one client."),
    SYNC(max_name, CONFIG_INT, "64", BOTH, 1, 200, "Bytes of a property's name."),
    SYNC(max_total, CONFIG_SIZE, "4KiB", BOTH, 2, 1 << 20,
         "Bytes of all names and values of one client's properties."),
    SYNC(max_receivers, CONFIG_INT, "256", BOTH, 1, 16000, "Receivers of one packet."),
    SYNC(max_backlog, CONFIG_SIZE, "1MiB", BOTH, 1024, 1 << 30,
         "Bytes of others' packets that a client may leave unread before it is closed."),
    SYNC(max_errors, CONFIG_INT, "20", BOTH, 1, 1000000,
         "Packets of one connection that are refused in sync.error_window before it is closed."),
    SYNC(error_window, CONFIG_DURATION, "10s", BOTH, 1, 3600000,
         "Time in which refused packets are counted."),
    SYNC(pipeline, CONFIG_INT, "1000", BOTH, 1, 100000,
         "Receivers of one connection's packets whose delivery is not known yet, above which no "
         "more are read."),
    {.key = NULL}};

static const struct config_rename renames[] = {
    {"sync.max_behind", "sync.max_backlog"},
    {NULL, NULL},
};

const struct config_module sync_config = {
    .settings = table, .values_size = sizeof(struct sync_settings), .renames = renames};
