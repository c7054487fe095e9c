/* needs_private: the needs of features, for the map. */
#ifndef MAP_NEEDS_PRIVATE_H
#define MAP_NEEDS_PRIVATE_H

#include <stdbool.h>

#include "map/needs.h"

struct map;
struct needs;

struct needs *needs_create(struct map *map);
void needs_destroy(struct needs **needs);
void needs_link_up(struct needs *needs);
/* All were granted, at one time. */
bool needs_are_met(const struct needs *needs);
/* NULL when they are met; else a text that is valid until the next call. */
const char *needs_why_not(struct needs *needs);

#endif
