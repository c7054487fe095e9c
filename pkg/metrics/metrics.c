/* metrics: the values, and the tables that metrics_list.h expands to. */
#include "metrics/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "metrics/metrics_private.h"
#include "metrics/process_private.h"

enum kind { KIND_counter, KIND_gauge };
enum unit { UNIT_count, UNIT_seconds };

struct description {
    const char *name;
    const char *labels;
    const char *help;
    enum kind kind;
};

struct histogram_description {
    const char *name;
    const char *help;
    enum unit unit;
};

_Alignas(METRICS_PAGE) struct metrics_area metrics_area;

static const struct description descriptions[METRIC_COUNT] = {
#define METRIC(id, kind, name, labels, help) {name, labels, help, KIND_##kind},
#define METRIC_HISTOGRAM(id, name, unit, help)
#include "metrics/metrics_list.h"
#undef METRIC
#undef METRIC_HISTOGRAM
};

static const struct histogram_description histogram_descriptions[HISTOGRAM_COUNT] = {
#define METRIC(id, kind, name, labels, help)
#define METRIC_HISTOGRAM(id, name, unit, help) {name, help, UNIT_##unit},
#include "metrics/metrics_list.h"
#undef METRIC
#undef METRIC_HISTOGRAM
};

void metrics_observe(enum metric_histogram histogram, uint64_t value)
{
    struct histogram_counts *observed = &metrics_area.histograms[histogram];
    /* The smallest power of two that is not below the value. */
    unsigned bucket = value <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(value - 1);

    if (bucket < METRIC_BUCKETS) {
        observed->buckets[bucket]++;
    }
    observed->count++;
    observed->sum += value;
}

static void write_metric_head(struct writer *to, const char *name, const char *help,
                              const char *type)
{
    writer_format(to, "# HELP tracker_%s %s\n# TYPE tracker_%s %s\n", name, help, name, type);
}

uint64_t metrics_layout(void)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ sizeof metrics_area; /* FNV-1a */
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const char *const texts[] = {descriptions[i].name, descriptions[i].labels};
        for (size_t j = 0; j < 2; j++) {
            for (const char *at = texts[j]; *at; at++) {
                hash = (hash ^ (uint8_t)*at) * UINT64_C(1099511628211);
            }
        }
    }
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
        for (const char *at = histogram_descriptions[i].name; *at; at++) {
            hash = (hash ^ (uint8_t)*at) * UINT64_C(1099511628211);
        }
    }
    return hash ? hash : 1;
}

/* Whose metrics are written: this process's alone without a label (0 and 0), or those of workers
 * `first` to `last`, each with its own. */
struct range {
    unsigned first, last;
};

static struct range choose_range(void)
{
    const unsigned workers = board_workers();
    return workers ? (struct range){1, workers} : (struct range){0, 0};
}

static const struct metrics_area *area_of(unsigned worker)
{
    return worker ? board_area(worker) : &metrics_area;
}

/* "{labels,worker="1"}", or what there is of it. */
static void write_labels(struct writer *to, const char *labels, unsigned worker)
{
    const bool labelled = labels[0] != '\0';
    if (!labelled && !worker) {
        return;
    }
    writer_format(to, "{%s", labels);
    if (worker) {
        writer_format(to, "%sworker=\"%u\"", labelled ? "," : "", worker);
    }
    writer_string(to, "}");
}

static void write_value(struct writer *to, const struct description *metric, unsigned worker,
                        int64_t value)
{
    writer_format(to, "tracker_%s", metric->name);
    write_labels(to, metric->labels, worker);
    writer_format(to, " %" PRId64 "\n", value);
}

/* In the exported unit: microseconds as seconds, exactly. */
static void write_in_unit(struct writer *to, enum unit unit, uint64_t value)
{
    if (unit == UNIT_seconds) {
        writer_format(to, "%" PRIu64 ".%06" PRIu64, value / 1000000, value % 1000000);
    } else {
        writer_format(to, "%" PRIu64, value);
    }
}

static void write_bucket(struct writer *to, const struct histogram_description *description,
                         unsigned worker, unsigned bucket, uint64_t below)
{
    writer_format(to, "tracker_%s_bucket{le=\"", description->name);
    if (bucket < METRIC_BUCKETS) {
        write_in_unit(to, description->unit, UINT64_C(1) << bucket);
    } else {
        writer_string(to, "+Inf");
    }
    writer_string(to, "\"");
    if (worker) {
        writer_format(to, ",worker=\"%u\"", worker);
    }
    writer_format(to, "} %" PRIu64 "\n", below);
}

static void write_histogram(struct writer *to, const struct histogram_description *description,
                            const struct histogram_counts *histogram, unsigned worker)
{
    const char *name = description->name;
    uint64_t below = 0;

    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        below += histogram->buckets[i];
        write_bucket(to, description, worker, i, below);
    }
    write_bucket(to, description, worker, METRIC_BUCKETS, histogram->count);
    writer_format(to, "tracker_%s_sum", name);
    write_labels(to, "", worker);
    writer_string(to, " ");
    write_in_unit(to, description->unit, histogram->sum);
    writer_format(to, "\ntracker_%s_count", name);
    write_labels(to, "", worker);
    writer_format(to, " %" PRIu64 "\n", histogram->count);
}

/* Rows of one name, from at on: those of all workers together, as the format demands. Returns the
 * next one. */
static size_t write_family(struct writer *to, size_t at, struct range range)
{
    const struct description *first = &descriptions[at];
    size_t end = at;

    write_metric_head(to, first->name, first->help,
                      first->kind == KIND_counter ? "counter" : "gauge");
    while (end < METRIC_COUNT && strcmp(descriptions[end].name, first->name) == 0) {
        end++;
    }
    for (unsigned worker = range.first; worker <= range.last; worker++) {
        const struct metrics_area *area = area_of(worker);
        for (size_t i = at; area && i < end; i++) {
            write_value(to, &descriptions[i], worker, area->values[i]);
        }
    }
    return end;
}

/* What the supervisor knows. */
static void write_workers(struct writer *to, struct range range)
{
    struct board_worker state;
    char why[BOARD_WHY_SIZE];
    bool ready;

    write_metric_head(to, "worker_up", "Whether the worker serves and is ready.", "gauge");
    for (unsigned worker = range.first; worker <= range.last; worker++) {
        board_read(worker, &state, &ready, why);
        writer_format(to, "tracker_worker_up{worker=\"%u\"} %d\n", worker,
                      state.state == BOARD_SERVING && ready);
    }
    write_metric_head(to, "worker_starts_total", "Processes started for the worker.", "counter");
    for (unsigned worker = range.first; worker <= range.last; worker++) {
        board_read(worker, &state, &ready, why);
        writer_format(to, "tracker_worker_starts_total{worker=\"%u\"} %u\n", worker, state.starts);
    }
}

void metrics_write_text(struct writer *to)
{
    const struct range range = choose_range();

    for (size_t i = 0; i < METRIC_COUNT;) {
        i = write_family(to, i, range);
    }
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
        const struct histogram_description *description = &histogram_descriptions[i];
        write_metric_head(to, description->name, description->help, "histogram");
        for (unsigned worker = range.first; worker <= range.last; worker++) {
            const struct metrics_area *area = area_of(worker);
            if (area) {
                write_histogram(to, description, &area->histograms[i], worker);
            }
        }
    }
    if (range.first) {
        write_workers(to, range);
    }
    process_write_text(to);
}
