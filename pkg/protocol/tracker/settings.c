/* tracker_settings: the tracker.* part of the configuration table. */
#include "protocol/tracker/tracker.h"

#define TRACKER(name, type, standard, flags, min, max, choices, help)                              \
    {                                                                                              \
        "tracker." #name, type, offsetof(struct tracker_settings, name), standard, flags, min,     \
            max, choices, help, NULL                                                               \
    }
#define BOTH (CONFIG_RELOADABLE | CONFIG_LISTENER)

static const struct config_setting table[] = {
    TRACKER(original, CONFIG_ENUM, "2013", CONFIG_LISTENER, 0, 0, "2013|2014",
            "Which of the two original programs clients with the magic number 42 hex expect."),
    TRACKER(form, CONFIG_ENUM, "plain", CONFIG_LISTENER, 0, 0, "plain|wide",
            "Lengths of clients with the magic number 42 decimal: one byte, or, for clients of the "
            "plain dialect that follow its document's text, eight (wide: no other dialect with "
            "this magic number is supported there)."),
    TRACKER(id_form, CONFIG_ENUM, "short", BOTH, 0, 0, "short|uuid",
            "Ids that clients get: 7 letters and digits, or UUIDs of 36 characters (but for "
            "clients of 2013, which read 7)."),
    TRACKER(
        consistent_get, CONFIG_BOOL, "false", BOTH, 0, 0, NULL,
        "Read revisions from Redis at each Get, so that writes acknowledged at other front-ends "
        "are included."),
    TRACKER(push, CONFIG_ENUM, "auto", BOTH, 0, 0, "auto|on|off",
            "Whether changes are sent to clients that have a packet for them (those of the "
            "versioned dialect)."),
    TRACKER(push_all_interval, CONFIG_DURATION, "1s", BOTH, 0, 3600000, NULL,
            "Least time between two whole maps that are sent to a client after closes."),
    TRACKER(
        update_form, CONFIG_ENUM, "auto", BOTH, 0, 0, "auto|outer|plain",
        "Whether an Update of the plain dialect has an outer length; auto: decided by its first "
        "bytes."),
    TRACKER(max_state, CONFIG_SIZE, "64KiB", BOTH, 0, 16 << 20, NULL,
            "Largest state; a longer one closes the connection."),
    TRACKER(max_id, CONFIG_INT, "255", BOTH, 1, 255, NULL,
            "Bytes of the longest id that a client may use."),
    TRACKER(adopt, CONFIG_ENUM, "any", BOTH, 0, 0, "any|same_address|off|tls",
            "Who may adopt an entry whose connection has ended; tls: any client, and one with the "
            "entry's certificate even while the old connection seems to be open."),
    TRACKER(rate, CONFIG_INT, "200", BOTH, 0, 1000000, NULL,
            "Writes a second of one connection; it is not read faster than that. 0: no limit."),
    TRACKER(burst, CONFIG_INT, "400", BOTH, 1, 1000000, NULL,
            "Writes of one connection at once, after an idle time."),
    TRACKER(address_rate, CONFIG_INT, "20000", BOTH, 0, 10000000, NULL,
            "Has no effect any more: budget.address_rate is the limit of an address."),
    TRACKER(address_burst, CONFIG_INT, "40000", BOTH, 1, 4000000, NULL,
            "Has no effect any more: budget.address_burst is the limit of an address."),
    TRACKER(pipeline, CONFIG_INT, "64", BOTH, 1, 10000, NULL,
            "Unanswered requests of one connection, above which no more are read."),
    TRACKER(
        chunk, CONFIG_SIZE, "32KiB", BOTH, 1024, 1 << 20, NULL,
        "Bytes of pushes that are encoded at a time for a client that gets the whole map, or that "
        "has had a backlog."),
    {.key = NULL}};

const struct config_module tracker_config = {.settings = table,
                                             .values_size = sizeof(struct tracker_settings)};
