/*
 * crew: the generator processes of a run, and their parent's way through the steps.
 *
 * Parts are added, crew_start forks, and every crew_step returns when each process has done it. A
 * process that fails, or takes too long, ends the run with an error. The processes die with their
 * parent.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include "bench.h"

struct crew;

struct crew *crew_create(void);
/* After crew_end. */
void crew_destroy(struct crew **crew);
/* Divides a part into as many processes as its descriptors need, and at least `processes`. */
void crew_add(struct crew *crew, const struct part *part, uint32_t processes);
void crew_start(struct crew *crew);
/* Within timeout_s. */
void crew_step(struct crew *crew, enum step step, unsigned timeout_s);
/* Lets the load begin and returns at once; crew_wait then waits for its end. */
void crew_run(struct crew *crew, const struct span *span);
void crew_wait(struct crew *crew, unsigned timeout_s);
/* STEP_END, and the processes are gone. */
void crew_end(struct crew *crew);
/* The sum over all processes of a role. */
void crew_results(const struct crew *crew, const struct role *role, struct results *sum);

#endif
