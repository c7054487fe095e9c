/* memory_limit: how much memory this process may use. */
#ifndef BASE_MEMORY_LIMIT_H
#define BASE_MEMORY_LIMIT_H

#include <stdint.h>

/* Bytes: the smallest limit of its cgroup (version 2 or 1) and those above it, or what the machine
 * has. root: "" (before /proc and /sys, for tests). */
uint64_t memory_limit_read(const char *root);

#endif
