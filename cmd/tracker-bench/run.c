/* run: see the header. */
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define LEAD_US      50000 /* between the command and the load's begin */
#define SETTLE_US    200000
#define SETTLE_TRIES 50
#define QUIET_US     20000 /* CPU in SETTLE_US of processes that have nothing to do */
#define STEP_S       120
#define SPARE_S      20

static void sleep_until(uint64_t time_us)
{
    struct timespec until = {(time_t)(time_us / 1000000), (long)(time_us % 1000000) * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

static void sleep_for(double seconds)
{
    sleep_until(clock_monotonic_us() + (uint64_t)(seconds * 1e6));
}

/* All are connected: from now on servers may be restarted. */
static void report_begin(const struct run *run, double seconds)
{
    if (run->options->reconnect) {
        bench_warn("all are connected, for %g s", seconds);
    }
}

void run_stay(const struct run *run)
{
    report_begin(run, run->options->seconds);
    sleep_for(run->options->seconds);
}

void run_sample(struct run *run, struct proc_sample *samples)
{
    for (uint32_t i = 0; i < run->proc_count; i++) {
        proc_read(&run->procs[i], &samples[i]);
    }
}

void run_init(struct run *run, const struct options *options, struct report *report)
{
    memset(run, 0, sizeof *run);
    run->options = options;
    run->report = report;
    run->workers = workers_create();
    memcpy(run->procs, options->procs, sizeof options->procs);
    run->proc_count = options->proc_count;
    /* One that is not there is found before anything is started. */
    run_sample(run, run->before);
}

void run_free(struct run *run)
{
    workers_destroy(&run->workers);
}

struct worker_part run_part(const struct run *run, const struct role *role, const char *target,
                            uint32_t connections)
{
    return (struct worker_part){.role = role,
                                .target = target,
                                .connections = connections,
                                .entries = run->options->entries,
                                .sources = run->options->sources,
                                .window = run->options->window,
                                .rate = run->options->window > 0 ? 0 : run->options->rate,
                                .state_size = run->options->state_size,
                                .each = run->options->each,
                                .dialect = run->options->dialect,
                                .tls = run->options->tls,
                                .reconnect = run->options->reconnect};
}

void run_prepare(struct run *run)
{
    workers_start(run->workers);
    workers_step(run->workers, STEP_CONNECT, STEP_S);
    workers_step(run->workers, STEP_OPEN, STEP_S);
}

static uint64_t cpu_of_all(const struct run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->proc_count; i++) {
        struct proc_sample sample;
        proc_read(&run->procs[i], &sample);
        sum += sample.cpu_us;
    }
    return sum;
}

void run_settle(const struct run *run)
{
    for (int i = 0; i < SETTLE_TRIES; i++) {
        uint64_t before = cpu_of_all(run);
        sleep_for(SETTLE_US / 1e6);
        if (cpu_of_all(run) <= before + QUIET_US) {
            return;
        }
    }
}

void run_measure(struct run *run)
{
    const struct options *options = run->options;
    struct span span = {.begin_us = clock_monotonic_us() + LEAD_US};
    span.window_us = span.begin_us + (uint64_t)(options->warmup * 1e6);
    span.end_us = span.window_us + (uint64_t)(options->seconds * 1e6);
    workers_run(run->workers, &span);
    report_begin(run, options->warmup + options->seconds);
    sleep_until(span.window_us);
    run_sample(run, run->before);
    sleep_until(span.end_us);
    run_sample(run, run->after);
    workers_wait(run->workers, SPARE_S);
    /* What is under way to the watchers still counts as latency. */
    run_settle(run);
    workers_end(run->workers);
}

const struct results *run_results(struct run *run, int slot, const struct role *role)
{
    workers_results(run->workers, role, &run->results[slot]);
    return &run->results[slot];
}

void run_report_lost(const struct run *run, const struct results *results, const char *role)
{
    const struct histogram *outages = &results->outages;
    char prefix[40];
    report_add(run->report, (double)results->lost, 0, "", "%s_lost", role);
    if (!run->options->reconnect) {
        return;
    }
    report_add(run->report, (double)results->reconnections, 0, "", "%s_reconnections", role);
    report_add(run->report, (double)results->failed_attempts, 0, "", "%s_failed_attempts", role);
    report_add(run->report, (double)results->still_closed, 0, "", "%s_still_closed", role);
    if (results->sent + results->missed > 0) {
        report_add(run->report, (double)results->missed, 0, "", "%s_missed", role);
    }
    report_add(run->report, (double)outages->max / 1e3, 1, "ms", "%s_longest_outage", role);
    (void)snprintf(prefix, sizeof prefix, "%s_outage", role);
    report_add_latency(run->report, prefix, outages);
}

void run_report_cpu(struct run *run, uint64_t updates, uint64_t deliveries)
{
    for (uint32_t i = 0; i < run->proc_count; i++) {
        const char *name = run->procs[i].name;
        double cpu = (double)(run->after[i].cpu_us - run->before[i].cpu_us);
        report_add(run->report, cpu / run->options->seconds / 1e4, 1, "% of a core",
                   "%s_cpu_percent", name);
    }
    run_report_cpu_per(run, (double)updates, "update");
    run_report_cpu_per(run, (double)deliveries, "delivery");
}

void run_report_cpu_per(struct run *run, double count, const char *unit)
{
    for (uint32_t i = 0; i < run->proc_count && count > 0; i++) {
        double cpu = (double)(run->after[i].cpu_us - run->before[i].cpu_us);
        report_add(run->report, cpu / count, 3, "us of CPU", "%s_cpu_us_per_%s", run->procs[i].name,
                   unit);
    }
}
