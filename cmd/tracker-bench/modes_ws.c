/* modes_ws: the measurements of WebSocket services. */
#include <string.h>

#include "modes_private.h"
#include "relay.h"
#include "service.h"

#define MIN_TEXT 33  /* the marker and the time stamps */
#define TICK_S   0.5 /* of metadata sync, unless configured otherwise */

static const struct service *wanted_service(const struct options *options)
{
    const struct service *service;
    if (!options->service) {
        bench_fail("--service is needed (try --help)");
    }
    service = service_find(options->service);
    if (!service) {
        bench_fail("no such service: %s (try --help)", options->service);
    }
    if (options->state_size < MIN_TEXT) {
        bench_fail("--state-size: less than the %d bytes of its time stamps", MIN_TEXT);
    }
    return service;
}

static void add_websocket_part(struct run *run, const struct role *role,
                               const struct service *service, const char *target,
                               uint32_t connections, double connect_rate)
{
    struct worker_part part = run_part(run, role, target, connections);
    part.service = service;
    part.connect_rate = connect_rate;
    if (part.entries < 1) {
        part.entries = 1;
    }
    if (connections > 0) {
        workers_add(run->workers, &part, run->options->processes);
    }
}

/* Fan-out. */

static void report_delivery(struct run *run, const struct results *received, double wanted)
{
    const double seconds = run->options->seconds;
    report_add(run->report, (double)received->delivered / seconds, 0, "/s", "deliveries");
    report_add(run->report, wanted > 0 ? 100 * (double)received->delivered / wanted : 0, 1,
               "% of the expected", "delivered_percent");
    report_add(run->report, (double)received->frames / seconds, 0, "/s", "frames");
    report_add(run->report, (double)received->frame_bytes / seconds / 1e6, 2, "MB/s", "received");
    report_add(run->report,
               received->reads > 0 ? (double)received->frames / (double)received->reads : 0, 2, "",
               "frames_per_read");
    run_report_lost(run, received, "listeners");
    report_add_latency(run->report, "delivery", &received->intended);
    report_add_latency(run->report, "delivery_from_sending", &received->actual);
}

/* Both roles receive, if the service also sends to the speaker. */
static struct results sum_received(struct run *run, const struct results *spoken)
{
    struct results sum = *run_results(run, 1, &listeners_role);
    sum.delivered += spoken->delivered;
    sum.frames += spoken->frames;
    sum.frame_bytes += spoken->frame_bytes;
    sum.reads += spoken->reads;
    histogram_add(&sum.intended, &spoken->intended);
    histogram_add(&sum.actual, &spoken->actual);
    return sum;
}

static void load_service(struct run *run, const struct service *service, const char *target,
                         const char *watch)
{
    const struct options *options = run->options;
    add_websocket_part(run, &listeners_role, service, watch, options->watchers, 0);
    add_websocket_part(run, &speakers_role, service, target, options->connections, 0);
    run_prepare(run);
    run_settle(run);
    run_measure(run);
}

static void measure_websocket_fan_out(struct run *run, const struct service *service,
                                      const char *target, const char *watch)
{
    const struct options *options = run->options;
    const struct results *spoken;
    struct results received;
    uint32_t receivers = options->watchers + (service->echoes ? options->connections : 0);
    load_service(run, service, target, watch);
    spoken = run_results(run, 0, &speakers_role);
    received = sum_received(run, spoken);
    report_add(run->report, (double)spoken->sent / options->seconds, 0, "/s", "messages_sent");
    run_report_lost(run, spoken, "speakers");
    report_delivery(run, &received, (double)spoken->sent * receivers);
    run_report_cpu(run, 0, received.delivered);
    run_report_cpu_per(run, (double)received.frames, "frame");
}

void measure_ws_fanout(const struct options *options, struct report *report)
{
    const struct service *service = wanted_service(options);
    bool is_floor = strcmp(service->name, "floor") == 0;
    struct relay relay;
    struct run run;
    if (!is_floor) {
        need_target(options->target);
    }
    run_init(&run, options, report);
    if (is_floor) {
        relay_start(&relay, relay_websocket);
        run.procs[run.proc_count++] = (struct proc){"server", relay.pid};
        measure_websocket_fan_out(&run, service, relay.in, relay.out);
        relay_stop(&relay);
    } else {
        measure_websocket_fan_out(&run, service, options->target,
                                  options->watch ? options->watch : options->target);
    }
    run_free(&run);
}

/* Memory. */

void measure_ws_idle(const struct options *options, struct report *report)
{
    const struct service *service = wanted_service(options);
    struct run run;
    need_target(options->target);
    run_init(&run, options, report);
    report_add(report, options->connections, 0, "", "connections");
    add_websocket_part(&run, &listeners_role, service, options->target, options->connections,
                       options->rate);
    workers_start(run.workers);
    run_settle(&run);
    run_sample(&run, run.before);
    paced_step(&run, STEP_OPEN, "connected");
    run_settle(&run);
    run_sample(&run, run.after);
    run_stay(&run);
    workers_end(run.workers);
    run_report_lost(&run, run_results(&run, 0, &listeners_role), "connections");
    report_memory(&run, "idle", run.before, run.after);
    run_free(&run);
}

/* Presence. */

void measure_presence(const struct options *options, struct report *report)
{
    const struct results *results;
    struct run run;
    struct worker_part part;
    need_target(options->target);
    if (options->each >= options->connections) {
        bench_fail("there must be more users than friends of each");
    }
    run_init(&run, options, report);
    part = run_part(&run, &presence_role, options->target, options->connections);
    workers_add(run.workers, &part, 1);
    run_prepare(&run);
    run_settle(&run);
    run_measure(&run);
    results = run_results(&run, 0, &presence_role);
    report_add(report, (double)results->sent / options->seconds, 0, "/s", "messages_sent");
    report_delivery(&run, results, (double)results->sent * options->each);
    run_report_cpu(&run, results->sent, results->delivered);
    run_free(&run);
}

/* Metadata. */

void measure_tick(const struct options *options, struct report *report)
{
    const struct service *service = wanted_service(options);
    double clients_and_ticks =
        (options->watchers + options->connections) * options->seconds / TICK_S;
    const struct results *spoken;
    struct results received;
    struct run run;
    need_target(options->target);
    run_init(&run, options, report);
    load_service(&run, service, options->target, options->target);
    spoken = run_results(&run, 0, &speakers_role);
    received = sum_received(&run, spoken);
    report_add(report, (double)spoken->sent / options->seconds, 0, "/s", "messages_sent");
    run_report_lost(&run, spoken, "speakers");
    report_delivery(&run, &received, 0);
    report_add(report, (double)received.frames / clients_and_ticks, 2, "",
               "frames_per_client_and_tick");
    run_report_cpu(&run, 0, 0);
    run_report_cpu_per(&run, clients_and_ticks, "client_and_tick");
    run_free(&run);
}
