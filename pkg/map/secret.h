/*
 * secret: a random secret that all front-ends of a Redis share, made by the first one.
 *
 * It is stored in one key (docs/redis-keys.md), and read at each new link and new epoch. A Redis
 * that has lost it is given the one that this front-end knows: it changes only when no front-end is
 * left that knows it, or when an operator removes it.
 */
#ifndef MAP_SECRET_H
#define MAP_SECRET_H

#include <stdint.h>

#include "map/map.h"

#define MAP_SECRET_SIZE 32

struct map_secret;

/* name: "q3master". changed: called whenever it changes, and at once with a secret of this
 * front-end alone, which is used until Redis has answered. arg outlives the secret. */
struct map_secret *
map_secret_create(struct map *map, const char *name,
                  void (*changed)(void *arg, const uint8_t secret[MAP_SECRET_SIZE]), void *arg);
void map_secret_destroy(struct map_secret **secret);

#endif
