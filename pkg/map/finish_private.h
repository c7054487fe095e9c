/* finish_private: the end of a front-end. */
#ifndef MAP_FINISH_PRIVATE_H
#define MAP_FINISH_PRIVATE_H

struct map;

/* Ends the waiting of map_finish when nothing is under way any more. */
void map_check_finished(struct map *map);

#endif
