/*
 * lobby_link: a connection to the lobby that reconnects, and the messages that it receives. Shared
 * by game_server and server_list.
 *
 * Embedded in its owner, which outlives every callback: the owner frees its memory in `release`,
 * which is called in the loop's last phase.
 */
#ifndef CLIENT_LOBBY_LINK_PRIVATE_H
#define CLIENT_LOBBY_LINK_PRIVATE_H

#include <stdbool.h>

#include "client/lobby_options.h"
#include "client/wire_private.h"
#include "codec/lobby.h"

struct lobby_link_events {
    /* Connected: write the login to link->wire.out. */
    void (*up)(void *arg);
    /* A message. When it accepts the login, call lobby_link_accept_login. */
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
    unsigned failures;         /* attempts since the last accepted login */
    unsigned earlier_failures; /* `failures` at that login; restored by a temporary refusal */
    bool running;
    bool logged_in;       /* the tracker has accepted the login */
    bool is_rejected;     /* the last refusal is permanent */
    bool expects_traffic; /* idle_timeout_ms applies */
};

/* NULL, or an error message about the options, which the caller frees. expects_traffic: the
 * tracker sends something at least every idle_timeout_ms. */
char *lobby_link_init(struct lobby_link *link, struct loop *loop,
                      const struct lobby_options *options, bool expects_traffic,
                      const struct lobby_link_events *events, void *arg);
/* Closes without a callback; `release` follows. */
void lobby_link_end(struct lobby_link *link);
void lobby_link_start(struct lobby_link *link);
void lobby_link_stop(struct lobby_link *link);
/* The login has been accepted. */
void lobby_link_accept_login(struct lobby_link *link);
bool lobby_link_is_up(const struct lobby_link *link);
/* Call it after appending to link->wire.out. Over max_output, the connection is closed. */
void lobby_link_send(struct lobby_link *link);

#endif
