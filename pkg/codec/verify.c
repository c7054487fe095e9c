/* verify: see verify.h. */
#include "codec/verify.h"

#include <inttypes.h>
#include <string.h>

static const char head[] = "\xff\xff\xff\xff"
                           "tracker verify ";
#define HEAD_LENGTH (sizeof head - 1)

void verify_write(struct writer *to, uint64_t number)
{
    if (number < VERIFY_MIN || number > VERIFY_MAX) {
        to->failed = true;
        return;
    }
    writer_bytes(to, (struct bytes){(const uint8_t *)head, HEAD_LENGTH});
    writer_format(to, "%" PRIu64 "\n", number);
}

bool verify_read(struct bytes packet, uint64_t *number)
{
    if (packet.len <= HEAD_LENGTH || memcmp(packet.data, head, HEAD_LENGTH) != 0) {
        return false;
    }
    packet.data += HEAD_LENGTH;
    packet.len -= HEAD_LENGTH;
    if (packet.data[packet.len - 1] == '\n') {
        packet.len--;
    }
    if (packet.len > 0 && packet.data[packet.len - 1] == '\r') {
        packet.len--;
    }
    if (packet.len < 4 || packet.len > 15 || packet.data[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < packet.len; i++) {
        if (packet.data[i] < '0' || packet.data[i] > '9') {
            return false;
        }
    }
    *number = bytes_decimal(packet);
    return true;
}
