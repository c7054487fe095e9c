/* node_private: the front-end's hash, its channel with requests, and the nonce. */
#ifndef MAP_NODE_PRIVATE_H
#define MAP_NODE_PRIVATE_H

#include <stdbool.h>

struct map;
struct node;

struct node *node_create(struct map *map);
void node_destroy(struct node **node);
/* Says anew what describe tells. */
void node_publish(struct node *node);
/* Takes back what the front-end says of itself. */
void node_leave(struct node *node);
void node_link_up(struct node *node);
bool node_nonce_is_fresh(const struct node *node);

#endif
