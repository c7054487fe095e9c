/* unique: duplicates in lists of texts. */
#ifndef CODEC_UNIQUE_PRIVATE_H
#define CODEC_UNIQUE_PRIVATE_H

#include "base/bytes.h"

/* The index of the first text that repeats an earlier one; count when there is none. */
size_t unique_first_repeat(const struct bytes *texts, size_t count);
/* Removes repeated texts, keeping the order; returns how many are left. */
size_t unique_keep_first(struct bytes *texts, size_t count);

#endif
