/* contact_private: a sweep or hello is being sent; the last one sent was answered as it should be.
 */
#ifndef MAP_CONTACT_PRIVATE_H
#define MAP_CONTACT_PRIVATE_H

struct partition;

void contact_asked(struct partition *partition);
void contact_answered(struct partition *partition);

#endif
