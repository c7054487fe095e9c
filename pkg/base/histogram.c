/*
 * histogram: a bucket's index is the octave, followed by the bits after the leading one.
 *
 * Octave 0 holds the values below 2^HISTOGRAM_BITS, one bucket each; octave n > 0 those whose
 * leading bit is bit HISTOGRAM_BITS + n - 1.
 */
#include "base/histogram.h"

#define SUB (1u << HISTOGRAM_BITS)

static uint32_t bucket_of(uint64_t value)
{
    unsigned leading;
    unsigned octave;
    if (value < SUB) {
        return (uint32_t)value;
    }
    leading = 63 - (unsigned)__builtin_clzll(value);
    octave = leading - HISTOGRAM_BITS + 1;
    if (octave > HISTOGRAM_OCTAVES) {
        return HISTOGRAM_BUCKETS - 1;
    }
    return (octave << HISTOGRAM_BITS) | ((uint32_t)(value >> (octave - 1)) & (SUB - 1));
}

static uint64_t largest_in(uint32_t bucket)
{
    uint32_t octave = bucket >> HISTOGRAM_BITS;
    uint64_t position = bucket & (SUB - 1);
    if (octave == 0) {
        return position;
    }
    return ((SUB + position + 1) << (octave - 1)) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->max) {
        histogram->max = value;
    }
    histogram->buckets[bucket_of(value)]++;
}

void histogram_add(struct histogram *to, const struct histogram *from)
{
    to->count += from->count;
    to->sum += from->sum;
    if (from->max > to->max) {
        to->max = from->max;
    }
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        to->buckets[i] += from->buckets[i];
    }
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    double wanted = (double)histogram->count * percent / 100;
    uint64_t seen = 0;
    if (histogram->count == 0) {
        return 0;
    }
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            return largest_in(i) < histogram->max ? largest_in(i) : histogram->max;
        }
    }
    return histogram->max;
}
