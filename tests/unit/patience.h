/*
 * patience: for how long a test waits for a condition. Only what it really waited counts: while the
 * process was stopped, or a busy machine ran others, what it waits for could not come about either.
 */
#ifndef UNIT_PATIENCE_H
#define UNIT_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"

#define PATIENCE_MOST_MS 20000u /* far more than anything here takes, on an unscaled build */
/* Longer than any wait of a test between two looks. */
#define PATIENCE_STEP_MS 100u

/* The longest time between two looks since a test set it to 0: for what this process must not be
 * stopped in. */
static uint64_t patience_longest_us;

struct patience {
    uint64_t waited_us;
    uint64_t looked_us;
};

/* TRACKER_TEST_SCALE: how many times longer a slower build (sanitizers) may take. */
static inline double patience_scale(void)
{
    const char *text = getenv("TRACKER_TEST_SCALE");
    double scale = text ? strtod(text, NULL) : 0;
    return scale > 0 ? scale : 1;
}

static inline uint64_t patience_most_us(void)
{
    return (uint64_t)(PATIENCE_MOST_MS * 1000 * patience_scale());
}

static inline struct patience patience_begin(void)
{
    return (struct patience){.looked_us = clock_monotonic_us()};
}

/* To be asked after each wait of at most PATIENCE_STEP_MS. */
static inline bool patience_is_over(struct patience *patience)
{
    uint64_t now_us = clock_monotonic_us(), step_us = now_us - patience->looked_us;
    patience->looked_us = now_us;
    if (step_us > patience_longest_us) {
        patience_longest_us = step_us;
    }
    patience->waited_us += step_us < PATIENCE_STEP_MS * 1000 ? step_us : PATIENCE_STEP_MS * 1000;
    return patience->waited_us > patience_most_us();
}

#endif
