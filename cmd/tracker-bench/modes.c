/* modes: each defines the parts of its workers, measures, and reports. */
#include "modes.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "modes_private.h"
#include "relay.h"

#define LOAD_CONNECTIONS 16 /* of the writers during a snapshot */
#define STEP_S           120
#define STEP_MAX_S       86400

void need_target(const char *target)
{
    if (!target) {
        bench_fail("--target is needed");
    }
}

static const char *watched_target(const struct options *options)
{
    return options->watch ? options->watch : options->target;
}

static void add_writers(struct run *run, const char *target, bool bare)
{
    struct worker_part part = run_part(run, &writers_role, target, run->options->connections);
    part.bare = bare;
    if (bare) {
        part.dialect = TRACKER_VERSIONED;
    }
    if (part.entries < part.connections) {
        part.entries = part.connections;
    }
    workers_add(run->workers, &part, run->options->processes);
}

static void report_updates(struct run *run, const struct results *results, bool bare)
{
    double seconds = run->options->seconds;
    report_add(run->report, (double)results->sent / seconds, 0, "/s", "updates_sent");
    if (!bare) {
        report_add(run->report, (double)results->accepted / seconds, 0, "/s", "updates_accepted");
        report_add(run->report, (double)results->refused / seconds, 0, "/s", "updates_refused");
        report_add(run->report, (double)results->unanswered, 0, "", "updates_unanswered");
    }
    run_report_lost(run, results, "writers");
}

static void measure_updates(const struct options *options, struct report *report)
{
    struct run run;
    const struct results *results;
    need_target(options->target);
    run_init(&run, options, report);
    add_writers(&run, options->target, false);
    run_prepare(&run);
    run_settle(&run);
    run_measure(&run);
    results = run_results(&run, 0, &writers_role);
    report_updates(&run, results, false);
    report_add_latency(report, "answer", &results->intended);
    run_report_cpu(&run, results->accepted, 0);
    run_free(&run);
}

/* Fan-out. */

static void report_deliveries(struct run *run, const struct results *writers,
                              const struct results *watchers, bool bare)
{
    double wanted = (double)(bare ? writers->sent : writers->accepted) * run->options->watchers;
    double reads = (double)watchers->reads;
    report_add(run->report, (double)watchers->delivered / run->options->seconds, 0, "/s",
               "deliveries");
    report_add(run->report, wanted > 0 ? 100 * (double)watchers->delivered / wanted : 0, 1,
               "% of updates times watchers", "delivered_percent");
    report_add(run->report, reads > 0 ? (double)watchers->delivered / reads : 0, 2, "",
               "deliveries_per_read");
    run_report_lost(run, watchers, "watchers");
    report_add_latency(run->report, "delivery", &watchers->intended);
    report_add_latency(run->report, "delivery_from_sending", &watchers->actual);
}

static void measure_tracker_fan_out(struct run *run, const char *target, const char *watch,
                                    bool bare)
{
    const struct options *options = run->options;
    struct worker_part part = run_part(run, &watchers_role, watch, options->watchers);
    const struct results *writers;
    const struct results *watchers;
    part.bare = bare;
    workers_add(run->workers, &part, options->processes);
    add_writers(run, target, bare);
    run_prepare(run);
    run_settle(run);
    run_measure(run);
    writers = run_results(run, 0, &writers_role);
    watchers = run_results(run, 1, &watchers_role);
    report_updates(run, writers, bare);
    if (!bare) {
        report_add_latency(run->report, "answer", &writers->intended);
    }
    report_deliveries(run, writers, watchers, bare);
    run_report_cpu(run, bare ? writers->sent : writers->accepted, watchers->delivered);
}

static void measure_fanout(const struct options *options, struct report *report)
{
    struct run run;
    need_target(options->target);
    run_init(&run, options, report);
    measure_tracker_fan_out(&run, options->target, watched_target(options), false);
    run_free(&run);
}

static void measure_floor(const struct options *options, struct report *report)
{
    struct relay relay;
    struct run run;
    run_init(&run, options, report);
    relay_start(&relay, relay_bytes);
    run.procs[run.proc_count++] = (struct proc){"floor", relay.pid};
    measure_tracker_fan_out(&run, relay.in, relay.out, true);
    relay_stop(&relay);
    run_free(&run);
}

static void measure_pubsub(const struct options *options, struct report *report)
{
    struct run run;
    struct worker_part part;
    const struct results *results;
    need_target(options->target);
    run_init(&run, options, report);
    part = run_part(&run, &subscriber_role, options->target, options->watchers);
    workers_add(run.workers, &part, 1);
    part = run_part(&run, &publisher_role, options->target, 1);
    workers_add(run.workers, &part, 1);
    run_prepare(&run);
    run_measure(&run);
    results = run_results(&run, 0, &publisher_role);
    report_add(report, (double)results->sent / options->seconds, 0, "/s", "published");
    run_report_lost(&run, results, "publisher");
    results = run_results(&run, 1, &subscriber_role);
    report_add(report, (double)results->delivered / options->seconds, 0, "/s", "deliveries");
    run_report_lost(&run, results, "subscribers");
    report_add_latency(report, "delivery", &results->intended);
    report_add_latency(report, "delivery_from_sending", &results->actual);
    run_report_cpu(&run, run.results[0].sent, results->delivered);
    run_free(&run);
}

