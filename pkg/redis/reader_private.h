/*
 * reader_private: parses bytes from Redis into reply trees, with hiredis's redisReader.
 *
 * One reply at a time: its tree and texts are stored in an arena, which the next reply reuses.
 * Announced array lengths are never allocated before the elements have arrived.
 */
#ifndef REDIS_READER_PRIVATE_H
#define REDIS_READER_PRIVATE_H

#include "loop/loop.h"
#include "redis/redis.h"

/* The largest piece to feed at once: hiredis moves the unparsed rest after each reply, so that with
 * megabytes at once it would be many times slower. */
#define REDIS_FEED_MAX 16384

struct redis_reader;
/* limit: bytes of one reply, 0 for none. */
struct redis_reader *redis_reader_create(size_t limit);
void redis_reader_destroy(struct redis_reader **reader);
/* Destroys it in LOOP_PHASE_FREE: for use inside the callback of one of its replies. */
void redis_reader_retire(struct redis_reader **reader, struct loop *loop);
/* At most REDIS_FEED_MAX bytes; then redis_reader_next until it returns NULL. */
void redis_reader_feed(struct redis_reader *reader, const void *data, size_t len);
/* The next reply, valid until the next call; NULL when more bytes are needed, or when the bytes are
 * not RESP2 (then *error is a text that lives as long as the reader, which cannot be used any
 * more).
 */
const struct redis_reply *redis_reader_next(struct redis_reader *reader, const char **error);

#endif
