/*
 * reader_private: bytes from Redis to reply trees, by hiredis's redisReader.
 *
 * One reply at a time: its tree and texts stand in an arena that is used again for the next. What
 * a server announces (array lengths) is never allocated before it has come.
 */
#ifndef REDIS_READER_PRIVATE_H
#define REDIS_READER_PRIVATE_H

#include "loop/loop.h"
#include "redis/redis.h"

/* The largest piece to feed at once: hiredis moves what it has not parsed yet after each reply, so
 * that whole megabytes would make it many times slower. */
#define REDIS_FEED_MAX 16384

struct redis_reader;
/* limit: bytes of one reply, 0 for none. */
struct redis_reader *redis_reader_create(size_t limit);
void redis_reader_destroy(struct redis_reader **reader);
/* Destroys it in LOOP_PHASE_FREE: for use while one of its replies is being read. */
void redis_reader_retire(struct redis_reader **reader, struct loop *loop);
/* At most REDIS_FEED_MAX bytes; then redis_reader_next until it returns NULL. */
void redis_reader_feed(struct redis_reader *reader, const void *data, size_t len);
/* The next reply, valid until the next call; NULL when more bytes are needed, or when the bytes
 * are no RESP2 (then *error is a text, valid as long as the reader, and the reader is of no more
 * use). */
const struct redis_reply *redis_reader_next(struct redis_reader *reader, const char **error);

#endif
