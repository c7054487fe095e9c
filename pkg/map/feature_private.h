/* feature_private: what the core calls of all features. */
#ifndef MAP_FEATURE_PRIVATE_H
#define MAP_FEATURE_PRIVATE_H

#include <stdint.h>

#include "map/feature.h"

void features_destroy(struct map *map);
void features_link_up(struct map *map);
void features_new_epoch(struct partition *partition);
void features_sweep(struct partition *partition, uint64_t redis_now_ms);
enum map_message features_message(struct map *map, struct bytes verb, struct bytes rest);
/* As struct map_feature's request. */
const char *features_request(struct map *map, struct bytes verb, struct bytes argument,
                             map_done done, void *arg);

#endif