/* Memory. */

void report_memory(struct run *run, const char *what, const struct proc_sample *from,
                   const struct proc_sample *to)
{
    for (uint32_t i = 0; i < run->proc_count; i++) {
        report_add(run->report,
                   ((double)to[i].rss - (double)from[i].rss) / run->options->connections, 0,
                   "bytes per connection", "%s_%s_bytes", run->procs[i].name, what);
    }
}

void paced_step(struct run *run, enum step step, const char *name)
{
    const struct options *options = run->options;
    const double paced_s = options->rate > 0 ? options->connections / options->rate : 0;
    uint64_t began = clock_monotonic_us();
    if (paced_s > STEP_MAX_S) {
        bench_fail("--rate: %u connections take more than a day", options->connections);
    }
    workers_step(run->workers, step, STEP_S + (unsigned)paced_s);
    report_add(run->report, (double)(clock_monotonic_us() - began) / 1e3, 1, "ms", "%s_in", name);
}

static void measure_idle(const struct options *options, struct report *report)
{
    struct proc_sample opened[OPTIONS_MAX_PROCS + 1];
    struct run run;
    struct worker_part part;
    need_target(options->target);
    run_init(&run, options, report);
    report_add(report, options->connections, 0, "", "connections");
    part = run_part(&run, &holders_role, options->target, options->connections);
    part.connect_rate = options->rate;
    workers_add(run.workers, &part, options->processes);
    workers_start(run.workers);
    run_settle(&run);
    run_sample(&run, run.before);
    paced_step(&run, STEP_CONNECT, "connected");
    run_settle(&run);
    run_sample(&run, run.after);
    paced_step(&run, STEP_OPEN, "opened");
    run_settle(&run);
    run_sample(&run, opened);
    run_stay(&run);
    workers_end(run.workers);
    run_report_lost(&run, run_results(&run, 0, &holders_role), "connections");
    report_memory(&run, "connected", run.before, run.after);
    report_memory(&run, "opened", run.before, opened);
    run_free(&run);
}

/* The whole map. */

static void add_load(struct run *run)
{
    struct worker_part part =
        run_part(run, &writers_role, watched_target(run->options), LOAD_CONNECTIONS);
    part.entries = LOAD_CONNECTIONS;
    workers_add(run->workers, &part, 1);
}

/* Entries of connections that then stay idle. */
static void add_filling(struct run *run, uint32_t entries)
{
    struct worker_part part = run_part(run, &fillers_role, run->options->target, LOAD_CONNECTIONS);
    part.entries = entries;
    part.first_entry = LOAD_CONNECTIONS;
    workers_add(run->workers, &part, 1);
}

static void measure_snapshot(const struct options *options, struct report *report)
{
    uint32_t others = options->connections + LOAD_CONNECTIONS;
    struct run run;
    struct worker_part part;
    const struct results *results;
    need_target(options->target);
    if (options->entries < others + LOAD_CONNECTIONS) {
        bench_fail("more entries are needed than connections");
    }
    run_init(&run, options, report);
    part = run_part(&run, &holders_role, watched_target(options), options->connections);
    workers_add(run.workers, &part, options->processes);
    add_filling(&run, options->entries - others);
    add_load(&run);
    part = run_part(&run, &reader_role, watched_target(options), 1);
    part.expected = options->entries;
    workers_add(run.workers, &part, 1);
    run_prepare(&run);
    run_settle(&run);
    run_measure(&run);
    results = run_results(&run, 0, &reader_role);
    report_add(report, options->connections, 0, "", "connections");
    report_add(report, (double)results->entries, 0, "", "entries_read");
    report_add(report, (double)results->first_us / 1e3, 1, "ms", "first_byte");
    report_add(report, (double)results->whole_us / 1e3, 1, "ms", "whole_map");
    results = run_results(&run, 1, &writers_role);
    report_updates(&run, results, false);
    report_add_latency(report, "answer", &results->intended);
    run_report_lost(&run, run_results(&run, 0, &reader_role), "reader");
    run_report_lost(&run, run_results(&run, 0, &holders_role), "connections");
    run_report_lost(&run, run_results(&run, 0, &fillers_role), "fillers");
    run_report_cpu(&run, 0, 0);
    run_free(&run);
}

