/* result_private: the lines of apply's reply. */
#ifndef MAP_RESULT_PRIVATE_H
#define MAP_RESULT_PRIVATE_H

#include <stdint.h>

#include "base/bytes.h"

struct op;
struct partition;

/* One line of apply's reply. bodies: the bytes that follow the lines, as far as they have not been
 * read. */
void result_take(struct op *op, struct bytes line, struct cursor *bodies);
/* Parked operations whose time has come go back to the queue. */
void result_unpark(struct partition *partition, uint64_t now_ms);

#endif
