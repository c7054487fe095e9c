/*
 * lockstep: the memory that a measured program (lockstep.c), the counter of its system calls
 * (count_calls.c) and the driver (lockstep.py) share: a file that each maps. lockstep.py has the
 * same layout; all fields have eight bytes.
 */
#ifndef LOCKSTEP_H
#define LOCKSTEP_H

#include <stdint.h>

#define LOCKSTEP_CALLS 1024 /* system calls are numbered below this */

struct lockstep_state {
    uint64_t is_locked; /* by the driver: from now on the program runs only when asked to */
    int64_t now_us;     /* the program's monotonic clock while it is locked */
    uint64_t in_gate;   /* by the program: what it calls now is the harness's, and not counted */
    uint64_t allocations;
    uint64_t allocated_bytes;
    int64_t live_bytes; /* allocated and not freed, since the program first waited */
    uint64_t calls[LOCKSTEP_CALLS];
};

#endif
