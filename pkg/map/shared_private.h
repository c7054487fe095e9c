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
 * refuses writes. */
void shared_link_up(struct shared *shared);
/* They are offered and read again. least: the revision that a partition's head has. */
void shared_read_again(struct shared *shared, uint64_t least);
/* Checks for a change by others, when that is due. */
void shared_tick(struct shared *shared, uint64_t now_ms);
/* The configuration has been read again. */
void shared_settings_changed(struct shared *shared);
/* Whether the reply of hello or sweep is {"shared", revision}: the settings have changed, and have
 * to be read first. */
bool shared_is_refusal(const struct redis_reply *reply);
/* Until they have been read, ms. */
#define SHARED_DELAY_MS 20
uint64_t shared_revision(const struct shared *shared);
/* The longest lease that another front-end may have now, ms. */
uint64_t shared_lease_bound(const struct shared *shared);

#endif
