/* random: unpredictable numbers (libsodium) for ids, fences and tokens; jitter for timers. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Must be called before the others; further calls do nothing. Aborts when the system provides no
 * randomness. */
void random_init(void);
void random_bytes(void *to, size_t len);
/* Uniform in [0, bound); bound > 0. */
uint32_t random_below(uint32_t bound);
/* value plus or minus at most percent of it. */
uint64_t random_jitter(uint64_t value, unsigned percent);
/* A hash with a key per process: for tables whose keys peers choose. */
uint64_t random_keyed_hash(const void *data, size_t len);

#endif
