/* clock: the clocks of this process. The core takes the time as an argument; only the loop, the log
 * and main read these. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Monotonic, from an arbitrary start. */
uint64_t clock_monotonic_us(void);
/* Wall clock, microseconds since the epoch: for log lines and the expiry of tokens. */
uint64_t clock_wall_us(void);
/* CPU time of this process, microseconds. */
uint64_t clock_cpu_us(void);

#endif
