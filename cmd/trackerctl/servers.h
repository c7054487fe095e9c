/*
 * servers: the player's list of game servers: the lobby's list with pings measured here, filtered
 * and sorted; shown on a screen, as a table, or as JSON.
 */
#ifndef TRACKERCTL_SERVERS_H
#define TRACKERCTL_SERVERS_H

#include "base/address.h"
#include "base/hash.h"
#include "base/list.h"
#include "client/pinger.h"
#include "client/server_list.h"
#include "ctl.h"
#include "rows.h"

enum servers_ping { SERVERS_PING_WAITS, SERVERS_PING_KNOWN, SERVERS_PING_SILENT };

/* A server of the list. */
struct servers_row {
    UT_hash_handle hh; /* by id */
    const struct lobby_server *server;
    struct address address; /* family ADDRESS_NONE: the tracker has sent none that can be pinged */
    enum servers_ping ping;
    uint32_t microseconds; /* of the last answer */
    struct list link;      /* the queue of pings to be measured again, oldest first */
    uint64_t asked_ms;
};

struct servers_events {
    /* The list, a ping, or the state of the connection has changed. */
    void (*changed)(void *arg);
};

struct servers; /* the model */

/* target: a lobby's listener for players, http://ADDR:PORT of a web listener, or NULL: Redis, to
 * which ctl is connected. NULL and *error (the caller frees). */
struct servers *servers_create(struct ctl *ctl, const char *target, enum pinger_method method,
                               const struct servers_events *events, void *arg, char **error);
void servers_destroy(struct servers **servers);
/* Reads a list that is polled, when it is due, and waits for it. To be called between event-loop
 * iterations of at most SERVERS_ITERATION_MS. */
#define SERVERS_ITERATION_MS 500
void servers_poll(struct servers *servers);
bool servers_are_polled(const struct servers *servers);
/* Disconnects from the tracker, and connects again. The list is kept. */
void servers_leave(struct servers *servers);
void servers_return(struct servers *servers);

/* A text that lines have to contain, in upper or lower case; empty for all. Copied. */
void servers_set_filter(struct servers *servers, struct bytes filter);
/* Those that match the filter, nearest first. Valid until the next event-loop iteration. */
struct servers_row *const *servers_rows(struct servers *servers, size_t *count);
size_t servers_count(const struct servers *servers); /* without the filter */
/* Measures all pings again. */
void servers_ping_all(struct servers *servers);
/* Whether the list is complete, and every ping measured or timed out. */
bool servers_are_whole(const struct servers *servers);
bool servers_are_measured(const struct servers *servers);
/* NULL while connected; else why not. */
const char *servers_problem(const struct servers *servers);
/* The login has succeeded at least once. */
bool servers_were_connected(const struct servers *servers);

/* How a struct servers_row is shown; those without a heading are in JSON only. */
extern const struct columns servers_columns;
/* Columns of the terminal that UTF-8 text takes. */
int servers_text_width(struct bytes text);

/* Runs the command by the shell, with %a the address, %h the host, %p the port, %% a percent sign.
 * Its exit code, or -1 after a message. */
int servers_run(const char *command, const struct servers_row *row);

/* Runs until the player quits. exec: NULL for none. */
enum ctl_exit servers_screen(struct ctl *ctl, const char *target, enum pinger_method method,
                             const char *exec);

#endif
