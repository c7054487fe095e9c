/* What one network gets, whoever asks for it; and what a list can be at most of its query. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/q3master_reply.h"
#include "protocol/q3master/prefix_output_private.h"

#define SECOND 1000000

static const struct prefix_limit limit = {.rate = 65536, .burst = 262144};

static struct address address_of(const char *text)
{
    struct address address;
    assert_true(address_parse_ip(text, &address));
    return address;
}

static bool take(struct prefix_output *output, const struct address *peer, size_t bytes,
                 uint64_t now_us)
{
    return prefix_output_take(output, peer, bytes, limit, now_us);
}

static void test_addresses_of_a_network_share(void **state)
{
    static const struct {
        const char *one, *same, *other;
    } cases[] = {{"203.0.113.7", "203.0.113.200", "203.0.114.7"},
                 {"2001:db8:1:2::1", "2001:db8:1:ffff::9", "2001:db8:2:2::1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prefix_output *output = mem_zalloc(1, sizeof *output);
        struct address one = address_of(cases[i].one), same = address_of(cases[i].same),
                       other = address_of(cases[i].other);
        assert_true(take(output, &one, 200000, SECOND));
        assert_false(take(output, &same, 100000, SECOND));
        assert_true(take(output, &other, 200000, SECOND));
        /* What is refused costs nothing. */
        assert_true(take(output, &same, 62000, SECOND));
        assert_false(take(output, &one, 65536, SECOND + SECOND / 2));
        assert_true(take(output, &one, 65536, 2 * SECOND + SECOND / 2));
        free(output);
    }
}

static void test_a_list_above_the_burst_is_sent_when_nothing_is_owed(void **state)
{
    struct prefix_output *output = mem_zalloc(1, sizeof *output);
    struct address peer = address_of("203.0.113.7");
    assert_true(take(output, &peer, 655360, SECOND));
    assert_false(take(output, &peer, 1, 2 * SECOND));
    assert_true(take(output, &peer, 655360, 11 * SECOND));
    assert_true(prefix_output_take(output, &peer, SIZE_MAX / SECOND,
                                   (struct prefix_limit){.rate = 0}, SECOND));
    free(output);
}

/* From forged addresses of many networks, as many as the process sends to in all. */
static void test_a_flood_neither_frees_nor_blocks_a_network(void **state)
{
    struct prefix_output *output = mem_zalloc(1, sizeof *output);
    struct address victim = address_of("203.0.113.7"), flood = {.family = ADDRESS_IPV4};
    uint64_t sent = 0, now = SECOND;
    unsigned refused = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        memcpy(flood.ip, &i, 3);
        flood.ip[3] = 1;
        (void)take(output, &flood, 8000, now);
        sent += take(output, &victim, 8000, now) ? 8000 : 0;
        now += 1000; /* 8 MB a second to others */
    }
    assert_true(sent <= 262144 + 200 * 65536);
    assert_true(sent >= 200 * 65536 / 2);
    for (uint32_t i = 0; i < 1000; i++) {
        struct address peer = {.family = ADDRESS_IPV4, .ip = {10, (uint8_t)(i >> 8), (uint8_t)i}};
        refused += !take(output, &peer, 8000, now);
    }
    assert_true(refused <= 10);
    free(output);
}

/* With the headers of IPv4 and UDP, of a query and of the list of 4,096 servers that answers it. */
static void expect_ratio(bool extended, const char *query, size_t size, size_t list, size_t ratio)
{
    struct q3master_reply_options options = {.extended = extended, .separated = true};
    struct address *servers = mem_zalloc(4096, sizeof *servers);
    struct frame_slice slices[Q3MASTER_SLICES];
    size_t packets = 0;
    for (uint32_t i = 0; i < 4096; i++) {
        servers[i] = (struct address){.family = extended ? ADDRESS_IPV6 : ADDRESS_IPV4,
                                      .port = 27960,
                                      .ip = {10, (uint8_t)(i >> 8), (uint8_t)i, 1}};
    }
    struct q3master_reply *reply = q3master_reply_create(&options, servers, 4096);
    struct q3master_walk walk = q3master_reply_walk(reply, 0);
    while (q3master_reply_next(reply, &walk, slices) > 0) {
        packets++;
    }
    size_t sent = q3master_reply_size(reply) + packets * 28;
    assert_int_equal(strlen(query) + 28, size);
    assert_int_equal(sent, list);
    assert_int_equal(sent / size, ratio);
    q3master_reply_destroy(&reply);
    free(servers);
}

static void test_the_worst_ratio(void **state)
{
    expect_ratio(false, "\xff\xff\xff\xffgetservers 3", 44, 29800, 677);
    expect_ratio(true, "\xff\xff\xff\xffgetserversExt a 3", 49, 80908, 1651);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_of_a_network_share),
        cmocka_unit_test(test_a_list_above_the_burst_is_sent_when_nothing_is_owed),
        cmocka_unit_test(test_a_flood_neither_frees_nor_blocks_a_network),
        cmocka_unit_test(test_the_worst_ratio),
    };
    random_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
