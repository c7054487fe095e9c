/*
 * workers: several front-ends on the same listeners: this process as their supervisor, and as one
 * of them.
 */
#ifndef SERVER_WORKERS_H
#define SERVER_WORKERS_H

#include "server/server_private.h"

/* How many workers the setting asks for; 0: no supervisor. */
unsigned workers_count(const struct configuration *configuration);
/* Runs the supervisor until all workers have ended; the exit code. */
int workers_supervise(struct configuration *configuration, unsigned count, char *const *argv);

/* As a worker: receives what the supervisor has for it, and adds it to the command line. NULL, or
 * the error (the caller frees). */
char *workers_join(struct supervised **supervised, struct cmdline *cmdline)
    __attribute__((warn_unused_result));
/* Follows what the supervisor asks for, once it can serve; and reports that it can. */
void workers_watch(struct server *server);
void workers_report_ready(struct server *server);

#endif
