/* sweep_private: sweeps of a partition. */
#ifndef MAP_SWEEP_PRIVATE_H
#define MAP_SWEEP_PRIVATE_H

struct partition;

void sweep_start(struct partition *partition);
void sweep_run(void *partition);
/* An operation of a sweep has been judged. */
void sweep_judged(struct partition *partition);

#endif
