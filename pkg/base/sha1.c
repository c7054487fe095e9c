/*
 * sha1: RFC 3174, over bytes that are all there.
 *
 * Here and not from a library, because OpenSSL belongs to package tls and libsodium has no SHA-1.
 */
#include "base/sha1.h"

#include <string.h>

#define BLOCK 64

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return (word << bits) | (word >> (32 - bits));
}

static uint32_t load(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* f(t) and K(t) of section 5. */
static uint32_t mix(unsigned t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20) {
        return ((b & c) | (~b & d)) + 0x5a827999;
    }
    if (t < 40) {
        return (b ^ c ^ d) + 0x6ed9eba1;
    }
    if (t < 60) {
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    }
    return (b ^ c ^ d) + 0xca62c1d6;
}

static void add_block(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[80];
    uint32_t s[5];

    for (unsigned t = 0; t < 16; t++) {
        w[t] = load(block + 4 * t);
    }
    for (unsigned t = 16; t < 80; t++) {
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    }
    memcpy(s, h, sizeof s);
    for (unsigned t = 0; t < 80; t++) {
        uint32_t next = rotate(s[0], 5) + mix(t, s[1], s[2], s[3]) + s[4] + w[t];

        s[4] = s[3];
        s[3] = s[2];
        s[2] = rotate(s[1], 30);
        s[1] = s[0];
        s[0] = next;
    }
    for (unsigned i = 0; i < 5; i++) {
        h[i] += s[i];
    }
}

void sha1_hash(struct bytes bytes, uint8_t digest[SHA1_SIZE])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t tail[2 * BLOCK] = {0};
    size_t rest = bytes.len % BLOCK;
    size_t tail_len = rest + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    uint64_t bits = (uint64_t)bytes.len * 8;

    for (size_t at = 0; at + BLOCK <= bytes.len; at += BLOCK) {
        add_block(h, bytes.data + at);
    }
    if (rest > 0) {
        memcpy(tail, bytes.data + bytes.len - rest, rest);
    }
    tail[rest] = 0x80;
    for (unsigned i = 0; i < 8; i++) {
        tail[tail_len - 1 - i] = (uint8_t)(bits >> (8 * i));
    }
    for (size_t at = 0; at < tail_len; at += BLOCK) {
        add_block(h, tail + at);
    }
    for (unsigned i = 0; i < SHA1_SIZE; i++) {
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    }
}
