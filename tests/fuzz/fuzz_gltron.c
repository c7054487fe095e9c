/*
 * Fuzzes the original lobby's packets. The first byte of the input selects the byte order of
 * addresses; the rest is a stream of packets.
 *
 * Invariants: a packet that is fed byte by byte and one that is fed whole have the same result;
 * what is read lies within the input; a packet that is written again is read as the same, and its
 * texts end within their fields.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/gltron.h"
#include "codec/verify.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether a's text is b's, or the beginning of it. */
static void require_cut(struct bytes a, struct bytes b, size_t max)
{
    REQUIRE(a.len <= max && a.len <= b.len);
    REQUIRE(a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
    REQUIRE(b.len > max || a.len == b.len);
}

static void check_again(const struct gltron_packet *packet, enum gltron_host_order order)
{
    struct gltron_packet again;
    struct writer to = {0};

    gltron_write(&to, packet, order);
    REQUIRE(!to.failed && to.len == GLTRON_PACKET_SIZE);
    REQUIRE(gltron_read(writer_bytes_written(&to), order, &again).outcome == GLTRON_PACKET);
    REQUIRE(again.type == packet->type && again.which == packet->which);
    REQUIRE(again.role == packet->role && again.speed == packet->speed);
    REQUIRE(again.size == packet->size && again.erase == packet->erase);
    REQUIRE(again.port == packet->port && again.players == packet->players);
    REQUIRE(memcmp(again.host, packet->host, sizeof again.host) == 0);
    require_cut(again.password, packet->password, GLTRON_PASSWORD_MAX);
    require_cut(again.description, packet->description, GLTRON_DESCRIPTION_MAX);
    require_cut(again.version, packet->version, GLTRON_VERSION_MAX);
    writer_free(&to);
}

static void check_parts(struct bytes input, enum gltron_host_order order,
                        const struct gltron_result *whole)
{
    for (size_t len = 0; len < input.len && len < GLTRON_PACKET_SIZE; len++) {
        uint8_t *part = mem_dup(input.data, len);
        struct gltron_packet packet;
        const struct gltron_result result = gltron_read((struct bytes){part, len}, order, &packet);

        REQUIRE(result.consumed == 0);
        if (result.outcome != GLTRON_MORE) {
            REQUIRE(result.outcome == GLTRON_FAILED && whole->outcome == GLTRON_FAILED &&
                    result.error == whole->error && result.reason == whole->reason);
        }
        free(part);
    }
}

static void check_datagrams(struct bytes input)
{
    struct writer to = {0};
    uint64_t number;
    uint32_t time, place;

    if (verify_read(input, &number)) {
        verify_write(&to, number);
        REQUIRE(!to.failed && to.len <= VERIFY_PACKET_MAX);
    }
    if (gltron_read_pong(input, &time, &place)) {
        writer_reset(&to);
        gltron_write_ping(&to, time, place);
        REQUIRE(memcmp(to.data, input.data, 4) == 0 && memcmp(to.data + 8, input.data + 8, 4) == 0);
    }
    writer_free(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const enum gltron_host_order order =
        size > 0 && data[0] % 2 != 0 ? GLTRON_HOST_REVERSED : GLTRON_HOST_NETWORK;
    struct gltron_result result = {.outcome = GLTRON_PACKET};

    if (size == 0) {
        return 0;
    }
    check_datagrams((struct bytes){data + 1, size - 1});
    for (size_t at = 1; result.outcome == GLTRON_PACKET; at += result.consumed) {
        uint8_t *copy = mem_dup(data + at, size - at);
        struct gltron_packet packet;

        result = gltron_read((struct bytes){copy, size - at}, order, &packet);
        check_parts((struct bytes){copy, size - at}, order, &result);
        if (result.outcome == GLTRON_PACKET) {
            REQUIRE(result.consumed == GLTRON_PACKET_SIZE && size - at >= GLTRON_PACKET_SIZE);
            check_again(&packet, order);
        }
        free(copy);
    }
    return 0;
}
