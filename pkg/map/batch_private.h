/* batch_private: operations are sent in batches, as calls of the apply script. */
#ifndef MAP_BATCH_PRIVATE_H
#define MAP_BATCH_PRIVATE_H

struct partition;

void batch_send_all(struct partition *partition);
/* Puts what came back before the queue, in its order. */
void batch_requeue(struct partition *partition);

#endif
