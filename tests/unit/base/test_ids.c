/* base/ids and base/random: names, hexadecimal text, the placement rule, ranges of numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/random.h"

static void client_ids(void **state)
{
    unsigned seen[256] = {0};
    char id[ID_CLIENT_LENGTH + 1], before[ID_CLIENT_LENGTH + 1] = "";

    for (int i = 0; i < 4000; i++) {
        id_make_client(id);
        assert_int_equal(strlen(id), ID_CLIENT_LENGTH);
        assert_string_not_equal(id, before);
        memcpy(before, id, sizeof id);
        for (int j = 0; j < ID_CLIENT_LENGTH; j++) {
            seen[(unsigned char)id[j]]++;
        }
    }
    /* 28,000 letters: every one of the 62 comes (each fails to with e^-451), and no other. */
    for (int c = 0; c < 256; c++) {
        bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        assert_int_equal(seen[c] > 0, letter);
    }
}

static void hexadecimal(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0xab, 0xff, 0x90};
    uint8_t back[5];
    char text[2 * sizeof bytes + 1];

    id_format_hex(bytes, sizeof bytes, text);
    assert_string_equal(text, "0001abff90");
    assert_true(id_parse_hex(BYTES_LITERAL("0001ABff90"), back, sizeof back));
    assert_memory_equal(back, bytes, sizeof bytes);
    id_format_hex(bytes, 0, text);
    assert_string_equal(text, "");
    assert_true(id_parse_hex(BYTES_LITERAL(""), back, 0));

    assert_false(id_parse_hex(BYTES_LITERAL("0001abff9"), back, 5));
    assert_false(id_parse_hex(BYTES_LITERAL("0001abff900"), back, 5));
    assert_false(id_parse_hex(BYTES_LITERAL("0001abff9000"), back, 5));
    assert_false(id_parse_hex(BYTES_LITERAL("0001abfg90"), back, 5));
    assert_false(id_parse_hex(BYTES_LITERAL("0001ab/f90"), back, 5));
    assert_false(id_parse_hex(BYTES_LITERAL("0001ab f90"), back, 5));
    assert_false(id_parse_hex(BYTES_LITERAL(""), back, 5));
}

static void random_hexadecimal(void **state)
{
    char text[202], other[202];

    for (size_t len = 0; len <= 200; len += 2) {
        text[len + 1] = 'x';
        id_make_hex(text, len);
        assert_int_equal(strlen(text), len);
        assert_int_equal(strspn(text, "0123456789abcdef"), len);
        assert_int_equal(text[len + 1], 'x');
        id_make_hex(other, len);
        if (len >= ID_FENCE_LENGTH) {
            assert_string_not_equal(text, other);
        }
    }
}

