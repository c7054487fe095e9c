/* secret_private: secrets that all front-ends share. */
#ifndef MAP_SECRET_PRIVATE_H
#define MAP_SECRET_PRIVATE_H

struct map;

/* There is a new link, or a new epoch. */
void secrets_reread(struct map *map);

#endif
