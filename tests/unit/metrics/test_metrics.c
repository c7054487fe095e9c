/*
 * metrics: the Prometheus text is read back line by line, by the rules of its format: HELP and
 * TYPE once per name and before its samples, samples of a name together, buckets that add up.
 */
#include <ctype.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "metrics/metrics.h"

#define BUCKETS 25

static char *text;

/* The whole text, NUL-terminated. */
static void write_text(void)
{
    struct writer writer = {0};

    free(text);
    metrics_write_text(&writer);
    writer_u8(&writer, '\0');
    assert_false(writer.failed);
    text = (char *)writer.data;
}

/* The value of the sample with this name and these labels; -1 when there is none. */
static double value_of(const char *sample)
{
    size_t len = strlen(sample);

    for (const char *line = text; line && *line != '\0';) {
        if (strncmp(line, sample, len) == 0 && line[len] == ' ') {
            return strtod(line + len, NULL);
        }
        line = strchr(line, '\n');
        line = !line ? NULL : line + 1;
    }
    return -1;
}

/* The value's own text. */
static bool has_line(const char *line)
{
    const char *found = strstr(text, line);

    return found != NULL && (found == text || found[-1] == '\n') && found[strlen(line)] == '\n';
}

static int tear_down(void **state)
{
    free(text);
    text = NULL;
    return 0;
}

static void values_are_counted(void **state)
{
    metrics_set(METRIC_ACCEPTED, 0);
    metrics_add(METRIC_ACCEPTED, 3);
    metrics_add(METRIC_ACCEPTED, 4);
    metrics_set(METRIC_CONNECTIONS, 10);
    metrics_add(METRIC_CONNECTIONS, -12);
    metrics_set(METRIC_WRITES_STALE, INT64_MAX);
    assert_int_equal(metrics_get(METRIC_ACCEPTED), 7);
    write_text();
    assert_true(has_line("tracker_connections_accepted_total 7"));
    assert_true(has_line("tracker_connections -2"));
    assert_true(has_line("tracker_map_writes_total{result=\"stale\"} 9223372036854775807"));
    assert_true(has_line("tracker_map_writes_total{result=\"ok\"} 0"));
    metrics_set(METRIC_WRITES_STALE, 0);
    metrics_set(METRIC_CONNECTIONS, 0);
}

/* A name, braces with labels or not, one space, a number. Returns the length of the name. */
static size_t check_sample(const char *line)
{
    size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz_0123456789");
    const char *at = line + name;
    char *end;

    assert_true(name > 0 && isalpha((unsigned char)line[0]));
    if (*at == '{') {
        do {
            size_t label = strspn(++at, "abcdefghijklmnopqrstuvwxyz_");

            assert_true(label > 0);
            at += label;
            assert_memory_equal(at, "=\"", 2);
            at += 2;
            at += strcspn(at, "\"\\\n");
            assert_int_equal(*at++, '"');
        } while (*at == ',');
        assert_int_equal(*at++, '}');
    }
    assert_int_equal(*at++, ' ');
    (void)strtod(at, &end);
    assert_true(end > at && *end == '\0');
    return name;
}

/* What belongs to a family: its name, or with what a histogram adds. */
static bool belongs(const char *line, size_t name, const char *family, bool histogram)
{
    static const char *const endings[] = {"_bucket", "_sum", "_count"};
    size_t len = strlen(family);

    if (strncmp(line, family, len) != 0) {
        return false;
    }
    if (!histogram) {
        return name == len;
    }
    for (size_t i = 0; i < 3; i++) {
        if (name == len + strlen(endings[i]) && strncmp(line + len, endings[i], name - len) == 0) {
            return true;
        }
    }
    return false;
}

static void the_text_keeps_to_its_format(void **state)
{
    char family[128] = "", seen[65536] = "", mark[140];
    bool histogram = false, typed = true;
    size_t samples = 1;

    write_text();
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            assert_true(samples > 0);
            assert_int_equal(sscanf(line + 7, "%127s", family), 1);
            assert_true(strlen(line) > 7 + strlen(family) + 2);
            (void)snprintf(mark, sizeof mark, "\n%s\n", family);
            if (strstr(seen, mark)) {
                fail_msg("%s comes twice", family);
            }
            assert_true(strlen(seen) + strlen(mark) < sizeof seen);
            strcat(seen, mark);
            typed = false;
            samples = 0;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_false(typed);
            typed = true;
            assert_memory_equal(line + 7, family, strlen(family));
            line += 7 + strlen(family);
            histogram = strcmp(line, " histogram") == 0;
            assert_true(histogram || strcmp(line, " counter") == 0 || strcmp(line, " gauge") == 0);
            if (strcmp(line, " counter") == 0) {
                assert_string_equal(family + strlen(family) - 6, "_total");
            }
        } else {
            assert_true(typed);
            if (!belongs(line, check_sample(line), family, histogram)) {
                fail_msg("%s after %s", line, family);
            }
            samples++;
        }
    }
    assert_true(samples > 0);
}

static void every_metric_is_shown(void **state)
{
    static const char *const samples[] = {
#define METRIC(id, kind, name, labels, help)                                                       \
    sizeof labels > 1 ? "tracker_" name "{" labels "}" : "tracker_" name,
#define METRIC_HISTOGRAM(id, name, unit, help)
#include "metrics/metrics_list.h"
#undef METRIC
#undef METRIC_HISTOGRAM
    };

    for (size_t i = 0; i < METRIC_COUNT; i++) {
        metrics_set((enum metric)i, (int64_t)i + 1);
    }
    write_text();
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        if (value_of(samples[i]) != (double)i + 1) {
            fail_msg("%s", samples[i]);
        }
    }
    memset(&metrics_area, 0, sizeof metrics_area);
}

