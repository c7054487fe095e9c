/* report: see the header. The table's labels are the JSON keys with spaces, so that neither needs
 * a dictionary for the other. */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct row {
    char key[64];
    const char *unit;
    double value;
    int decimals;
};

struct report {
    const char *mode;
    struct row *rows;
    size_t count;
};

struct report *report_create(const char *mode)
{
    struct report *report = mem_zalloc(1, sizeof *report);
    report->mode = mode;
    return report;
}

void report_destroy(struct report **report)
{
    free((*report)->rows);
    free(*report);
    *report = NULL;
}

void report_add(struct report *report, double value, int decimals, const char *unit,
                const char *key, ...)
{
    struct row *row;
    va_list arguments;
    report->rows = mem_realloc(report->rows, (report->count + 1) * sizeof *report->rows);
    row = &report->rows[report->count++];
    *row = (struct row){.unit = unit, .value = value, .decimals = decimals};
    va_start(arguments, key);
    (void)vsnprintf(row->key, sizeof row->key, key, arguments);
    va_end(arguments);
}

void report_add_latency(struct report *report, const char *prefix,
                        const struct histogram *histogram)
{
    static const struct {
        const char *name;
        double percent;
    } shown[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"max", 100}};
    for (size_t i = 0; histogram->count > 0 && i < sizeof shown / sizeof shown[0]; i++) {
        double value = (double)histogram_percentile(histogram, shown[i].percent);
        report_add(report, value, 0, "us", "%s_%s", prefix, shown[i].name);
    }
}

static void print_report_json(const struct report *report)
{
    (void)printf("{\"mode\": \"%s\"", report->mode);
    for (size_t i = 0; i < report->count; i++) {
        const struct row *row = &report->rows[i];
        (void)printf(", \"%s\": %.*f", row->key, row->decimals, row->value);
    }
    (void)printf("}\n");
}

static void print_report_table(const struct report *report)
{
    (void)printf("%s\n", report->mode);
    for (size_t i = 0; i < report->count; i++) {
        const struct row *row = &report->rows[i];
        char label[sizeof row->key];
        for (size_t at = 0; at < sizeof label; at++) {
            label[at] = row->key[at] == '_' ? ' ' : row->key[at];
        }
        (void)printf("  %-36s %14.*f %s\n", label, row->decimals, row->value, row->unit);
    }
}

void report_print(const struct report *report, bool json)
{
    if (json) {
        print_report_json(report);
    } else {
        print_report_table(report);
    }
    (void)fflush(stdout);
}
