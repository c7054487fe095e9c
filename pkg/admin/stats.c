/* stats: this front-end's numbers. Totals, not rates: clients compute these from two requests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin_private.h"
#include "base/clock.h"
#include "base/mem.h"
#include "metrics/metrics.h"

/* A bound on the protocols that other front-ends may claim; more than exist. */
#define PROTOCOLS_MAX 16

static void write_stat(struct json_writer *json, const char *name, int64_t value)
{
    json_write_name(json, name);
    json_write_integer(json, value);
}

static int64_t resident_bytes(void)
{
    long long virtual_pages, resident_pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) {
        return 0;
    }
    if (fscanf(file, "%lld %lld", &virtual_pages, &resident_pages) != 2) {
        resident_pages = 0;
    }
    (void)fclose(file);
    return resident_pages * sysconf(_SC_PAGESIZE);
}

/* The sum of a metric over all labels. */
static int64_t sum_metric_lines(const char *wanted)
{
    int64_t total = 0;
#define METRIC(id, kind, name, labels, help)                                                       \
    if (strcmp(name, wanted) == 0)                                                                 \
        total += metrics_get(METRIC_##id);
#define METRIC_HISTOGRAM(id, name, unit, help)
#include "metrics/metrics_list.h"
#undef METRIC
#undef METRIC_HISTOGRAM
    return total;
}

struct protocol_count {
    struct bytes name;
    int64_t entries;
};

static void count_protocol(struct protocol_count *counts, size_t *count, struct bytes name)
{
    size_t i = 0;
    while (i < *count && !bytes_equal(counts[i].name, name)) {
        i++;
    }
    if (i == PROTOCOLS_MAX) {
        return;
    }
    if (i == *count) {
        counts[(*count)++] = (struct protocol_count){name, 0};
    }
    counts[i].entries++;
}

static void write_protocols(struct json_writer *json, struct map_view *view)
{
    struct protocol_count counts[PROTOCOLS_MAX];
    struct map_cursor cursor = {0};
    struct map_entry *entry;
    size_t count = 0;
    map_cursor_begin(&cursor, view, MAP_CURSOR_OLDEST);
    while ((entry = map_cursor_next(&cursor))) {
        struct bytes name = map_entry_field(entry, "protocol");
        if (name.len > 0 && json_is_text(name)) {
            count_protocol(counts, &count, name);
        }
    }
    map_cursor_end(&cursor);
    json_write_name(json, "protocols");
    json_write_object_begin(json);
    for (size_t i = 0; i < count; i++) {
        json_write_key(json, counts[i].name);
        json_write_integer(json, counts[i].entries);
    }
    json_write_object_end(json);
}

/* The view may lack changes since Redis last answered. */
static void write_staleness(struct json_writer *json, const struct admin *admin)
{
    struct map_contact contact = map_contact(admin->map);
    uint64_t now = map_redis_time_ms(admin->map), silent = 0;
    if (map_is_ready(admin->map, NULL)) {
        return;
    }
    if (contact.answered_ms > 0) {
        silent = loop_now_ms(admin->loop) - contact.answered_ms;
    }
    write_stat(json, "stale_since", (int64_t)(now - silent));
}

static void write_readiness(struct json_writer *json, const struct admin *admin)
{
    const char *why = NULL;
    bool ready = health_is_ready(admin->health, &why);
    json_write_name(json, "ready");
    json_write_boolean(json, ready);
    if (!ready) {
        json_write_member(json, "why", bytes_from_string(why));
    }
    json_write_name(json, "redis");
    json_write_boolean(json, metrics_get(METRIC_REDIS_UP) != 0);
}

void stats_write(struct json_writer *json, struct admin *admin, const struct admin_space *space,
                 bool protocols)
{
    struct map_view *view = space->watcher.view;
    json_write_object_begin(json);
    json_write_member(json, "node", bytes_from_string(map_node_id(admin->map)));
    json_write_member(json, "name", bytes_from_string(map_node_name(admin->map)));
    json_write_member(json, "version", bytes_from_string(admin->version));
    write_stat(json, "time", (int64_t)map_redis_time_ms(admin->map));
    write_readiness(json, admin);
    write_staleness(json, admin);
    json_write_member(json, "space", bytes_from_string(map_space_name(space->map)));
    if (view && map_view_is_live(view)) {
        write_stat(json, "clients", (int64_t)map_view_count(view));
        if (protocols) {
            write_protocols(json, view);
        }
    }
    write_stat(json, "connections", metrics_get(METRIC_CONNECTIONS));
    write_stat(json, "websockets", metrics_get(METRIC_WEBSOCKET_CONNECTIONS));
    write_stat(json, "sessions", metrics_get(METRIC_SESSIONS));
    write_stat(json, "owned", metrics_get(METRIC_OWNED));
    write_stat(json, "watchers", (int64_t)live_count(admin->live));
    write_stat(json, "messages", sum_metric_lines("messages_total"));
    write_stat(json, "updates", metrics_get(METRIC_WRITES_OK));
    write_stat(json, "events", metrics_get(METRIC_EVENTS));
    write_stat(json, "received_bytes", metrics_get(METRIC_BYTES_IN));
    write_stat(json, "sent_bytes", metrics_get(METRIC_BYTES_OUT));
    write_stat(json, "memory", resident_bytes());
    write_stat(json, "redis_memory", metrics_get(METRIC_REDIS_MEMORY_USED));
    write_stat(json, "redis_maxmemory", metrics_get(METRIC_REDIS_MEMORY_MAX));
    json_write_name(json, "redis_full");
    json_write_boolean(json, map_is_full(admin->map));
    write_stat(json, "input_memory", metrics_get(METRIC_INPUT_MEMORY));
    write_stat(json, "input_memory_limit", metrics_get(METRIC_INPUT_MEMORY_LIMIT));
    write_stat(json, "output_memory", metrics_get(METRIC_OUTPUT_MEMORY));
    write_stat(json, "output_memory_limit", metrics_get(METRIC_OUTPUT_MEMORY_LIMIT));
    write_stat(json, "cpu_us", (int64_t)clock_cpu_us());
    json_write_object_end(json);
}
