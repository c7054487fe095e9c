/* shared_private: the shared settings as this front-end runs with them. */
#ifndef MAP_SHARED_PRIVATE_H
#define MAP_SHARED_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "map/shared.h"

struct redis_reply;
struct shared;

struct shared *shared_create(struct map *map);
void shared_destroy(struct shared **shared);
/* There is a new link: they are offered and read; map_begin follows, or map_check_again when Redis
 * takes no writes. */
void shared_link_up(struct shared *shared);
/* They are offered and read again. least: the revision that a partition's head has. */
void shared_read_again(struct shared *shared, uint64_t least);
/* Looks for a change by others, when it is time for that. */
void shared_tick(struct shared *shared, uint64_t now_ms);
/* The configuration has been read again. */
void shared_settings_changed(struct shared *shared);
/* Whether hello or sweep answers {"shared", revision}: they have been changed, and are to be read
 * again first. */
bool shared_is_refusal(const struct redis_reply *reply);
/* Until they are known when they have been asked for, ms. */
#define SHARED_DELAY_MS 20
uint64_t shared_revision(const struct shared *shared);
/* No lease lasts longer, ms: the longest that another front-end may run with now. */
uint64_t shared_lease_bound(const struct shared *shared);

#endif
