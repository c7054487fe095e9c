/*
 * ctl: what the commands of trackerctl share: options, the connection to Redis, exit codes.
 */
#ifndef TRACKERCTL_CTL_H
#define TRACKERCTL_CTL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "config/config.h"
#include "inspect/reader.h"
#include "loop/loop.h"
#include "map/map.h"
#include "redis/redis.h"

/* The address of a front-end's Tracker listener, unless --connect is given. */
#define CTL_DEFAULT_CONNECT "127.0.0.1:6789"

/* A public contract: docs/man/trackerctl.1. */
enum ctl_exit {
    CTL_OK,
    CTL_NO,          /* not found, refused, or fsck found something */
    CTL_USAGE,       /* the command line is wrong */
    CTL_UNREACHABLE, /* no connection to Redis or to the front-end */
    CTL_LATE         /* no answer in time */
};

/* The worse of two: unreachable is worse than late. */
enum ctl_exit ctl_worse(enum ctl_exit a, enum ctl_exit b);

struct ctl {
    struct loop *loop;
    struct config *config;
    struct redis_settings redis;
    struct map_settings map; /* for client.ttl and client.grace */
    struct redis_target target;
    bool guessed;          /* no address of Redis was given, and no embedded Redis was found */
    struct reader *reader; /* NULL until ctl_connect */
    const char *connect;   /* the front-end's address; NULL: the command's own */
    bool redis_given;      /* by --redis */
    const char *exec;      /* servers: what Enter runs; NULL: nothing */
    const char *ping;      /* servers: how pings are measured */
    bool plain;            /* servers: a table, once */
    const char *space;
    bool space_given;
    bool json;
    bool quiet;
    bool base64; /* ids and states on the command line are in base64 */
    bool watch;
    bool repair;
    bool listening; /* ctl_listen_for_signals was called */
    bool stopped;   /* by a signal */
    int64_t timeout_ms;
    int64_t for_ms; /* --for; 0: not given */
    struct loop_signal *interrupt, *terminate;
};

/* One line on standard output, or on standard error behind "trackerctl: ". Names and texts of
 * others may be passed as they are: characters that could act on a terminal are escaped. */
void ctl_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Warns of a setting that was given by its former name. */
void ctl_warn_renamed(const struct config_rename *rename);
/* As ctl_complain, unless --quiet. */
void ctl_note(const struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Connects to Redis and reports it. CTL_OK, or the exit code, after a message. */
enum ctl_exit ctl_connect(struct ctl *ctl);
/* Reconnects without a message, with a new reader. */
bool ctl_reconnect(struct ctl *ctl);
/* CTL_OK when the reader has no problem; else prints it. */
enum ctl_exit ctl_check(const struct ctl *ctl);
/* ctl_connect, and the space with its count of partitions. */
enum ctl_exit ctl_connect_space(struct ctl *ctl, struct reader_space *space);

/* For commands that run until a signal: SIGINT and SIGTERM set `stopped` and end the reader's
 * waits. */
void ctl_listen_for_signals(struct ctl *ctl);
/* Flushes standard output. False when its reader has closed it. */
bool ctl_flush(struct ctl *ctl);

/* An id or a state of the command line: the bytes, which the caller frees (bytes.data). False after
 * a message when --base64 was given and the text is not base64. */
bool ctl_argument(const struct ctl *ctl, const char *text, struct bytes *bytes);
/* The same for an id, which is not empty. */
bool ctl_id(const struct ctl *ctl, const char *text, struct bytes *bytes);
void ctl_argument_free(struct bytes *bytes);

/* The commands; arguments: those after its name. */
enum ctl_exit command_nodes(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_clients(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_get(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_shard(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_events(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_open(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_update(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_close(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_fsck(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_config(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_shared(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_ping(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_kick(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_send(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_presence(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_rooms(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_room(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_drain(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_reload(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_ban(struct ctl *ctl, int count, char **arguments);
/* Bans the address in an entry's field `address`, without its port. */
enum ctl_exit bans_add_client(struct ctl *ctl, struct bytes address);
enum ctl_exit command_unban(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_bans(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_password(struct ctl *ctl, int count, char **arguments);
enum ctl_exit command_servers(struct ctl *ctl, int count, char **arguments);
/* clients --watch */
enum ctl_exit watch_clients(struct ctl *ctl);

#endif
