/* token_settings: the auth.* part of the configuration table. */
#include "auth/token.h"

#define HOUR_MS 3600000

#define AUTH(name, type, standard, extra, min, max, choices, check, help)                          \
    {                                                                                              \
        "auth." #name, type, offsetof(struct auth_settings, name), standard,                       \
            CONFIG_RELOADABLE | (extra), min, max, choices, help, check                            \
    }

static const struct config_setting table[] = {
    AUTH(mode, CONFIG_ENUM, "off", 0, 0, 0, "off|on", NULL,
         "Whether clients of WebSocket protocols must have a signed token."),
    AUTH(algorithm, CONFIG_ENUM, "HS256", 0, 0, 0, "HS256|RS256|ES256", NULL,
         "Algorithm of the signature; tokens that name another one are refused."),
    AUTH(key, CONFIG_STRING, "", CONFIG_SECRET, 0, 0, NULL, NULL,
         "Key of the signatures: for HS256 a secret of at least 32 bytes, else a public key as "
         "PEM."),
    AUTH(previous_key, CONFIG_STRING, "", CONFIG_SECRET, 0, 0, NULL, NULL,
         "A second key whose tokens are accepted too, while keys change; empty: none."),
    AUTH(issuer, CONFIG_STRING, "", 0, 0, 0, NULL, NULL,
         "Issuer (iss) that a token must name; empty: any."),
    AUTH(audience, CONFIG_STRING, "", 0, 0, 0, NULL, NULL,
         "Audience (aud) that a token must name; empty: any."),
    AUTH(leeway, CONFIG_DURATION, "5s", 0, 0, HOUR_MS, NULL, NULL,
         "How far the clock of the issuer of tokens may differ from ours."),
    AUTH(deadline, CONFIG_DURATION, "10s", 0, 100, HOUR_MS, NULL, NULL,
         "How long a connection may wait with its token, where it is sent in a message."),
    AUTH(max_token, CONFIG_SIZE, "8KiB", 0, 256, 65536, NULL, NULL,
         "Size of a token; a longer one is refused."),
    {.key = NULL}};

const struct config_module auth_config = {.settings = table,
                                          .values_size = sizeof(struct auth_settings)};
