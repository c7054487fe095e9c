/* registration_private: what registrations and their due times share. */
#ifndef REGISTRATION_REGISTRATION_PRIVATE_H
#define REGISTRATION_REGISTRATION_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/list.h"

struct loop_timer;
struct map_space;
struct partition;

struct registry_due;

/* The registrations of one space, as this front-end has to do with them. */
struct registry {
    struct map_space *space;
    struct list probers;      /* struct map_prober */
    struct registry_due *due; /* to be judged at a time of their own, by id */
    struct loop_timer *timer; /* runs while something is to be restored */
    struct bytes *lost;       /* ids, each with memory of its own */
    size_t lost_count, lost_next;
};

/* The space's. */
struct registry *registry_of(const struct map_space *space);
bool registry_has_prober(const struct registry *registry);
/* Its time has come: the script judges it. */
void registry_enqueue_probe(struct partition *partition, struct bytes id);
/* This front-end is to probe it now. */
void registry_probe(struct map_space *space, struct bytes id, unsigned probe);
/* registry_due.c */
/* It is due one probe interval from now: it is judged then, and not only by the next sweep. again:
 * it has just been judged, so that an earlier time is past. */
void registry_expect_due(struct partition *partition, struct bytes id, bool again);
void registry_forget_due(struct registry *registry);

#endif
