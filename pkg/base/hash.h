/*
 * hash: uthash as the whole project uses it. No other file includes uthash itself.
 *
 * Peers choose most keys: ids, names, addresses. With an unkeyed hash they could choose keys that
 * collide. So the hash has a random key per process (random_init must be called before the first
 * table is used), and the iteration order differs with each start. Running out of memory aborts the
 * process, as everywhere else (base/mem.h).
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"

#ifdef UTHASH_H
#error "include base/hash.h in place of uthash.h"
#endif

#define HASH_FUNCTION(key, len, hash) ((hash) = (unsigned)random_keyed_hash((key), (len)))
#define uthash_malloc(size)           mem_alloc(size)
#define uthash_free(memory, size)     free(memory)
#define uthash_fatal(message)         abort() /* never: mem_alloc does not fail */
#include <uthash.h>

#endif
