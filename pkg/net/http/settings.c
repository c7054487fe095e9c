/* http_settings: the table of http.*. */
#include <stddef.h>

#include "net/http/host.h"
#include "net/http/http.h"

#define DAY_MS (24LL * 3600 * 1000)
#define GIB    (1LL << 30)
#define BOTH   (CONFIG_RELOADABLE | CONFIG_LISTENER)

#define HTTP(name, type, standard, min, max, check, help)                                          \
    {                                                                                              \
        "http." #name, type, offsetof(struct http_settings, name), standard, BOTH, min, max, NULL, \
            help, check                                                                            \
    }

static const struct config_setting http_table[] = {
    HTTP(hosts, CONFIG_STRING, "", 0, 0, http_hosts_check,
         "Names under which the page and the API are served, as page.example.org, besides those "
         "that always are: IP addresses, localhost, the machine's and the listeners' names."),
    HTTP(max_header, CONFIG_SIZE, "16KiB", 256, 65536, NULL,
         "Size of a request's first line and headers together."),
    HTTP(max_headers, CONFIG_INT, "100", 1, 1000, NULL, "Header lines of a request."),
    HTTP(max_body, CONFIG_SIZE, "64KiB", 0, GIB, NULL, "Size of a request's body."),
    HTTP(timeout, CONFIG_DURATION, "10s", 100, DAY_MS, NULL,
         "How long a request may take until it is complete."),
    HTTP(idle, CONFIG_DURATION, "60s", 100, DAY_MS, NULL,
         "How long a kept connection may wait for its next request."),
    {.key = NULL}};

const struct config_module http_config = {.settings = http_table,
                                          .values_size = sizeof(struct http_settings)};
