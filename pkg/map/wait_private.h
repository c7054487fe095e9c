/* wait_private: the waits of a map. */
#ifndef MAP_WAIT_PRIVATE_H
#define MAP_WAIT_PRIVATE_H

struct map;
struct map_session;
struct waits;

struct waits *waits_create(struct map *map);
/* No done is called. */
void waits_destroy(struct waits **waits);
/* The session ends: no done of its waits is called any more. */
void waits_forget(struct map_session *session);

#endif
