/* tls/digest: the standard's vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/ids.h"
#include "tls/digest.h"

/* RFC 3174, section 7.3, and lengths around a block's end as sha1sum has them. */
static void digests(void **state)
{
    static const struct {
        const char *text;
        unsigned times;
        const char *digest;
    } cases[] = {
        {"", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {"0123456701234567012345670123456701234567012345670123456701234567", 10,
         "dea356a2cddd90c7a7ecedc5ebb563934f460452"},
        {"a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
        {"a", 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"},
        {"a", 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"},
        {"a", 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"},
        {"a", 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"},
        {"a", 65, "11655326c708d70319be2610e8a57d9a5b959d3b"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct writer text = {0};
        uint8_t digest[TLS_SHA1_SIZE];
        char hex[2 * TLS_SHA1_SIZE + 1];

        for (unsigned n = 0; n < cases[i].times; n++) {
            writer_string(&text, cases[i].text);
        }
        tls_sha1(writer_bytes_written(&text), digest);
        id_format_hex(digest, TLS_SHA1_SIZE, hex);
        assert_string_equal(hex, cases[i].digest);
        writer_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
