/* feature_private: what the core calls of all features. */
#ifndef MAP_FEATURE_PRIVATE_H
#define MAP_FEATURE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/feature.h"

void features_destroy(struct map *map);
void features_link_up(struct map *map);
void features_new_epoch(struct partition *partition);
void features_ready(struct partition *partition);
void features_audit(struct partition *partition);
size_t features_count(const struct partition *partition);
void features_sweep(struct partition *partition, uint64_t redis_now_ms);
void features_found(struct partition *partition, enum map_found what, struct bytes name,
                    const char *node);
bool features_probe(const struct map_space *space);
void features_missing(struct map_space *space, const struct bytes *ids, size_t count);
enum map_message features_message(struct map *map, uint64_t format, struct bytes verb,
                                  struct bytes rest);
/* As struct map_feature's request. */
const char *features_request(struct map *map, struct bytes verb, struct bytes argument,
                             map_done done, void *arg);

#endif
