/* packet: see packet.h. */
#include "map/packet.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FORMS_MAX 4 /* one for each protocol whose clients receive packets */

struct packet_form {
    map_packet_encode encode; /* NULL: not used yet */
    struct frame *frame;
};

struct map_packet {
    uint32_t references;
    struct packet_form forms[FORMS_MAX];
    size_t from_len, len;
    uint8_t data[]; /* from, text */
};

struct map_packet *map_packet_create(struct bytes from, struct bytes text)
{
    struct map_packet *packet = mem_alloc(sizeof *packet + from.len + text.len);
    *packet = (struct map_packet){.references = 1, .from_len = from.len, .len = text.len};
    if (from.len > 0) {
        memcpy(packet->data, from.data, from.len);
    }
    if (text.len > 0) {
        memcpy(packet->data + from.len, text.data, text.len);
    }
    return packet;
}

struct map_packet *map_packet_ref(struct map_packet *packet)
{
    assert(packet->references > 0 && packet->references < UINT32_MAX);
    packet->references++;
    return packet;
}

void map_packet_unref(struct map_packet **pointer)
{
    struct map_packet *packet = *pointer;
    *pointer = NULL;
    if (!packet) {
        return;
    }
    assert(packet->references > 0);
    if (--packet->references > 0) {
        return;
    }
    for (size_t i = 0; i < FORMS_MAX; i++) {
        frame_unref(&packet->forms[i].frame);
    }
    free(packet);
}

struct bytes map_packet_from(const struct map_packet *packet)
{
    return (struct bytes){packet->data, packet->from_len};
}

struct bytes map_packet_text(const struct map_packet *packet)
{
    return (struct bytes){packet->data + packet->from_len, packet->len};
}

struct frame *map_packet_frame(struct map_packet *packet, map_packet_encode encode, void *arg)
{
    size_t i = 0;
    while (i < FORMS_MAX && packet->forms[i].encode && packet->forms[i].encode != encode) {
        i++;
    }
    assert(i < FORMS_MAX);
    struct packet_form *form = &packet->forms[i];
    if (!form->encode) {
        form->encode = encode;
        form->frame = encode(arg, map_packet_text(packet));
    }
    return form->frame;
}