static const struct mode modes[] = {
    {"updates",
     "updates through one front-end",
     {.connections = 64,
      .entries = 2048,
      .window = 32,
      .seconds = 5,
      .warmup = 1,
      .sources = 16,
      .processes = 1,
      .state_size = 100,
      .dialect = TRACKER_2013},
     {.has_window = true, .has_sessions = true},
     measure_updates},
    {"fanout",
     "updates at --target, delivered to the watchers at --watch",
     {.connections = 10,
      .entries = 1000,
      .rate = 100,
      .watchers = 1000,
      .seconds = 5,
      .warmup = 1,
      .sources = 16,
      .processes = 1,
      .state_size = 100,
      .dialect = TRACKER_2013},
     {.has_window = true, .has_sessions = true},
     measure_fanout},
    {"latency",
     "the same at light load: one writer, one watcher",
     {.connections = 1,
      .rate = 100,
      .watchers = 1,
      .seconds = 10,
      .warmup = 1,
      .sources = 16,
      .processes = 1,
      .state_size = 100,
      .dialect = TRACKER_2013},
     {.has_window = true, .has_sessions = true},
     measure_fanout},
    {"floor",
     "fan-out by a bare event loop: the lower bound of the cost",
     {.connections = 10,
      .entries = 1000,
      .rate = 100,
      .watchers = 1000,
      .seconds = 5,
      .warmup = 1,
      .sources = 16,
      .processes = 1,
      .state_size = 100,
      .dialect = TRACKER_VERSIONED},
     {.has_window = true, .has_sessions = true},
     measure_floor},
    {"pubsub",
     "PUBLISH to message on the plain Redis at --target",
     {.connections = 1,
      .rate = 100,
      .watchers = 1,
      .seconds = 10,
      .warmup = 1,
      .processes = 1,
      .state_size = 100,
      .dialect = TRACKER_VERSIONED},
     {.has_sessions = true},
     measure_pubsub},
    {"idle",
     "memory per connection: connected, and with an entry opened",
     {.connections = 15000,
      .seconds = 1,
      .sources = 32,
      .processes = 1,
      .state_size = 16,
      .dialect = TRACKER_2013},
     {.may_be_idle = true, .has_sessions = true},
     measure_idle},
    {"snapshot",
     "a new client at --watch reads the whole map, created through --target",
     {.connections = 15000,
      .entries = 100000,
      .rate = 1000,
      .seconds = 5,
      .warmup = 1,
      .sources = 32,
      .processes = 1,
      .state_size = 100,
      .dialect = TRACKER_2013},
     {.has_window = true, .may_be_idle = true, .has_sessions = true},
     measure_snapshot},
    {"ws-fanout",
     "messages to all clients of a WebSocket service",
     {.connections = 10,
      .entries = 1000,
      .rate = 100,
      .watchers = 1000,
      .seconds = 5,
      .warmup = 1,
      .sources = 16,
      .processes = 1,
      .state_size = 100},
     {.has_sessions = true},
     measure_ws_fanout},
    {"ws-idle",
     "memory per idle connection of a WebSocket service",
     {.connections = 10000, .seconds = 1, .sources = 32, .processes = 1, .state_size = 100},
     {.may_be_idle = true, .has_sessions = true},
     measure_ws_idle},
    {"friends",
     "users of turntable who watch each other, and change their status",
     {.connections = 1000,
      .each = 200,
      .rate = 100,
      .seconds = 5,
      .warmup = 1,
      .sources = 16,
      .processes = 1,
      .state_size = 100},
     {.has_sessions = true},
     measure_presence},
    {"tick",
     "clients of metadata sync with properties each, some of which change",
     {.connections = 10,
      .each = 20,
      .rate = 20,
      .watchers = 990,
      .seconds = 5,
      .warmup = 1,
      .sources = 16,
      .processes = 1,
      .state_size = 100,
      .service = "sync"},
     {.has_sessions = true},
     measure_tick},
    {"getservers",
     "lists of a master, for one player over UDP with a window of queries",
     {.window = 16, .seconds = 5, .warmup = 1, .state_size = 100},
     {.has_window = true},
     measure_getservers},
    {"servers",
     "game servers that register with a master (or several, separated by commas) and stay",
     {.connections = 1000, .seconds = 1, .sources = 0, .state_size = 100},
     {.may_be_idle = true},
     measure_servers},
    {"flood",
     "datagrams to a master from many addresses that never answer",
     {.rate = 20000, .sources = 5000, .seconds = 10, .state_size = 100},
     {0},
     measure_flood},
};
#define MODES (sizeof modes / sizeof modes[0])

const struct mode *mode_find(const char *name)
{
    for (size_t i = 0; i < MODES; i++) {
        if (strcmp(modes[i].name, name) == 0) {
            return &modes[i];
        }
    }
    return NULL;
}

void modes_print(void)
{
    for (size_t i = 0; i < MODES; i++) {
        (void)printf("  %-22s %s\n", modes[i].name, modes[i].help);
    }
}
