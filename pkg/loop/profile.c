/*
 * profile: how long event-loop iterations run, and what in them runs longest.
 *
 * What runs is timed in units: a callback of a descriptor, a timer or a signal, a task, a step of a
 * job. The clock is read once behind each; the label is a pointer that the unit may set.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "loop/loop_private.h"
#include "metrics/metrics.h"

/* A unit is named from this share of log.slow_iteration on. */
#define NAMED_SHARE 16

_Static_assert(METRIC_SLOW_FREE - METRIC_SLOW_INPUT == LOOP_PART_FREE,
               "the metrics of slow iterations have the order of the parts");

static const char *const part_names[] = {
    [LOOP_PART_INPUT] = "input", [LOOP_PART_TIMERS] = "timers", [LOOP_PART_VIEW] = "view",
    [LOOP_PART_JOBS] = "jobs",   [LOOP_PART_STORE] = "store",   [LOOP_PART_OUTPUT] = "output",
    [LOOP_PART_FREE] = "free"};

void loop_label(struct loop *loop, const char *label)
{
    loop->profile.label = label;
}

void loop_set_slow(struct loop *loop, uint64_t ms)
{
    loop->profile.slow_us = ms * 1000;
}

void loop_profile_begin(struct loop *loop)
{
    struct loop_profile *profile = &loop->profile;

    profile->began_us = profile->last_us = loop->now_us;
    profile->longest_us = 0;
    profile->longest[0] = 0;
    profile->label = NULL;
    memset(profile->part_us, 0, sizeof profile->part_us);
}

uint64_t loop_profile_unit(struct loop *loop, enum loop_part part)
{
    struct loop_profile *profile = &loop->profile;
    uint64_t now_us = loop_clock_us(loop), spent_us = now_us - profile->last_us;

    profile->last_us = now_us;
    profile->part_us[part] += spent_us;
    if (spent_us > profile->longest_us) {
        profile->longest_us = spent_us;
        /* The label may be gone at the end of the iteration. Most units are too short to be named.
         */
        if (profile->slow_us > 0 && spent_us >= profile->slow_us / NAMED_SHARE) {
            snprintf(profile->longest, sizeof profile->longest, "%s",
                     profile->label ? profile->label : part_names[part]);
        }
    }
    profile->label = NULL;
    return now_us;
}

static enum loop_part slowest_part(const struct loop_profile *profile)
{
    enum loop_part slowest = LOOP_PART_INPUT;

    for (size_t part = 0; part < LOOP_PARTS; part++) {
        if (profile->part_us[part] > profile->part_us[slowest]) {
            slowest = (enum loop_part)part;
        }
    }
    return slowest;
}

void loop_profile_end(struct loop *loop)
{
    static struct log_limit limit;
    const struct loop_profile *profile = &loop->profile;
    uint64_t total_us = profile->last_us - profile->began_us;
    enum loop_part slowest;

    metrics_observe(HISTOGRAM_LOOP_ITERATION, total_us);
    if (profile->slow_us == 0 || total_us < profile->slow_us) {
        return;
    }
    slowest = slowest_part(profile);
    metrics_add(METRIC_SLOW_INPUT + slowest, 1);
    log_limited(LOG_WARN, &limit, "slow_iteration", LOG_INT("ms", (int64_t)(total_us / 1000)),
                LOG_STRING("phase", part_names[slowest]),
                LOG_INT("phase_ms", (int64_t)(profile->part_us[slowest] / 1000)),
                LOG_STRING("longest", profile->longest[0] ? profile->longest : part_names[slowest]),
                LOG_INT("longest_ms", (int64_t)(profile->longest_us / 1000)));
}
