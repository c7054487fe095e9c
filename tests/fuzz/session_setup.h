/* session_setup: what fuzz_session.c needs once: numbers that are the same in each run, a folder
 * for the sockets, and the configuration of the front-end. */
#ifndef FUZZ_SESSION_SETUP_H
#define FUZZ_SESSION_SETUP_H

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "server/server_private.h"

/* Loaded once: no input changes it. */
static struct configuration configuration;
static struct cmdline cmdline;

static char folder[] = "/tmp/fuzz-session-XXXXXX";

/* The same numbers for the same input: so that inputs may name ids, and a crash can be repeated. */
static uint64_t random_state;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

static void fill_random(void *const to, const size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)to)[i] = (uint8_t)next_random();
    }
}

static const char *name_random(void)
{
    return "fuzz";
}

static struct randombytes_implementation repeatable = {
    .implementation_name = name_random, .random = next_random, .buf = fill_random};

static void remove_folder(void)
{
    static const char *const names[] = {"redis", "tracker", "web",  "lobby",  "servers",
                                        "old",   "wide",    "sync", "proxied"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* The configuration is that of an ordinary front-end. */
static void load_configuration(void)
{
    static const char *const listeners[] = {"tracker=unix:%s/tracker",
                                            "web=unix:%s/web",
                                            "lobby=unix:%s/lobby",
                                            "lobby-servers=unix:%s/servers,proxy=true",
                                            "tracker=unix:%s/old,proxy=true,original=2014",
                                            "tracker=unix:%s/wide,form=wide",
                                            "web=unix:%s/proxied,proxy=true",
                                            "sync=unix:%s/sync,proxy=true",
                                            "q3master=127.0.0.1:0"};
    static const char *const settings[] = {"lobby.password=secret", "lobby.verify=off",
                                           "q3master.allow_loopback=true", "node=fuzz",
                                           "log.level=info"};
    enum {
        LISTENERS = sizeof listeners / sizeof *listeners,
        SETTINGS = sizeof settings / sizeof *settings
    };
    char texts[LISTENERS + 1][160];
    char *argv[3 + 2 * (LISTENERS + SETTINGS)] = {(char *)(uintptr_t) "trackerd",
                                                  (char *)(uintptr_t) "--redis", texts[LISTENERS]};
    int argc = 3;
    snprintf(texts[LISTENERS], sizeof *texts, "unix:%s/redis", folder);
    for (size_t i = 0; i < LISTENERS; i++) {
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(texts[i], sizeof *texts, listeners[i], folder);
        argv[argc++] = (char *)(uintptr_t) "--listen";
        argv[argc++] = texts[i];
    }
    for (size_t i = 0; i < SETTINGS; i++) {
        argv[argc++] = (char *)(uintptr_t) "--set";
        argv[argc++] = (char *)(uintptr_t)settings[i];
    }
    configuration_init(&configuration);
    char *error = cmdline_parse(&cmdline, argc, argv);
    error = error ? error : server_read_configuration(&configuration, &cmdline);
    if (error) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
}

#endif
