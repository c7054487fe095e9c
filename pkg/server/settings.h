/* settings: the server's own settings, beside those of the modules it is built from. */
#ifndef SERVER_SETTINGS_H
#define SERVER_SETTINGS_H

#include "config/config.h"

struct server_settings {
    char *listen;    /* listen: KIND=ADDR:PORT[,option=value...] ..., separated by spaces */
    char *node;      /* node: the name shown; empty: the host's name and the process id */
    char *workers;   /* workers: a number or "auto"; 0 or empty: one process, no supervisor */
    char *advertise; /* node.advertise: HOST:PORT of the web listener for peers; empty: none */
    int log_level;   /* log.level: enum log_level */
    int log_format;  /* log.format: enum log_format */
    int64_t slow_iteration;  /* log.slow_iteration, ms; 0: none is logged */
    int64_t drain_time;      /* drain.time, ms over which sessions are closed */
    char *access_allow;      /* access.allow: prefixes; empty: every address */
    char *access_deny;       /* access.deny: prefixes */
    int64_t connect_rate;    /* access.connect_rate: of an address, a second; 0: no limit */
    int64_t connect_burst;   /* access.connect_burst */
    int64_t connect_tracked; /* access.connect_tracked: addresses whose rate is remembered */
};
extern const struct config_module server_config;

#endif
