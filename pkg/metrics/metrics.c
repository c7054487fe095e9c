/* metrics: the values, and the tables that metrics_list.h expands to. */
#include "metrics/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "metrics/process_private.h"

#define BUCKETS 25 /* 2^0 to 2^24 */

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

struct histogram_counts {
    uint64_t buckets[BUCKETS]; /* not cumulative: they are summed when written */
    uint64_t count;
    uint64_t sum;
};

int64_t metrics_values[METRIC_COUNT];
static struct histogram_counts histograms[HISTOGRAM_COUNT];

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
    struct histogram_counts *observed = &histograms[histogram];
    /* The smallest power of two that is not below the value. */
    unsigned bucket = value <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(value - 1);

    if (bucket < BUCKETS) {
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

static void write_value(struct writer *to, const struct description *metric, int64_t value)
{
    writer_format(to, "tracker_%s", metric->name);
    if (metric->labels[0] != '\0') {
        writer_format(to, "{%s}", metric->labels);
    }
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

static void write_histogram(struct writer *to, const struct histogram_description *description,
                            const struct histogram_counts *histogram)
{
    const char *name = description->name;
    uint64_t below = 0;

    write_metric_head(to, name, description->help, "histogram");
    for (unsigned i = 0; i < BUCKETS; i++) {
        below += histogram->buckets[i];
        writer_format(to, "tracker_%s_bucket{le=\"", name);
        write_in_unit(to, description->unit, UINT64_C(1) << i);
        writer_format(to, "\"} %" PRIu64 "\n", below);
    }
    writer_format(to, "tracker_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, histogram->count);
    writer_format(to, "tracker_%s_sum ", name);
    write_in_unit(to, description->unit, histogram->sum);
    writer_format(to, "\ntracker_%s_count %" PRIu64 "\n", name, histogram->count);
}

void metrics_write_text(struct writer *to)
{
    const char *previous = "";

    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct description *metric = &descriptions[i];

        if (strcmp(metric->name, previous) != 0) {
            write_metric_head(to, metric->name, metric->help,
                              metric->kind == KIND_counter ? "counter" : "gauge");
        }
        previous = metric->name;
        write_value(to, metric, metrics_values[i]);
    }
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
        write_histogram(to, &histogram_descriptions[i], &histograms[i]);
    }
    process_write_text(to);
}
