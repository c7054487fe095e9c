/*
 * histogram: a log-linear histogram: each power of two is divided into 128 equal buckets, so a
 * percentile is at most 1/128 too high; below 256 it is exact.
 *
 * It has a fixed size and no pointers, so it may be placed in shared memory (with one writer), and
 * histograms of several processes can be added. Zero-initialised it is empty.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS    7  /* of the position within a power of two */
#define HISTOGRAM_OCTAVES 33 /* values from 2^40 on share the last bucket */
#define HISTOGRAM_BUCKETS (((HISTOGRAM_OCTAVES + 1) << HISTOGRAM_BITS) + 1)

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *histogram, uint64_t value);
void histogram_add(struct histogram *to, const struct histogram *from);
/* The smallest value that at least `percent` of the counted ones do not exceed, rounded up within
 * its bucket but never above the largest one; 0 when nothing was counted. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

#endif
