/*
 * share: this process's part of what is limited in total, where several processes serve the same
 * listeners: each has an equal part.
 */
#ifndef BASE_SHARE_H
#define BASE_SHARE_H

#include <stdint.h>

/* So many processes, this one and others, share what is limited; 1 at first. Set once, at the
 * start. */
void share_set_processes(unsigned processes);
/* The part of a total, rounded up: at least 1 of what is above 0. */
uint64_t share_of(uint64_t total);

#endif
