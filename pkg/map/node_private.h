/* node_private: the front-end's hash, its channel with requests, and the nonce. */
#ifndef MAP_NODE_PRIVATE_H
#define MAP_NODE_PRIVATE_H

#include <stdbool.h>

struct map;
struct node;

struct node *node_create(struct map *map);
void node_destroy(struct node **node);
/* Writes the hash again, with what the callback describe adds. */
void node_publish(struct node *node);
/* Removes the hash, for good. */
void node_leave(struct node *node);
void node_link_up(struct node *node);
bool node_nonce_is_fresh(const struct node *node);

#endif
