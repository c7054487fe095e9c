/* sweep_private: the sweeps of a partition. */
#ifndef MAP_SWEEP_PRIVATE_H
#define MAP_SWEEP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop_timer;
struct op;
struct partition;

struct sweep {
    struct loop_timer *timer;
    bool is_under_way;
    bool again;           /* there was more than one sweep lists */
    int64_t lease;        /* with which the lease was renewed last; 0: it has to be renewed */
    size_t pending;       /* operations of sweeps that have not been judged */
    size_t wrong_counts;  /* sweeps in a row whose count of the index was not ours */
    size_t wrong_members; /* sweeps in a row whose count of rooms' members was not ours */
};

void sweep_init(struct partition *partition);
void sweep_free(struct partition *partition);
/* Schedules the next one. */
void sweep_start(struct partition *partition);
/* None is sent until it is started again. */
void sweep_stop(struct partition *partition);
/* Hello or a sweep has been sent, which renews the lease with the length that is in force. */
void sweep_lease_sent(struct partition *partition);
void sweep_run(void *partition);
/* The operation is one that a sweep asks for: no other sweep lists before sweep_judged is called
 * for each. */
void sweep_add_op(struct op *op);
void sweep_judged(struct partition *partition);

#endif