static void shards(void **state)
{
    static const struct {
        struct bytes key;
        uint32_t count, shard;
    } cases[] = {
        /* crc32 3b4e9852, 532633cf: the same number whether signed or not. */
        {BYTES_LITERAL("1:12345"), 2, 0x3b4e9852 % 2},
        {BYTES_LITERAL("1:12345"), 1000, 0x3b4e9852 % 1000},
        {BYTES_LITERAL("CStrike"), 1000, 0x532633cf % 1000},
        /* crc32 ac4bb908 is negative: -1404323576. */
        {BYTES_LITERAL("1:789"), 5, 1},
        {BYTES_LITERAL("1:789"), 7, 5},
        {BYTES_LITERAL("1:789"), 4000000000u, 1404323576},
        {BYTES_LITERAL("1:789"), 1, 0},
        {BYTES_LITERAL(""), 9, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(shard_of(cases[i].key, cases[i].count), cases[i].shard);
    }
    assert_int_equal(shard_of((struct bytes){NULL, 0}, 9), 0);
    /* crc32 80000000, whose absolute value takes 64 bits. */
    assert_int_equal(shard_of(BYTES_LITERAL("\x4e\x85\xec\x36"), UINT32_MAX), 0x80000000u);
}

static void space_names(void **state)
{
    static const char *const good[] = {
        "main", "lobby", "a", "0", "_", "-", "a-b_9", "abcdefghijklmnopqrstuvwxyz012345"};
    static const char *const bad[] = {"",    "Main",     "a b",
                                      "a.b", "a/b",      "a:b",
                                      "{a}", "\xc3\xa9", "abcdefghijklmnopqrstuvwxyz0123456"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(id_is_space_name(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(id_is_space_name(bad[i]));
    }
}

static void numbers_below(void **state)
{
    bool seen[5] = {false};

    assert_int_equal(random_below(1), 0);
    for (int i = 0; i < 1000; i++) {
        uint32_t number = random_below(5);

        assert_true(number < 5);
        seen[number] = true;
    }
    for (int i = 0; i < 5; i++) {
        assert_true(seen[i]); /* fails with 5 * 0.8^1000 */
    }
}

static void jitter(void **state)
{
    static const struct {
        uint64_t value;
        unsigned percent;
        uint64_t low, high;
    } cases[] = {
        {0, 50, 0, 0},
        {1, 50, 1, 1},
        {1000, 0, 1000, 1000},
        {1000, 10, 900, 1100},
        {1000, 100, 0, 2000},
        {1000, 200, 0, 2000},
        {99, 50, 50, 148},
        {UINT64_C(10000000000), 20, UINT64_C(8000000000), UINT64_C(12000000000)},
        {UINT64_MAX, 100, 0, UINT64_MAX},
        {UINT64_MAX, 10, UINT64_MAX / 100 * 90, UINT64_MAX},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool below = false, above = false;

        for (int j = 0; j < 1000; j++) {
            uint64_t value = random_jitter(cases[i].value, cases[i].percent);

            assert_true(value >= cases[i].low && value <= cases[i].high);
            below |= value < cases[i].value;
            above |= value > cases[i].value;
        }
        assert_int_equal(below, cases[i].low < cases[i].value);
        assert_int_equal(above, cases[i].high > cases[i].value);
    }
}

static void keyed_hashes(void **state)
{
    uint64_t hash = random_keyed_hash("abc", 3);

    assert_int_equal(random_keyed_hash("abc", 3), hash);
    assert_int_not_equal(random_keyed_hash("abd", 3), hash);
    assert_int_not_equal(random_keyed_hash("abc", 4), hash);
    assert_int_equal(random_keyed_hash("", 0), random_keyed_hash("x", 0));
    random_init(); /* the key stays: tables depend on it */
    assert_int_equal(random_keyed_hash("abc", 3), hash);
}

static void clocks_go_forward(void **state)
{
    uint64_t monotonic = clock_monotonic_us(), cpu = clock_cpu_us();

    assert_true(monotonic > 0);
    while (clock_cpu_us() == cpu) {
        continue;
    }
    assert_true(clock_cpu_us() > cpu);
    assert_true(clock_monotonic_us() >= monotonic);
    assert_true(clock_wall_us() > UINT64_C(1700000000000000)); /* 2023 */
}

static void uuids(void **state)
{
    char id[ID_UUID_LENGTH + 1], before[ID_UUID_LENGTH + 1] = "";

    for (int i = 0; i < 100; i++) {
        id_make_uuid(id);
        assert_int_equal(strlen(id), ID_UUID_LENGTH);
        assert_string_not_equal(id, before);
        memcpy(before, id, sizeof id);
        for (int j = 0; j < ID_UUID_LENGTH; j++) {
            if (j == 8 || j == 13 || j == 18 || j == 23) {
                assert_int_equal(id[j], '-');
            } else {
                assert_non_null(strchr("0123456789abcdef", id[j]));
            }
        }
        assert_int_equal(id[14], '4');
        assert_non_null(strchr("89ab", id[19]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_ids),    cmocka_unit_test(uuids),
        cmocka_unit_test(hexadecimal),   cmocka_unit_test(random_hexadecimal),
        cmocka_unit_test(shards),        cmocka_unit_test(space_names),
        cmocka_unit_test(numbers_below), cmocka_unit_test(jitter),
        cmocka_unit_test(keyed_hashes),  cmocka_unit_test(clocks_go_forward),
    };

    random_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
