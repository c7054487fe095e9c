/* gltron: see gltron.h. */
#include "codec/gltron.h"

#include <string.h>

#define DESCRIPTION_SIZE 32
#define VERSION_SIZE     9
#define PING             1
#define PONG             2

static const char *const speed_names[GLTRON_SPEEDS] = {"boring", "normal", "fast", "crazy"};
static const char *const size_names[GLTRON_SIZES] = {"tiny", "medium", "big", "vast", "extreme"};

const char *gltron_speed_name(unsigned speed)
{
    return speed < GLTRON_SPEEDS ? speed_names[speed] : NULL;
}

const char *gltron_size_name(unsigned size)
{
    return size < GLTRON_SIZES ? size_names[size] : NULL;
}

static bool parse_name(struct bytes name, const char *const *names, uint16_t count,
                       uint16_t *number)
{
    for (uint16_t i = 0; i < count; i++) {
        if (bytes_equal(name, bytes_from_string(names[i]))) {
            *number = i;
            return true;
        }
    }
    return false;
}

bool gltron_speed_parse(struct bytes name, uint16_t *speed)
{
    return parse_name(name, speed_names, GLTRON_SPEEDS, speed);
}

bool gltron_size_parse(struct bytes name, uint16_t *size)
{
    return parse_name(name, size_names, GLTRON_SIZES, size);
}

static struct gltron_result fail_packet(enum gltron_error error, const char *reason)
{
    return (struct gltron_result){.outcome = GLTRON_FAILED, .error = error, .reason = reason};
}

/* A fixed-size field up to its NUL. */
static struct bytes take_field_text(struct cursor *cursor, size_t size)
{
    struct bytes text = cursor_take(cursor, size);
    const uint8_t *end = text.len > 0 ? memchr(text.data, '\0', text.len) : NULL;

    if (end) {
        text.len = (size_t)(end - text.data);
    }
    return text;
}

static void take_host(struct cursor *cursor, enum gltron_host_order order, uint8_t host[4])
{
    for (unsigned i = 0; i < 4; i++) {
        host[order == GLTRON_HOST_NETWORK ? i : 3 - i] = cursor_u8(cursor);
    }
}

static void read_packet_infos(struct cursor *cursor, enum gltron_host_order order,
                              struct gltron_packet *packet)
{
    packet->speed = cursor_u16(cursor);
    packet->size = cursor_u16(cursor);
    packet->erase = cursor_u16(cursor) != 0;
    packet->description = take_field_text(cursor, DESCRIPTION_SIZE);
    packet->version = take_field_text(cursor, VERSION_SIZE);
    take_host(cursor, order, packet->host);
    packet->port = cursor_u16(cursor);
    packet->players = cursor_u16(cursor);
}

static bool is_known_value(uint16_t value, uint16_t count)
{
    return value < count || value == GLTRON_UNKNOWN;
}

static struct gltron_result check_packet(const struct gltron_packet *packet)
{
    if (packet->type == GLTRON_INFOS && !is_known_value(packet->speed, GLTRON_SPEEDS)) {
        return fail_packet(GLTRON_ERROR_VALUE, "an unknown speed");
    }
    if (packet->type == GLTRON_INFOS && !is_known_value(packet->size, GLTRON_SIZES)) {
        return fail_packet(GLTRON_ERROR_VALUE, "an unknown size");
    }
    return (struct gltron_result){.outcome = GLTRON_PACKET, .consumed = GLTRON_PACKET_SIZE};
}

struct gltron_result gltron_read(struct bytes input, enum gltron_host_order order,
                                 struct gltron_packet *packet)
{
    struct cursor cursor = cursor_over(input);
    const uint16_t type = cursor_u16(&cursor);
    uint16_t role;

    memset(packet, 0, sizeof *packet);
    if (cursor.failed) {
        return (struct gltron_result){.outcome = GLTRON_MORE};
    }
    if (type != GLTRON_LOGIN && type != GLTRON_INFOS) {
        return fail_packet(GLTRON_ERROR_TYPE, "a type other than login and infos");
    }
    packet->type = type;
    packet->which = cursor_u16(&cursor);
    if (type == GLTRON_INFOS) {
        read_packet_infos(&cursor, order, packet);
    } else {
        role = cursor_u16(&cursor);
        if (!cursor.failed && role != GLTRON_SERVER && role != GLTRON_CLIENT) {
            return fail_packet(GLTRON_ERROR_ROLE, "a login with an unknown role");
        }
        packet->role = role;
        packet->password = take_field_text(&cursor, GLTRON_PASSWORD_SIZE);
    }
    if (input.len < GLTRON_PACKET_SIZE) {
        return (struct gltron_result){.outcome = GLTRON_MORE};
    }
    return check_packet(packet);
}

/* The length of the text that fits, followed by a NUL: truncated between UTF-8 characters. */
static size_t cut_length(struct bytes text, size_t max)
{
    size_t len = text.len;
    const uint8_t *end = len > 0 ? memchr(text.data, '\0', len) : NULL;

    if (end) {
        len = (size_t)(end - text.data);
    }
    if (len <= max) {
        return len;
    }
    if (!bytes_is_utf8((struct bytes){text.data, len})) {
        return max;
    }
    for (len = max; len > 0 && (text.data[len] & 0xc0) == 0x80;) {
        len--;
    }
    return len;
}

static void put_field_text(uint8_t *to, struct bytes text, size_t size)
{
    const size_t len = cut_length(text, size - 1);

    if (len > 0) {
        memcpy(to, text.data, len);
    }
}

static void put_u16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static void put_infos(uint8_t *to, const struct gltron_packet *packet, enum gltron_host_order order)
{
    put_u16(to + 4, packet->speed);
    put_u16(to + 6, packet->size);
    put_u16(to + 8, packet->erase);
    put_field_text(to + 10, packet->description, DESCRIPTION_SIZE);
    put_field_text(to + 42, packet->version, VERSION_SIZE);
    for (unsigned i = 0; i < 4; i++) {
        to[51 + i] = packet->host[order == GLTRON_HOST_NETWORK ? i : 3 - i];
    }
    put_u16(to + 55, packet->port);
    put_u16(to + 57, packet->players);
}

void gltron_write(struct writer *to, const struct gltron_packet *packet,
                  enum gltron_host_order order)
{
    uint8_t bytes[GLTRON_PACKET_SIZE] = {0};

    put_u16(bytes, packet->type);
    put_u16(bytes + 2, packet->which);
    if (packet->type == GLTRON_LOGIN) {
        put_u16(bytes + 4, packet->role);
        put_field_text(bytes + 6, packet->password, GLTRON_PASSWORD_SIZE);
    } else {
        put_infos(bytes, packet, order);
    }
    writer_bytes(to, (struct bytes){bytes, sizeof bytes});
}

static void write_little(struct writer *to, uint32_t value)
{
    for (unsigned shift = 0; shift < 32; shift += 8) {
        writer_u8(to, (uint8_t)(value >> shift));
    }
}

static uint32_t read_little(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

void gltron_write_ping(struct writer *to, uint32_t time, uint32_t place)
{
    write_little(to, time);
    write_little(to, PING);
    write_little(to, place);
}

bool gltron_read_pong(struct bytes packet, uint32_t *time, uint32_t *place)
{
    if (packet.len != GLTRON_PING_SIZE || read_little(packet.data + 4) != PONG) {
        return false;
    }
    *time = read_little(packet.data);
    *place = read_little(packet.data + 8);
    return true;
}
