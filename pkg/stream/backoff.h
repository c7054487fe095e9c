/*
 * backoff: the delay before the next attempt to connect: exponential, with full jitter, so that a
 * thousand clients of one server do not reconnect at the same moment.
 */
#ifndef STREAM_BACKOFF_H
#define STREAM_BACKOFF_H

#include <stdint.h>

struct stream_backoff {
    uint64_t first_ms; /* the bound of the first pause; it doubles with each failure */
    uint64_t most_ms;  /* the largest bound */
};

/* Uniform from 0 to a bound that doubles with each failed attempt. */
uint64_t stream_backoff_pause(const struct stream_backoff *backoff, unsigned failures);
/*
 * The same after the loss of an established connection, but bounded by a quarter of the time since
 * the loss (and at least first_ms): clients reconnect sooner after a short outage than after a long
 * one.
 */
uint64_t stream_backoff_pause_after_loss(const struct stream_backoff *backoff, unsigned failures,
                                         uint64_t lost_for_ms);
/* Between half of the longest pause and all of it: for a refusal that another attempt would not
 * change soon. */
uint64_t stream_backoff_pause_after_refusal(const struct stream_backoff *backoff);

#endif
