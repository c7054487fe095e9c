/* run: one measurement: its workers, the processes that are watched, and the window between. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "options.h"
#include "report.h"
#include "workers.h"

struct run {
    const struct options *options;
    struct report *report;
    struct workers *workers;
    struct proc procs[OPTIONS_MAX_PROCS + 1]; /* the options', and one that a mode adds */
    uint32_t proc_count;
    struct proc_sample before[OPTIONS_MAX_PROCS + 1];
    struct proc_sample after[OPTIONS_MAX_PROCS + 1];
    struct results results[2];
};

void run_init(struct run *run, const struct options *options, struct report *report);
void run_free(struct run *run);
/* A part of the options, for role and target. */
struct worker_part run_part(const struct run *run, const struct role *role, const char *target,
                            uint32_t connections);
/* Forks, connects, opens. */
void run_prepare(struct run *run);
/* Waits until the measured processes have nothing left to do, at most 10 s. */
void run_settle(const struct run *run);
void run_sample(struct run *run, struct proc_sample *samples);
/* The connections stay for the measured time. */
void run_stay(const struct run *run);
/* The load and its window; all workers are gone after it. */
void run_measure(struct run *run);
/* Results of a role, summed up; at most two roles at a time. */
const struct results *run_results(struct run *run, int slot, const struct role *role);
/* Connections of the role that were lost, and how they came back where they were to. */
void run_report_lost(const struct run *run, const struct results *results, const char *role);
/* CPU of the measured processes: in total and per unit (0: not reported). */
void run_report_cpu(struct run *run, uint64_t updates, uint64_t deliveries);
/* CPU of the measured processes per unit of another kind, "frame" for example. */
void run_report_cpu_per(struct run *run, double count, const char *unit);

#endif
