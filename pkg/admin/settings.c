/* settings: the table of web.*. */
#include "admin/admin.h"

#include <stddef.h>
#include <string.h>

#define TOKEN_MIN 16

static const char *check_admin_token(const char *value)
{
    size_t len = strlen(value);
    if (len == 0) {
        return NULL;
    }
    for (const char *at = value; *at; at++) {
        if (*at < '!' || *at > '~') {
            return "printable characters without spaces are expected";
        }
    }
    return len < TOKEN_MIN ? "at least 16 characters are expected" : NULL;
}

#define WEB(name, type, standard, flags, min, max, choices, check, help)                           \
    {                                                                                              \
        "web." #name, type, offsetof(struct admin_settings, name), standard,                       \
            CONFIG_RELOADABLE | (flags), min, max, choices, help, check                            \
    }

static const struct config_setting table[] = {
    WEB(page, CONFIG_ENUM, "on", 0, 0, 0, "on|off|token", NULL,
        "Whether the page is served at /: to everybody, not at all, or only with web.token."),
    WEB(api, CONFIG_ENUM, "on", 0, 0, 0, "on|off|token", NULL,
        "The same for the API below /api/v1/."),
    WEB(token, CONFIG_STRING, "", CONFIG_SECRET, 0, 0, NULL, check_admin_token,
        "Token of operators for the page and the API: at least 16 characters."),
    WEB(addresses, CONFIG_BOOL, "false", 0, 0, 0, NULL, NULL,
        "Whether the page and the API show the addresses of clients."),
    WEB(max_listed, CONFIG_INT, "1000", 0, 1, 100000, NULL, NULL,
        "Clients in one answer of the API."),
    WEB(max_scanned, CONFIG_INT, "20000", 0, 1, 10000000, NULL, NULL,
        "Clients that one search request examines."),
    WEB(max_searched, CONFIG_SIZE, "4MiB", 0, 1, 1LL << 40, NULL, NULL,
        "Bytes of clients that one search request examines."),
    WEB(max_lists, CONFIG_SIZE, "32MiB", 0, 0, 1LL << 40, NULL, NULL,
        "Bytes of the lists of game servers that are kept, and that clients have not read yet."),
    WEB(max_watchers, CONFIG_INT, "100", 0, 0, 100000, NULL, NULL,
        "Concurrent live streams, one for each open page."),
    WEB(address_watchers, CONFIG_INT, "0", 0, 0, 100000, NULL, NULL,
        "Concurrent live streams of one address; 0 for no limit."),
    WEB(max_state, CONFIG_SIZE, "1KiB", 0, 0, 1 << 20, NULL, NULL,
        "Bytes of a state that are included in lists and live streams."),
    WEB(chunk, CONFIG_SIZE, "64KiB", 0, 1024, 16 << 20, NULL, NULL,
        "Size of a chunk in which a live stream sends the whole map, or the API a list."),
    {.key = NULL}};

const struct config_module admin_config = {.settings = table,
                                           .values_size = sizeof(struct admin_settings)};

const char *admin_settings_check(const struct admin_settings *settings)
{
    bool needed = settings->page == ADMIN_TOKEN || settings->api == ADMIN_TOKEN;
    if (needed && *settings->token == 0) {
        return "web.page or web.api requires a token, but web.token is empty";
    }
    return NULL;
}
