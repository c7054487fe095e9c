/*
 * pacer: an open-loop schedule: calls that are due at begin + n / rate, whatever happens.
 *
 * A late call receives its scheduled time, so that a stall counts in full.
 */
#ifndef BENCH_PACER_H
#define BENCH_PACER_H

#include "bench.h"

struct pacer;

/* The scheduled time of an operation, numbered from 0; rate > 0, number below 2^53. */
uint64_t pacer_moment_us(uint64_t begin_us, double rate, uint64_t number);

/* due: called once for each moment of the schedule; ended: once after the last. */
struct pacer *pacer_create(struct loop *loop, void (*due)(void *arg, uint64_t intended_us),
                           void (*ended)(void *arg), void *arg);
/* rate 0: nothing is due, and `ended` is called at end_us. */
void pacer_start(struct pacer *pacer, double rate, uint64_t begin_us, uint64_t end_us);
/* A schedule of count moments from now on; rate > 0. `ended` is called with the last one. */
void pacer_start_count(struct pacer *pacer, double rate, uint64_t count);

#endif
