/* stats: this front-end's numbers. Totals, not rates: clients compute these from two requests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/listing_private.h"
#include "base/clock.h"
#include "base/mem.h"
#include "metrics/metrics.h"

/* A bound on the protocols that other front-ends may claim; more than exist. */
#define PROTOCOLS_MAX     16
#define PROTOCOL_NAME_MAX 32
#define STEP_COUNTED      256 /* entries in one step */

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

/* Entries by protocol. */
struct protocol_count {
    uint8_t len;
    char name[PROTOCOL_NAME_MAX];
    int64_t entries;
};

struct protocol_table {
    struct protocol_count counts[PROTOCOLS_MAX];
    size_t count;
    uint64_t generation, watches; /* of the view, when the count was begun */
};

/* One count at a time, for all who ask; each step of any of them advances it. */
struct protocol_tally {
    struct protocol_table running, done;
    bool is_running;
    uint64_t begun, completed; /* the number of the last one, from 1 */
    struct writer after;       /* the id of the last entry that was counted */
};

static void count_protocol(struct protocol_table *table, struct bytes name)
{
    size_t i = 0;
    while (i < table->count && !bytes_equal((struct bytes){(const uint8_t *)table->counts[i].name,
                                                           table->counts[i].len},
                                            name)) {
        i++;
    }
    if (i == PROTOCOLS_MAX || name.len > PROTOCOL_NAME_MAX) {
        return;
    }
    if (i == table->count) {
        struct protocol_count *count = &table->counts[table->count++];
        *count = (struct protocol_count){.len = (uint8_t)name.len};
        memcpy(count->name, name.data, name.len);
    }
    table->counts[i].entries++;
}

static bool is_table_of(const struct protocol_table *table, const struct admin_space *space)
{
    return table->watches == space->watches &&
           table->generation == map_view_generation(space->watcher.view);
}

/* Counts some more entries. */
static void step_tally(struct protocol_tally *tally, const struct admin_space *space)
{
    struct map_view *view = space->watcher.view;
    size_t count;
    struct map_entry *const *entries = map_view_sorted(view, &count);
    if (!tally->is_running) {
        tally->is_running = true;
        tally->begun++;
        tally->running = (struct protocol_table){.generation = map_view_generation(view),
                                                 .watches = space->watches};
        writer_reset(&tally->after);
    }
    size_t at = listing_place_after(entries, count, writer_bytes_written(&tally->after));
    for (size_t i = 0; i < STEP_COUNTED && at < count; i++) {
        struct bytes name = map_entry_field(entries[at], "protocol");
        if (name.len > 0 && json_is_text(name)) {
            count_protocol(&tally->running, name);
        }
        listing_note_id(&tally->after, entries[at++]);
    }
    if (at == count) {
        tally->is_running = false;
        tally->done = tally->running;
        tally->completed = tally->begun;
    }
}

static void write_protocols(struct json_writer *json, const struct protocol_table *table)
{
    json_write_name(json, "protocols");
    json_write_object_begin(json);
    for (size_t i = 0; i < table->count; i++) {
        const struct protocol_count *count = &table->counts[i];
        json_write_key(json, (struct bytes){(const uint8_t *)count->name, count->len});
        json_write_integer(json, count->entries);
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
        if (protocols && space->tally && space->tally->completed > 0) {
            write_protocols(json, &space->tally->done);
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

/* GET /api/v1/stats: from the view as it is, so that it never waits for Redis. */

struct stats_answer {
    struct listing listing;
    uint64_t wanted; /* the first count that began no earlier than the request */
};

static void free_stats_answer(struct listing *listing)
{
    free(listing);
}

static bool write_stats_answer(struct listing *listing)
{
    const struct stats_answer *answer = (const struct stats_answer *)listing;
    struct protocol_tally *tally = listing->space->tally;
    if (tally->completed < answer->wanted && !is_table_of(&tally->done, listing->space)) {
        step_tally(tally, listing->space);
        return true;
    }
    stats_write(&listing->json, listing->admin, listing->space, true);
    writer_u8(&listing->text, '\n');
    return false;
}

void stats_answer(struct admin *admin, struct http_request *request, struct admin_space *space)
{
    struct stats_answer *answer = mem_zalloc(1, sizeof *answer);
    if (!space->tally) {
        space->tally = mem_zalloc(1, sizeof *space->tally);
    }
    const struct protocol_tally *tally = space->tally;
    bool joins = tally->is_running && is_table_of(&tally->running, space);
    answer->wanted = tally->begun + !joins;
    answer->listing.write = write_stats_answer;
    answer->listing.free = free_stats_answer;
    admin_charge(request, map_view_count(space->watcher.view) / ADMIN_SCANNED_PER_UNIT);
    listing_start(&answer->listing, admin, request, space, false, "count_protocols");
}

void stats_remove_space(struct admin_space *space)
{
    if (space->tally) {
        writer_free(&space->tally->after);
    }
    free(space->tally);
    space->tally = NULL;
}
