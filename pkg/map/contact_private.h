/* contact_private: when Redis last answered what renews the lease of a partition: hello, sweeps. */
#ifndef MAP_CONTACT_PRIVATE_H
#define MAP_CONTACT_PRIVATE_H

#include <stdint.h>

struct partition;

/* Of the loop's clock. */
struct contact {
    uint64_t sent_ms;     /* when the last hello or sweep was sent */
    uint64_t renewed_ms;  /* when the last that was accepted was sent; 0: none yet */
    uint64_t answered_ms; /* when it was answered */
};

void contact_sent(struct partition *partition);
/* The last that was sent has been accepted. */
void contact_answered(struct partition *partition);

#endif
