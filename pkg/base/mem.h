/*
 * mem: allocation that does not fail.
 *
 * Sizes come from our own limits, never from what a peer announced, so a failure means that the
 * machine is out of memory. Continuing half-way would lose state silently; instead these functions
 * write one line to standard error and abort, and the other front-ends take over.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* count * size zeroed bytes; the product is checked. */
void *mem_zalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *memory, size_t size) __attribute__((returns_nonnull));
/* len bytes and a NUL after them. */
void *mem_dup(const void *memory, size_t len) __attribute__((malloc, returns_nonnull));
char *mem_strdup(const char *string) __attribute__((malloc, returns_nonnull));
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

#endif
