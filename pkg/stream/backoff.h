/*
 * backoff: how long to wait before the next attempt to connect: exponential, with full jitter, so
 * that a thousand clients that lost the same server do not return together.
 */
#ifndef STREAM_BACKOFF_H
#define STREAM_BACKOFF_H

#include <stdint.h>

struct stream_backoff {
    uint64_t first_ms; /* the first pause is at most this, then twice as much … */
    uint64_t most_ms;  /* … up to this */
};

/* Uniform from 0 to a bound that doubles with each failed attempt. */
uint64_t stream_backoff_pause(const struct stream_backoff *backoff, unsigned failures);
/*
 * The same after the loss of a connection that had been up, but at most a quarter of the time since
 * (and at least the first bound): so when the server is back, all are back soon in proportion to
 * how long it was unreachable.
 */
uint64_t stream_backoff_pause_after_loss(const struct stream_backoff *backoff, unsigned failures,
                                         uint64_t lost_for_ms);
/* Between half of the longest pause and all of it: for what was refused and will be again. */
uint64_t stream_backoff_pause_after_refusal(const struct stream_backoff *backoff);

#endif
