/*
 * supervisor: N worker processes on the same listening sockets.
 *
 * It executes this program once for each worker, with its arguments and --worker K, and gives it
 * its sockets (control.h), which it keeps open: the connections that wait in a socket's queue
 * outlive the worker. It keeps no other state. A worker that ends is started again, after a pause
 * that grows with its failures; meanwhile another one serves its sockets, too.
 *
 * Until all workers have been ready once, one that ends ends them all: what is wrong then would be
 * wrong again.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"

#define SUPERVISOR_WORKERS_MAX 256

/* The sockets of one listener. */
struct supervisor_socket {
    const char *listener; /* its text, by which workers find it */
    unsigned nth;         /* of those with this text, from 0 on */
    bool is_shared;       /* all workers use the first descriptor */
    const int *fds;       /* one for each worker, unless is_shared */
};

struct supervisor_options {
    unsigned count;         /* of workers */
    const char *name;       /* of this front-end: the workers are NAME-1, NAME-2... */
    const char *redis;      /* the URL of its own Redis, or "" */
    const char *program;    /* the path of this program, from which an upgrade takes it anew */
    char *const *arguments; /* after the program's name, ended by NULL */
    const struct supervisor_socket *sockets;
    size_t socket_count;
    /* All workers have been ready: once. */
    void (*ready)(void *arg);
    /* An upgrade begins: supervisor_set_sockets has to give it those of the new configuration.
     * False: there is none, which has been logged. It has ended: no worker uses other sockets any
     * more. */
    bool (*refresh)(void *arg);
    void (*upgraded)(void *arg);
    /* The workers are to end: their sockets are not needed any more. */
    void (*stopping)(void *arg);
    /* The last worker has ended, after supervisor_stop or because of an error. exit_code: 0 if all
     * went well; 2 where a worker refuses its configuration at the start; else 1. */
    void (*ended)(void *arg, int exit_code);
    void *arg;
};

struct supervisor;

/* Everything in options is borrowed. NULL and *error (the caller frees). */
struct supervisor *supervisor_create(struct loop *loop, const struct supervisor_options *options,
                                     char **error) __attribute__((warn_unused_result));
/* No worker may be left. */
void supervisor_destroy(struct supervisor **supervisor);
/* Starts all workers. */
void supervisor_start(struct supervisor *supervisor);
/* SIGTERM for all workers, which drain; a second time they exit at once. exit_code: the least that
 * `ended` is called with. */
void supervisor_stop(struct supervisor *supervisor, int exit_code);
/* SIGHUP for all workers. */
void supervisor_reload(struct supervisor *supervisor);
/* Replaces the workers by new processes, one after the other: each executes the program that now
 * has its path, on the same sockets; when it is ready, the previous process drains and ends. A new
 * one that ends before it is ready ends the upgrade; the others stay as they are. */
void supervisor_upgrade(struct supervisor *supervisor);
/* For processes that are started from now on; borrowed. */
void supervisor_set_sockets(struct supervisor *supervisor, const struct supervisor_socket *sockets,
                            size_t count);

/* How long to wait before a worker is started again that has failed so many times in a row. */
uint64_t supervisor_restart_pause(unsigned failures);

#endif
