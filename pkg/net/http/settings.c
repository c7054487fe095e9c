/* http_settings: the table of http.*. */
#include <stddef.h>

#include "net/http/http.h"

#define DAY_MS (24LL * 3600 * 1000)
#define GIB    (1LL << 30)
#define BOTH   (CONFIG_RELOADABLE | CONFIG_LISTENER)

#define HTTP(name, type, standard, min, max, help)                                                 \
    {                                                                                              \
        "http." #name, type, offsetof(struct http_settings, name), standard, BOTH, min, max, NULL, \
            help, NULL                                                                             \
    }

static const struct config_setting http_table[] = {
    HTTP(max_header, CONFIG_SIZE, "16KiB", 256, 65536,
         "Size of a request's first line and headers together."),
    HTTP(max_headers, CONFIG_INT, "100", 1, 1000, "Header lines of a request."),
    HTTP(max_body, CONFIG_SIZE, "64KiB", 0, GIB, "Size of a request's body."),
    HTTP(timeout, CONFIG_DURATION, "10s", 100, DAY_MS,
         "How long a request may take until it is complete."),
    HTTP(idle, CONFIG_DURATION, "60s", 100, DAY_MS,
         "How long a kept connection may wait for its next request."),
    {.key = NULL}};

const struct config_module http_config = {.settings = http_table,
                                          .values_size = sizeof(struct http_settings)};
