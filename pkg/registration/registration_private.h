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

struct registration_due;

/* The registrations of one space, as this front-end has to do with them. */
struct registration_space {
    struct map_space *space;
    struct list probers;          /* struct registration_prober */
    struct registration_due *due; /* to be judged at a time of their own, by id */
    struct loop_timer *timer;     /* runs while something is to be restored */
    struct bytes *lost;           /* ids, each with memory of its own */
    size_t lost_count, lost_next;
};

/* The space's. */
struct registration_space *registration_space_of(const struct map_space *space);
bool registration_has_prober(const struct registration_space *registry);
/* Its time has come: the script judges it. */
void registration_enqueue_probe(struct partition *partition, struct bytes id);
/* This front-end is to probe it now. */
void registration_send_probe(struct map_space *space, struct bytes id, unsigned probe);
/* registration_due.c */
/* It is due one probe interval from now: it is judged then, and not only by the next sweep. again:
 * it has just been judged, so that an earlier time is past. */
void registration_expect_due(struct partition *partition, struct bytes id, bool again);
void registration_forget_due(struct registration_space *registry);

#endif
