/* websocket_settings: the table of ws.*. */
#include "net/websocket/websocket.h"

#include <stddef.h>

#include "net/websocket/origins_private.h"

#define HOUR_MS 3600000LL

#define BOTH    (CONFIG_RELOADABLE | CONFIG_LISTENER)
#define WS(name, type, standard, min, max, choices, check, help)                                   \
    {                                                                                              \
        "ws." #name, type, offsetof(struct websocket_settings, name), standard, BOTH, min, max,    \
            choices, help, check                                                                   \
    }

static const struct config_setting table[] = {
    WS(origins, CONFIG_STRING, "same", 0, 0, NULL, origins_check,
       "Origins whose pages may open WebSocket connections, as https://example.org; same: pages of "
       "the host that they connect to; empty: any."),
    WS(max_message, CONFIG_SIZE, "1MiB", 125, 256 << 20, NULL, NULL,
       "Size of a message, above which the connection is closed with 1009."),
    WS(max_fragments, CONFIG_INT, "1024", 1, 1000000, NULL, NULL,
       "Fragments of a message, above which the connection is closed with 1008."),
    WS(rate, CONFIG_INT, "1000", 0, 1000000, NULL, NULL,
       "Messages and control frames a second of one connection; 0: no limit."),
    WS(burst, CONFIG_INT, "2000", 1, 1000000, NULL, NULL,
       "Messages and control frames of one connection at once, after an idle time."),
    WS(over_rate, CONFIG_ENUM, "pause", 0, 0, "pause|close", NULL,
       "Whether a connection over the rate is read at the rate, or closed with 1008."),
    WS(ping_interval, CONFIG_DURATION, "20s", 0, HOUR_MS, NULL, NULL,
       "Time between pings to a connection; 0: none."),
    WS(timeout, CONFIG_DURATION, "30s", 0, 24 * HOUR_MS, NULL, NULL,
       "Time without traffic, pongs included, after which a connection is closed; 0: never."),
    WS(close_timeout, CONFIG_DURATION, "5s", 10, HOUR_MS, NULL, NULL,
       "How long the peer's Close is awaited after ours."),
    {.key = NULL}};

const struct config_module websocket_config = {.settings = table,
                                               .values_size = sizeof(struct websocket_settings)};
