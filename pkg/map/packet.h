/*
 * packet: a packet from one client to others, shared by all its receivers on this front-end.
 *
 * What a protocol sends of it is a frame; each form is encoded once, whatever the number of
 * receivers. Counted by reference: whoever keeps it holds one.
 */
#ifndef MAP_PACKET_H
#define MAP_PACKET_H

#include "base/bytes.h"
#include "base/frame.h"

struct map_packet;

/* Copies. from: the sender as receivers see it. One reference is the caller's. */
struct map_packet *map_packet_create(struct bytes from, struct bytes text);
struct map_packet *map_packet_ref(struct map_packet *packet);
/* Drops one reference and sets the caller's pointer to NULL; the last one frees. */
void map_packet_unref(struct map_packet **packet);
struct bytes map_packet_from(const struct map_packet *packet);
struct bytes map_packet_text(const struct map_packet *packet);

/* Encodes a packet's text in one form. NULL: it cannot be sent in this form. */
typedef struct frame *(*map_packet_encode)(void *arg, struct bytes text);
/* The frame of that form, encoded when it is first needed; it is the packet's. encode: one function
 * for each form, static. arg: passed to it. */
struct frame *map_packet_frame(struct map_packet *packet, map_packet_encode encode, void *arg);

#endif
