/*
 * supervised: this process as a worker: what its supervisor gave it, and what it asks for later.
 *
 * The worker's end of the control sockets is CONTROL_FD. The supervisor's end closes when that
 * process ends, by any cause: so a worker never outlives it unnoticed.
 */
#ifndef SUPERVISOR_SUPERVISED_H
#define SUPERVISOR_SUPERVISED_H

#include "loop/loop.h"

struct supervised;

struct supervised_callbacks {
    /* Serve another worker's socket, too (the callee owns fd), until release. */
    void (*adopt)(void *arg, const char *listener, unsigned nth, int fd, unsigned from);
    void (*release)(void *arg, unsigned from);
    /* Drain and exit: there is a replacement; or, if orphaned, the supervisor has ended. */
    void (*retire)(void *arg, bool orphaned);
};

/* Waits until the supervisor has sent everything. NULL and *error (the caller frees). */
struct supervised *supervised_join(char **error) __attribute__((warn_unused_result));
void supervised_destroy(struct supervised **supervised);
/* Its number, from 1 on, and how many workers there are. */
unsigned supervised_index(const struct supervised *supervised);
unsigned supervised_count(const struct supervised *supervised);
/* The name of this front-end. */
const char *supervised_name(const struct supervised *supervised);
/* The URL of the supervisor's own Redis; "": it has none. */
const char *supervised_redis(const struct supervised *supervised);
/* Its socket of the nth (from 0 on) listener of that text, once: the caller owns it. -1: none. */
int supervised_take_socket(struct supervised *supervised, const char *listener, unsigned nth);
/* Calls back from now on, until unwatched: before the loop is destroyed. */
void supervised_watch(struct supervised *supervised, struct loop *loop,
                      const struct supervised_callbacks *callbacks, void *arg);
/* Does nothing when NULL, or not watched. */
void supervised_unwatch(struct supervised *supervised);
/* It serves. */
void supervised_report_ready(struct supervised *supervised);
/* It does not accept connections any more. */
void supervised_report_draining(struct supervised *supervised);

#endif
