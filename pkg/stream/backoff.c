/* backoff: see the header. */
#include "stream/backoff.h"

#include "base/random.h"

static uint64_t draw_up_to(uint64_t bound_ms)
{
    return random_below((uint32_t)(bound_ms < UINT32_MAX ? bound_ms + 1 : UINT32_MAX));
}

static uint64_t find_bound(const struct stream_backoff *backoff, unsigned failures)
{
    uint64_t bound = backoff->first_ms, most = backoff->most_ms;

    for (unsigned i = 0; i < failures && bound < most; i++) {
        bound *= 2;
    }
    return bound < most ? bound : most;
}

uint64_t stream_backoff_pause(const struct stream_backoff *backoff, unsigned failures)
{
    return draw_up_to(find_bound(backoff, failures));
}

uint64_t stream_backoff_pause_after_loss(const struct stream_backoff *backoff, unsigned failures,
                                         uint64_t lost_for_ms)
{
    uint64_t bound = find_bound(backoff, failures), quarter = lost_for_ms / 4;

    if (quarter < backoff->first_ms) {
        quarter = backoff->first_ms;
    }
    return draw_up_to(quarter < bound ? quarter : bound);
}

uint64_t stream_backoff_pause_after_refusal(const struct stream_backoff *backoff)
{
    uint64_t half = backoff->most_ms / 2;

    return half + draw_up_to(half);
}
