/*
 * workers: the generator processes of a run, and their parent's way through the steps.
 *
 * Parts are added, workers_start forks, and every workers_step returns when each process has done
 * it. A process that fails, or takes too long, ends the run with an error. The processes die with
 * their parent.
 */
#ifndef BENCH_WORKERS_H
#define BENCH_WORKERS_H

#include "bench.h"

struct workers;

struct workers *workers_create(void);
/* After workers_end. */
void workers_destroy(struct workers **workers);
/* Divides a part into as many processes as its descriptors need, and at least `processes`. */
void workers_add(struct workers *workers, const struct worker_part *part, uint32_t processes);
void workers_start(struct workers *workers);
/* Within timeout_s. */
void workers_step(struct workers *workers, enum step step, unsigned timeout_s);
/* Lets the load begin and returns at once; workers_wait then waits for its end. */
void workers_run(struct workers *workers, const struct span *span);
void workers_wait(struct workers *workers, unsigned timeout_s);
/* STEP_END, and the processes are gone. */
void workers_end(struct workers *workers);
/* The sum over all processes of a role. */
void workers_results(const struct workers *workers, const struct role *role, struct results *sum);

#endif