/* The buckets that grew between two texts, for one observation: all from the first that holds it.
 */
static void check_observation(uint64_t value, unsigned first)
{
    char sample[100];
    double before[BUCKETS + 1], sum, count;

    write_text();
    for (unsigned i = 0; i < BUCKETS; i++) {
        (void)snprintf(sample, sizeof sample, "tracker_batch_operations_bucket{le=\"%u\"}",
                       1u << i);
        before[i] = value_of(sample);
        assert_true(before[i] >= 0);
    }
    before[BUCKETS] = value_of("tracker_batch_operations_bucket{le=\"+Inf\"}");
    sum = value_of("tracker_batch_operations_sum");
    count = value_of("tracker_batch_operations_count");
    assert_true(before[BUCKETS] == count);

    metrics_observe(HISTOGRAM_BATCH, value);
    write_text();
    for (unsigned i = 0; i < BUCKETS; i++) {
        (void)snprintf(sample, sizeof sample, "tracker_batch_operations_bucket{le=\"%u\"}",
                       1u << i);
        assert_true(value_of(sample) == before[i] + (i >= first));
    }
    assert_true(value_of("tracker_batch_operations_bucket{le=\"+Inf\"}") == count + 1);
    assert_true(value_of("tracker_batch_operations_count") == count + 1);
    assert_true(value_of("tracker_batch_operations_sum") == sum + (double)value);
}

static void observations_fall_into_their_buckets(void **state)
{
    check_observation(0, 0);
    check_observation(1, 0);
    check_observation(2, 1);
    check_observation(3, 2);
    check_observation(4, 2);
    check_observation(5, 3);
    for (unsigned i = 3; i < BUCKETS; i++) {
        check_observation((UINT64_C(1) << i) - 1, i);
        check_observation(UINT64_C(1) << i, i);
        check_observation((UINT64_C(1) << i) + 1, i + 1);
    }
    check_observation(UINT64_C(1) << 40, BUCKETS);
}

static void times_are_shown_in_seconds(void **state)
{
    metrics_observe(HISTOGRAM_REDIS_ROUND_TRIP, 1500000);
    metrics_observe(HISTOGRAM_REDIS_ROUND_TRIP, 1);
    metrics_observe(HISTOGRAM_REDIS_ROUND_TRIP, 60000000); /* more than the last bucket */
    write_text();
    assert_true(has_line("tracker_redis_round_trip_seconds_bucket{le=\"0.000001\"} 1"));
    assert_true(has_line("tracker_redis_round_trip_seconds_bucket{le=\"0.000512\"} 1"));
    assert_true(has_line("tracker_redis_round_trip_seconds_bucket{le=\"1.048576\"} 1"));
    assert_true(has_line("tracker_redis_round_trip_seconds_bucket{le=\"2.097152\"} 2"));
    assert_true(has_line("tracker_redis_round_trip_seconds_bucket{le=\"16.777216\"} 2"));
    assert_true(has_line("tracker_redis_round_trip_seconds_bucket{le=\"+Inf\"} 3"));
    assert_true(has_line("tracker_redis_round_trip_seconds_sum 61.500001"));
    assert_true(has_line("tracker_redis_round_trip_seconds_count 3"));
}

static void the_process_is_shown(void **state)
{
    double now = (double)clock_wall_us() / 1e6, cpu, descriptors, start;
    int fd;

    write_text();
    cpu = value_of("process_cpu_seconds_total");
    start = value_of("process_start_time_seconds");
    descriptors = value_of("process_open_fds");
    assert_true(cpu >= 0 && cpu <= (double)clock_cpu_us() / 1e6);
    /* The kernel counts the start in hundredths. */
    assert_true(start > now - 86400 && start < now + 0.02);
    assert_true(value_of("process_resident_memory_bytes") > 65536);
    assert_true(value_of("process_virtual_memory_bytes") >=
                value_of("process_resident_memory_bytes"));
    assert_true(descriptors >= 3 && descriptors < value_of("process_max_fds"));

    fd = open("/dev/null", O_RDONLY);
    assert_true(fd >= 0);
    while (clock_cpu_us() < cpu * 1e6 + 1000) {
        continue;
    }
    write_text();
    assert_true(value_of("process_open_fds") == descriptors + 1);
    assert_true(value_of("process_cpu_seconds_total") > cpu);
    assert_true(value_of("process_start_time_seconds") == start);
    close(fd);
}

static void a_writer_that_is_full_is_not_overrun(void **state)
{
    struct writer writer = {.limit = 100};

    metrics_write_text(&writer);
    assert_true(writer.failed);
    assert_true(writer.len <= 100);
    writer_free(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(values_are_counted, tear_down),
        cmocka_unit_test_teardown(the_text_keeps_to_its_format, tear_down),
        cmocka_unit_test_teardown(every_metric_is_shown, tear_down),
        cmocka_unit_test_teardown(observations_fall_into_their_buckets, tear_down),
        cmocka_unit_test_teardown(times_are_shown_in_seconds, tear_down),
        cmocka_unit_test_teardown(the_process_is_shown, tear_down),
        cmocka_unit_test(a_writer_that_is_full_is_not_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
