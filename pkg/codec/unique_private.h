/* unique: lists in which a text may stand only once. */
#ifndef CODEC_UNIQUE_PRIVATE_H
#define CODEC_UNIQUE_PRIVATE_H

#include "base/bytes.h"

/* The first text that stands before itself already; count when there is none. */
size_t unique_first_repeat(const struct bytes *texts, size_t count);
/* Drops what stands before itself already, keeps the order; how many are left. */
size_t unique_keep_first(struct bytes *texts, size_t count);

#endif
