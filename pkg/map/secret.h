/*
 * secret: a random secret that all front-ends of a Redis share, made by whoever comes first.
 *
 * It stands in one key (docs/redis-keys.md). It is read at each new link and new epoch; a Redis
 * that has lost it gets the one back that this front-end knows, so that it changes only where
 * nobody was left who knew it, or where somebody removed it.
 */
#ifndef MAP_SECRET_H
#define MAP_SECRET_H

#include <stdint.h>

#include "map/map.h"

#define MAP_SECRET_SIZE 32

struct map_secret;

/* name: "q3master". changed: it is another one than before; called at once, with one that is this
 * front-end's own until Redis has said which is everybody's. arg outlives it. */
struct map_secret *
map_secret_create(struct map *map, const char *name,
                  void (*changed)(void *arg, const uint8_t secret[MAP_SECRET_SIZE]), void *arg);
void map_secret_destroy(struct map_secret **secret);

#endif
