/*
 * lobby_link: a connection to the lobby that comes back by itself, and the lines that it brings:
 * what game_server and server_list share.
 *
 * Embedded in its owner, which outlives every callback: the owner's memory goes by `release`, in
 * the loop's last phase.
 */
#ifndef CLIENT_LOBBY_LINK_PRIVATE_H
#define CLIENT_LOBBY_LINK_PRIVATE_H

#include <stdbool.h>

#include "client/lobby_options.h"
#include "client/wire_private.h"
#include "codec/lobby.h"

struct lobby_link_events {
    /* Connected: the login is to be written to link->wire.out. */
    void (*up)(void *arg);
    /* A message; the answer to the login is told apart by lobby_link_greeted. */
    void (*message)(void *arg, const struct lobby_message *message);
    void (*down)(void *arg, const char *reason);
    void (*release)(void *arg);
};

struct lobby_link {
    struct loop *loop;
    const struct lobby_link_events *events;
    void *arg;
    struct lobby_options options; /* defaults filled in; its strings are ours */
    struct wire_target target;
    struct wire wire;
    struct loop_timer *retry;
    struct loop_timer *watchdog;
    struct loop_task release;
    unsigned failures; /* attempts since the tracker last took us in */
    unsigned before;   /* those that there were then: a welcome may be taken back */
    bool running;
    bool greeted;   /* the tracker has answered the login */
    bool unwelcome; /* it refused what will be refused again */
    bool silent_is_bad;
};

/* NULL, or what is wrong with the options (the caller frees): then there is no link. silent_is_bad:
 * the tracker speaks at least every silence_ms. */
char *lobby_link_init(struct lobby_link *link, struct loop *loop,
                      const struct lobby_options *options, bool silent_is_bad,
                      const struct lobby_link_events *events, void *arg);
/* Closes without a callback; `release` follows. */
void lobby_link_end(struct lobby_link *link);
void lobby_link_start(struct lobby_link *link);
void lobby_link_stop(struct lobby_link *link);
/* The login has been accepted. */
void lobby_link_greeted(struct lobby_link *link);
bool lobby_link_is_up(const struct lobby_link *link);
/* To be called after appending to link->wire.out; over max_output the connection is given up. */
void lobby_link_send(struct lobby_link *link);

#endif
