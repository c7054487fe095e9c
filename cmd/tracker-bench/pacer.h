/*
 * pacer: an open-loop schedule: calls that are due at begin + n / rate, whatever happens.
 *
 * A call that comes late is told when it should have come, so that a stall counts in full.
 */
#ifndef BENCH_PACER_H
#define BENCH_PACER_H

#include "bench.h"

struct pacer;

/* due: once for each moment of the schedule; ended: once after the last. */
struct pacer *pacer_create(struct loop *loop, void (*due)(void *arg, uint64_t intended_us),
                           void (*ended)(void *arg), void *arg);
/* rate 0: nothing is due, and the end comes at end_us. */
void pacer_start(struct pacer *pacer, double rate, uint64_t begin_us, uint64_t end_us);

#endif
