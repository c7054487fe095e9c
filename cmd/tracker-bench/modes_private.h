/* modes_private: shared by the modes' files; modes_ws.c has those for WebSocket. */
#ifndef BENCH_MODES_PRIVATE_H
#define BENCH_MODES_PRIVATE_H

#include "run.h"

/* Exits with an error when it is NULL. */
void need_target(const char *target);
/* Resident memory per connection, between two samples of each measured process. */
void report_memory(struct run *run, const char *what, const struct proc_sample *from,
                   const struct proc_sample *to);

/* A step of connections at the rate, or as fast as they are answered; its duration is reported
 * under that name. */
void paced_step(struct run *run, enum step step, const char *name);

void measure_ws_fanout(const struct options *options, struct report *report);
void measure_ws_idle(const struct options *options, struct report *report);
void measure_presence(const struct options *options, struct report *report);
void measure_tick(const struct options *options, struct report *report);

/* masters.c: over UDP, without workers. */
void measure_getservers(const struct options *options, struct report *report);
void measure_flood(const struct options *options, struct report *report);
void measure_servers(const struct options *options, struct report *report);

#endif
