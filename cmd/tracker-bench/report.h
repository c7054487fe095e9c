/* report: the figures of a run, in order, as a table for people or as one JSON object. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>

#include "base/histogram.h"

struct report;

struct report *report_create(const char *mode);
/* key: of the JSON worker, a format; unit may be "". */
void report_add(struct report *report, double value, int decimals, const char *unit,
                const char *key, ...) __attribute__((format(printf, 5, 6)));
/* count and percentiles, as PREFIX_p50_us and so on. */
void report_add_latency(struct report *report, const char *prefix,
                        const struct histogram *histogram);
void report_print(const struct report *report, bool json);
void report_destroy(struct report **report);

#endif
